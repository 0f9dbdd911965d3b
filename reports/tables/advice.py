"""What would settle a difference that is open: more seeds, more test images, or both."""

from reports import text
from reports.statistics.precision import Precision

_CHEAPER = 0.75
"""More images beside more seeds are named where they save at least a quarter of the seeds."""


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
