"""Generators that tell what they do while they do it, and return what they made."""

from collections.abc import Callable, Generator
from typing import TypeVar

Item = TypeVar("Item")
Other = TypeVar("Other")
Result = TypeVar("Result")


def _ignore(item: object) -> None:
    del item


def result_of(generator: Generator[Item, None, Result], each: Callable[[Item], object] = _ignore) -> Result:
    """What a generator returns; `each` gets every item on the way."""
    while True:
        try:
            item = next(generator)
        except StopIteration as done:
            return done.value
        each(item)


def mapped(generator: Generator[Item, None, Result], change: Callable[[Item], Other]) -> Generator[Other, None, Result]:
    """The same generator with every item changed."""
    while True:
        try:
            item = next(generator)
        except StopIteration as done:
            return done.value
        yield change(item)
