"""How large and how deep what a pickle describes would be, found from its instructions before anything is built.

A pickle may use an object many times: forty pairs, each of the one before twice, are a kilobyte in the file, and a
tuple of 2^40 parts to code that computes its hash, as a key of a mapping, or its text, for a message. Deep tuples end
the process. Neither happens in what training programs store.
"""

import pickletools
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import takewhile
from typing import BinaryIO

from benchmark.errors import CheckpointError

_MOST_PARTS = 10_000_000
"""Half a million tensors; a hash or a text of so many parts takes a second."""
_DEEPEST = 500
"""Levels of objects in objects: far below what fills the stack of a thread, far above any checkpoint."""
_ATOM, _MARK = 0, -1


def check_structure(pickle: BinaryIO) -> None:
    """Read one pickle, from where the file stands to its end, and check how much it would be with nothing shared.

    Raises:
        CheckpointError: It is too large or too deep, or holds an object that holds itself.
        ValueError: It is no pickle.
        IndexError: An instruction lacks what it applies to.
        KeyError: An instruction names an object that was not stored.
    """
    children, stack = _objects(pickle)
    parts, depths = [1] * len(children), [1] * len(children)
    try:
        for node in TopologicalSorter(dict(enumerate(children))).static_order():
            parts[node] = min(1 + sum(parts[child] for child in children[node]), _MOST_PARTS + 1)
            depths[node] = 1 + max((depths[child] for child in children[node]), default=0)
    except CycleError:
        raise CheckpointError("holds an object that holds itself, so it is not read") from None
    if max(depths) > _DEEPEST:
        raise CheckpointError(f"its objects lie {max(depths):,} deep in each other, so it is not read")
    if sum(parts[node] for node in stack if node != _MARK) > _MOST_PARTS:
        raise CheckpointError(f"it would become more than {_MOST_PARTS:,} objects, so it is not read")


def _objects(pickle: BinaryIO) -> tuple[list[list[int]], list[int]]:
    """Return the objects that each object holds, by number, and those on the stack at the end; 0 is all that hold none.

    No instruction that PyTorch takes removes an object, so that all of them can be reached from the stack.
    """
    children, stack, memo = list[list[int]]([[]]), list[int](), dict[int, int]()
    for instruction, argument, _ in pickletools.genops(pickle):
        match instruction.name:
            case "STOP":
                break
            case "MARK":
                stack.append(_MARK)
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[int(argument or 0)])
            case "BINPUT" | "LONG_BINPUT":
                memo[int(argument or 0)] = stack[-1]
            case "APPEND" | "APPENDS" | "SETITEM" | "SETITEMS" | "BUILD":
                target, *items = _taken(stack, instruction.stack_before)
                children[target] += items
                stack.append(target)
            case _:
                items = _taken(stack, instruction.stack_before)
                is_container = bool(items) or instruction.name.startswith("EMPTY")
                if instruction.stack_after:
                    stack.append(len(children) if is_container else _ATOM)
                    children += [items] if is_container else []
    return children, stack


def _taken(stack: list[int], before: Sequence[pickletools.StackObject]) -> list[int]:
    """Remove from a stack what an instruction takes, and return it in order, without the mark."""
    plain = len([*takewhile(lambda kind: kind is not pickletools.markobject, before)])
    marked = list[int]()
    if plain < len(before):
        while (item := stack.pop()) != _MARK:
            marked.append(item)
    return [*[stack.pop() for _ in range(plain)][::-1], *marked[::-1]]
