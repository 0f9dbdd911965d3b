"""Do two splits share an image? Compared by content, whatever the names, formats and sources."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from itertools import combinations

from benchmark.data import Pair, Source
from benchmark.data.cache import CachedSource
from benchmark.data.composite_source import CompositeSource
from benchmark.errors import DataError
from benchmark.files import read_json, write_json

_FILE = "digests.json"


def shared_subjects(splits: Mapping[str, Source]) -> dict[tuple[str, str], frozenset[str]]:
    """What two splits show both, by the names of the splits: files, groups, faces, as far as sources know them."""
    both = {(one, other): splits[one].subjects & splits[other].subjects for one, other in combinations(splits, 2)}
    return {pair: subjects for pair, subjects in both.items() if subjects}


def check_contents(row: str, splits: Mapping[str, Source]) -> None:
    """Raise DataError if two splits share an image, degraded or target, naming both pairs.

    Meant for cached sources: their digests are computed once and kept beside the cache.
    """
    digests = {split: _by_digest(source) for split, source in splits.items()}
    for first, second in combinations(splits, 2):
        shared = sorted(digests[first].keys() & digests[second].keys(), key=digests[first].__getitem__)
        if shared:
            one, other = digests[first][shared[0]], digests[second][shared[0]]
            raise DataError(
                f"row {row}: data.{first} and data.{second} share images, {len(shared)} in all: {one} of {first} is "
                f"{other} of {second}, pixel for pixel; leave them out of one of the two"
            )


def _by_digest(source: Source, sides: tuple[str, ...] = ("target", "degraded")) -> dict[str, str]:
    """Where each image stands, in words, by the digest of its pixels."""
    if isinstance(source, CompositeSource) and source.parts:
        own = sides if source.keeps_degraded else sides[:1]
        return {digest: place for part in source.parts for digest, place in _by_digest(part, own).items()}
    return {
        digests[side]: f"{name!r} ({side})"
        for side in reversed(sides)
        for name, digests in reversed([(name, {"degraded": d, "target": t}) for name, d, t in _digests(source)])
    }


def _digests(source: Source) -> list[tuple[str, str, str]]:
    """Name and digests of degraded and target of each pair."""
    if not isinstance(source, CachedSource):
        return [_digests_of(source.read(index)) for index in range(len(source))]
    file = source.folder / _FILE
    kept = read_json(file)
    if isinstance(kept, list) and len(kept) == len(source):
        return [(str(name), str(degraded), str(target)) for name, degraded, target in kept]
    found = [_digests_of(source.read(index)) for index in range(len(source))]
    with suppress(OSError):  # a cache that cannot be written to is read again next time
        write_json(file, found)
    return found


def _digests_of(pair: Pair) -> tuple[str, str, str]:
    degraded, target = (
        hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
        for image in (pair.degraded, pair.target)
    )
    return pair.name, degraded, target
