"""Split leakage: whether two splits share subjects or images, compared by content, whatever names and formats."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from itertools import combinations
from typing import Any

from benchmark.data import CleanFace, Dataset, Pair, Source
from benchmark.data.cache import CachedItems
from benchmark.errors import DataError
from benchmark.files import read_json, write_json

_FILE = "digests.json"
_Digests = list[tuple[str, dict[str, str]]]
"""Of each item its name and, by role, the digests of its images."""


def shared_subjects(splits: Mapping[str, Source]) -> dict[tuple[str, str], frozenset[str]]:
    """Return the subjects that two splits share, by the names of the splits.

    Subjects are files, groups and faces, as far as sources know them.
    """
    shared = {
        (first, second): splits[first].subjects & splits[second].subjects for first, second in combinations(splits, 2)
    }
    return {pair: subjects for pair, subjects in shared.items() if subjects}


def check_contents(row: str, splits: Mapping[str, Source]) -> None:
    """Check that no two splits of a row share an image, degraded or target.

    Meant for cached sources: their digests are computed once and stored beside the cache.

    Raises:
        DataError: two splits share an image; names both pairs.
    """
    places = {split: _places(source) for split, source in splits.items()}
    for first, second in combinations(splits, 2):
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
    digests = _digests(data)
    for role in ("target", "degraded"):
        for name, by_role in digests:
            if role in by_role:
                places.setdefault(by_role[role], f"{name!r} ({role})")
    return places


def _digests(data: Dataset[Any]) -> _Digests:
    """Return the digests of all images; those of a cache are stored beside it."""
    file = data.folder / _FILE if isinstance(data, CachedItems) else None
    stored = read_json(file) if file else None
    if isinstance(stored, list) and len(stored) == len(data):
        return [(str(name), dict(by_role)) for name, by_role in stored]
    digests = [_item_digests(data.read(index)) for index in range(len(data))]
    if file:
        with suppress(OSError):  # a cache that cannot be written to is read again next time
            write_json(file, digests)
    return digests


def _item_digests(item: Pair | CleanFace) -> tuple[str, dict[str, str]]:
    return item.name, {
        role: hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
        for role, image in item.images.items()
    }
