"""Several sources as one, in a mix of given weights."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from benchmark.data import Pair, Source
from benchmark.data.composite_source import CompositeSource, in_pass
from benchmark.data.factory import open_source
from benchmark.data.image_io import code_digest
from benchmark.errors import DataError
from benchmark.experiment.schema import SourceSpec
from benchmark.registry import Registry


class Multiple(CompositeSource):
    """The pairs of several sources, one source after the other; a pass over the data shows each at least once.

    `sources`: a list of sources with their options, each as `data.train` would have it; those of installed packages
    count, those of `--plugin` files do not. `weights`: shares of the pairs that come from each, in the same order; the
    pairs of the others are repeated until the shares are right (to a pair). Without weights no pair is repeated. Names
    of pairs begin with the number of their source: `1/`, `2/`; repetitions end with `__r1`, `__r2`, and show
    other spots where a source lays `fresh` ones. Raises DataError for fewer than two sources, and for weights that are
    not one positive number a source.
    """

    origin: ClassVar[str] = "other sources"

    def __init__(self, sources: list[SourceSpec], weights: list[float] | None = None) -> None:
        if len(sources) < 2:
            raise DataError(f"multiple: {len(sources)} sources are given; mix two or more, or name the one itself")
        if weights is not None and (len(weights) != len(sources) or min(weights) <= 0):
            raise DataError(f"multiple: weights {weights}: give one above 0 for each of the {len(sources)} sources")
        registry = Registry()
        self._parts: Sequence[Source] = [open_source(source.model_dump(), registry) for source in sources]
        self._counts = _counts([len(part) for part in self._parts], weights)
        self._pass: tuple[int, str, int] | None = None

    def __len__(self) -> int:
        """Number of pairs, repetitions included."""
        return sum(self._counts)

    def read(self, index: int) -> Pair:
        position = index
        for number, (part, count) in enumerate(zip(self._parts, self._counts, strict=True), start=1):
            if 0 <= position < count:
                repetition, own = divmod(position, len(part))
                pair = self._repeated(part, repetition).read(own)
                return replace(pair, name=f"{number}/{pair.name}" + (f"__r{repetition}" if repetition else ""))
            position -= count
        raise DataError(f"multiple: no pair {index}; there are {len(self)}, from 0")

    @property
    def fingerprint(self) -> str:
        parts = [part.fingerprint for part in self._parts]
        return hashlib.sha256(f"{parts} {self._counts} {code_digest((Path(__file__),))}".encode()).hexdigest()

    @property
    def subjects(self) -> frozenset[str]:
        return frozenset().union(*(part.subjects for part in self._parts))

    @property
    def parts(self) -> Sequence[Source]:
        """The sources that are mixed."""
        return self._parts

    def with_parts(self, parts: Sequence[Source]) -> "Multiple":
        """The same mix of other sources of equal lengths."""
        mix = Multiple.__new__(Multiple)
        mix._parts, mix._counts, mix._pass = parts, self._counts, self._pass  # its own class
        return mix

    def in_pass(self, seed: int, stage: str, turn: int) -> Source:
        """The mix as a pass of a stage sees it; where a source draws damage anew, so does each repetition."""
        mix = super().in_pass(seed, stage, turn)
        if mix is not self and isinstance(mix, Multiple):
            mix._pass = (seed, stage, turn)
        return mix

    def _repeated(self, part: Source, repetition: int) -> Source:
        """A part as its repetition in this pass sees it: under a name of its own, which no stage can have."""
        if not repetition or self._pass is None:
            return part
        seed, stage, turn = self._pass
        return in_pass(part, seed, f"{stage}/r{repetition}", turn)


def _counts(lengths: Sequence[int], weights: Sequence[float] | None) -> list[int]:
    """How many pairs of each source a pass has: as few as show every pair and keep the weights."""
    if weights is None:
        return list(lengths)
    unit = max(length / weight for length, weight in zip(lengths, weights, strict=True))
    return [max(length, round(weight * unit)) for length, weight in zip(lengths, weights, strict=True)]
