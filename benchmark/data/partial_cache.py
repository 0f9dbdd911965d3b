"""A cache of the pairs that a short training reads, of a source that draws many: it need not wait for all of them."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from benchmark.data import Dataset, Pair, Source
from benchmark.data.cache import cache_of, cached

MOST_SHARE = 1 / 3
"""Of the pairs of a source; where more are needed, all are cached, since the next training will need the rest."""


class _Selection(Source):
    """Some pairs of a source, to be cached by themselves."""

    origin: ClassVar[str] = "a selection of the pairs of another source"

    def __init__(self, source: Source, indices: Sequence[int]) -> None:
        self._source, self._indices = source, tuple(indices)

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, index: int) -> Pair:
        return self._source.read(self._indices[index])

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the fingerprint of the source and of the places of the pairs in it."""
        places = np.array(self._indices, np.int64).tobytes()
        return hashlib.sha256(self._source.fingerprint.encode() + places).hexdigest()


class PartlyCachedSource(Source):
    """A source some of whose pairs come from a cache. The others are drawn whenever they are read."""

    origin: ClassVar[str] = "another source and a cache of some of its pairs"

    def __init__(self, source: Source, indices: Sequence[int], selection: Source) -> None:
        self._source = source
        self.selection = selection
        """The pairs that are cached."""
        self._places = {index: place for place, index in enumerate(indices)}

    def __len__(self) -> int:
        return len(self._source)

    def read(self, index: int) -> Pair:
        """Return pair number `index` of the source."""
        place = self._places.get(index)
        return self._source.read(index) if place is None else self.selection.read(place)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the whole source: its pairs are the same with and without a cache."""
        return self._source.fingerprint

    @property
    def parts(self) -> Sequence[Dataset[Pair]]:
        """The pairs that are cached."""
        return (self.selection,)


def cached_as_needed(
    source: Source,
    needed: frozenset[int],
    root: Path,
    workers: int,
    plugins: Sequence[Path] = (),
    on_progress: Callable[[int, int], None] = lambda count, total: None,
) -> Source:
    """Return a source that reads from its cache the pairs that are needed, and cache them if they are not there.

    All pairs of a source are cached where more than `MOST_SHARE` are needed or all are there already, and always those
    of image files, which are fast to read and all to be checked, and the parts of a source that is made from others.

    Args:
        source: What to cache.
        needed: Indices of pairs; reading another one is right, and slow.
        root: The folder of all caches.
        workers: Number of processes that draw or decode.
        plugins: Files that define sources of the user.
        on_progress: Called with the number of pairs that are ready and of those to be made, after each of them.

    Raises:
        DataError: See `cached`.
    """
    total = len(source)
    if source.parts or source.files or len(needed) > MOST_SHARE * total or cache_of(source, root).exists():
        return cached(source, root, workers, plugins, lambda count: on_progress(count, total))
    indices = sorted(needed)
    selection = _Selection(source, indices)
    ready = cached(selection, root, workers, plugins, lambda count: on_progress(count, len(indices)))
    return PartlyCachedSource(source, indices, ready)
