"""Sources made of other sources: what is cached are the parts, and each pass over the data may differ."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from benchmark.data import Source


class CompositeSource(Source):
    """A source that makes its pairs of those of others."""

    keeps_degraded: ClassVar[bool] = True
    """Whether the degraded images of its parts are those of its pairs; else they say something else about targets."""

    @property
    @abstractmethod
    def parts(self) -> Sequence[Source]:
        """What is read or drawn once and kept; empty where this source itself is."""

    @abstractmethod
    def with_parts(self, parts: Sequence[Source]) -> Source:
        """This source with its parts replaced by others that give the same pairs, e.g. their caches."""

    def in_pass(self, seed: int, stage: str, turn: int) -> Source:
        """The source as pass number `turn` of a stage sees it: as long, but its damage may be drawn anew."""
        before = self.parts
        after = [in_pass(part, seed, stage, turn) for part in before]
        changed = any(new is not old for new, old in zip(after, before, strict=True))
        return self.with_parts(after) if changed else self


def in_pass(source: Source, seed: int, stage: str, turn: int) -> Source:
    """A source as pass `turn` of a stage sees it; most sources are the same in each."""
    return source.in_pass(seed, stage, turn) if isinstance(source, CompositeSource) else source
