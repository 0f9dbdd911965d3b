"""What would settle a difference that is open: more seeds, more test images, or both. One number for a row."""

from dataclasses import dataclass

from reports import text
from reports.statistics.intervals import ENOUGH_SEEDS, FEWEST_SEEDS
from reports.statistics.precision import Precision
from reports.statistics.verdicts import Comparison

_CHEAPER = 0.75
"""More images beside more seeds are named where they save at least a quarter of the seeds."""


@dataclass(frozen=True)
class SeedsNeeded:
    """The seeds in all that would settle a row: every part of a report states them in these words."""

    seeds: int
    images: int | None = None
    """The test images in all that must be there, too, where no number of seeds is enough alone; else None."""
    is_there: bool = False
    """Whether the run has as many: its interval is narrow enough, but lies across the margin."""

    def __str__(self) -> str:
        """Return `12`, or `12, with 240 images`, or `enough`."""
        if self.is_there:
            return "enough"
        return f"{self.seeds:,}" if self.images is None else f"{self.seeds:,}, with {self.images:,} images"


def seeds_needed(comparison: Comparison, finished: int, margin: float) -> SeedsNeeded | None:
    """Return the seeds that would give a row its first verdict, or resolve the margin; None where neither is open.

    What they resolve is a true difference of the margin, with a chance of 50 %, and never today's estimate: that one
    is chance itself, and so would be the number.

    Args:
        comparison: A trained row against base.
        finished: The seeds that the row has.
        margin: The equivalence margin of the experiment; 0: there is none, and only a first verdict can be asked for.
    """
    estimate = comparison.gain
    if comparison.verdict is None:
        is_too_early = estimate is None or estimate.seeds < FEWEST_SEEDS
        # With enough seeds, something else is in the way of a verdict.
        return SeedsNeeded(FEWEST_SEEDS if is_too_early else ENOUGH_SEEDS) if finished < ENOUGH_SEEDS else None
    if estimate is None or not margin or comparison.verdict not in ("inconclusive", "no gain"):
        return None
    needed = estimate.precision.needed(margin)
    if needed.seeds is None:
        return SeedsNeeded(*needed.together)
    return SeedsNeeded(needed.seeds, is_there=needed.seeds == estimate.seeds)


def what_reaches(precision: Precision, half_width: float) -> str:
    """Return the seeds and images, in words, that would narrow an interval to a half-width.

    A true difference of this size is then resolved with a chance of 50 %: half of the time its estimate is lower.
    """
    needed = precision.needed(half_width)
    seeds, images = needed.together
    together = f"{text.count(seeds, 'seed')} and {text.count(images, 'test image')} in all"
    if needed.seeds == precision.seeds:
        return "as many seeds and images again"
    alone: list[str] = []
    if needed.seeds is not None:
        alone.append(f"{text.count(needed.seeds - precision.seeds, 'more seed')} ({needed.seeds:,} in all)")
    if needed.images is not None and needed.seeds is None:
        alone.append(f"{needed.images:,} test images in all, which more seeds cannot replace")
    is_cheaper = needed.seeds is None or seeds <= _CHEAPER * needed.seeds
    return " or ".join([*alone, together] if is_cheaper else alone)
