"""Generators that tell what they do keep what they return on every way they take."""

from collections.abc import Generator

from benchmark.generators import mapped, result_of


def counting(end: int) -> Generator[int, None, str]:
    yield from range(end)
    return f"{end} counted"


def test_the_result_comes_with_every_item_on_the_way() -> None:
    """Also of a generator that yields nothing."""
    seen: list[int] = []
    assert result_of(counting(3), seen.append) == "3 counted"
    assert seen == [0, 1, 2]
    assert result_of(counting(0)) == "0 counted"


def test_a_mapped_generator_returns_what_the_first_does() -> None:
    """Items are changed, the result is not."""
    seen: list[str] = []
    assert result_of(mapped(counting(2), str), seen.append) == "2 counted"
    assert seen == ["0", "1"]
