"""Split leakage: whether two splits share subjects or images, compared by content, whatever names and formats."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Any

from benchmark.data import Dataset, Source, pixel_digest
from benchmark.data.cache import CachedItems
from benchmark.errors import DataError


def disjoint_pairs(splits: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of splits that share nothing: all but those of two test sets."""
    return [pair for pair in combinations(splits, 2) if not {"train", "val"}.isdisjoint(pair)]


def shared_subjects(splits: Mapping[str, Source]) -> dict[tuple[str, str], frozenset[str]]:
    """Return the subjects that two splits share, by the names of the splits.

    Subjects are files, groups and faces, as far as sources know them.
    """
    shared = {
        (first, second): splits[first].subjects & splits[second].subjects for first, second in disjoint_pairs(splits)
    }
    return {pair: subjects for pair, subjects in shared.items() if subjects}


def check_contents(row: str, splits: Mapping[str, Source]) -> None:
    """Check that no two splits of a row share an image, degraded or target. Two test sets may.

    Meant for cached sources, whose index holds the digests.

    Raises:
        DataError: two splits share an image; names both pairs.
    """
    places = {split: _places(source) for split, source in splits.items()}
    for first, second in disjoint_pairs(splits):
        shared = sorted(places[first].keys() & places[second].keys(), key=places[first].__getitem__)
        if shared:
            raise DataError(
                f"row {row}: data.{first} and data.{second} share images, {len(shared)} in all: "
                f"{places[first][shared[0]]} of {first} is {places[second][shared[0]]} of {second}, pixel for pixel; "
                "leave them out of one of the two"
            )


def _places(data: Dataset[Any]) -> dict[str, str]:
    """Return where each image stands, in words, by digest: targets come before degraded images, first pairs first."""
    places: dict[str, str] = {}
    if isinstance(data, Source) and data.parts:
        for part in data.parts:
            places |= _places(part)
        return places
    digests = list(_digests(data))
    for role in ("target", "degraded"):
        for name, by_role in digests:
            if role in by_role:
                places.setdefault(by_role[role], f"{name!r} ({role})")
    return places


def _digests(data: Dataset[Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the name of each item and, by role, the digests of its images."""
    if isinstance(data, CachedItems):
        yield from data.image_digests()
    else:
        for item in map(data.read, range(len(data))):
            yield item.name, {role: pixel_digest(image) for role, image in item.images.items()}
