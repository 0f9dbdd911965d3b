"""Several sources as one, mixed by weights."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from benchmark.data import Dataset, Pair, Source
from benchmark.data.fingerprint import files_digest
from benchmark.data.sources import open_source
from benchmark.errors import DataError, counted
from benchmark.experiment.schema import SourceSpec
from benchmark.registry import Registry


class Multiple(Source):
    """The pairs of several sources, one source after the other; an epoch shows each pair at least once.

    `sources`: a list of sources with their options, each as `data.train` would have it. `weights`: shares of the pairs
    that come from each, in the same order; the pairs of the others are repeated until the shares are right (to a pair).
    Without weights no pair is repeated. Names of pairs begin with the number of their source: `1/`, `2/`; repetitions
    end with `__r1`, `__r2`, and show other spots where a source draws `fresh` ones. Raises DataError for fewer than two
    sources, and for weights that are not one positive number a source.
    """

    origin: ClassVar[str] = "other sources"

    def __init__(self, sources: list[SourceSpec], registry: Registry, weights: list[float] | None = None) -> None:
        if len(sources) < 2:
            raise DataError(f"multiple: got {counted(len(sources), 'source')}; mix two or more, or name the one itself")
        if weights is not None and (len(weights) != len(sources) or min(weights) <= 0):
            raise DataError(f"multiple: weights {weights}: give one above 0 for each of the {len(sources)} sources")
        self._parts = [open_source(source.model_dump(), registry) for source in sources]
        self._counts = pairs_per_epoch([len(part) for part in self._parts], weights)
        self._epoch: tuple[int, str, int] | None = None

    def __len__(self) -> int:
        return sum(self._counts)

    def read(self, index: int) -> Pair:
        """Return a pair of a source; in an epoch each of its repetitions may show other damage."""
        position = index
        for number, (part, count) in enumerate(zip(self._parts, self._counts, strict=True), start=1):
            if 0 <= position < count:
                repetition, own = divmod(position, len(part))
                suffix = f"__r{repetition}" if repetition else ""
                if self._epoch is not None:
                    seed, stage, epoch = self._epoch
                    # A repetition draws its damage under a name of its own, which no stage can have.
                    part = part.at_epoch(seed, f"{stage}/r{repetition}" if repetition else stage, epoch)
                pair = part.read(own)
                return replace(pair, name=f"{number}/{pair.name}{suffix}")
            position -= count
        raise DataError(f"multiple: no pair {index}; there are {len(self)}, from 0")

    @property
    def fingerprint(self) -> str:
        """Of the parts, their counts and the code that mixes them."""
        return files_digest((), [Path(__file__)], ([part.fingerprint for part in self._parts], self._counts))

    @property
    def subjects(self) -> frozenset[str]:
        """The subjects of all parts."""
        return frozenset().union(*(part.subjects for part in self._parts))

    @property
    def parts(self) -> Sequence[Source]:
        """The sources that are mixed."""
        return self._parts

    def with_parts(self, parts: Sequence[Dataset[Any]]) -> "Multiple":
        """Return the same mix of other sources of equal lengths."""
        mix = copy.copy(self)
        mix._parts = [part for part in parts if isinstance(part, Source)]
        return mix

    def at_epoch(self, seed: int, stage: str, epoch: int) -> "Multiple":
        """Return the mix as an epoch of a stage sees it."""
        mix = copy.copy(self)
        mix._epoch = (seed, stage, epoch)
        return mix


def pairs_per_epoch(lengths: Sequence[int], weights: Sequence[float] | None) -> list[int]:
    """Return how many pairs of each source an epoch has: as few as show every pair and keep the weights."""
    if weights is None:
        return list(lengths)
    unit = max(length / weight for length, weight in zip(lengths, weights, strict=True))
    return [max(length, round(weight * unit)) for length, weight in zip(lengths, weights, strict=True)]
