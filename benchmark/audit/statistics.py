"""How strongly a set of pairs is damaged: the few numbers that two sources are compared by.

They are those the presets of the synthetic faces were fitted to, and can be held against pictures of one's own.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, pi
from typing import Final

import numpy as np

from benchmark.audit.degradation import psnr_db, region_areas
from benchmark.data import Pair, damage_mask

_FAINT_LEVELS = 4  # a pixel that a spot changes by less is background


@dataclass(frozen=True)
class Statistics:
    """One pair. `regions`: connected ones (8 neighbours) of pixels where a channel is off by more than 30 levels;
    `radius_px`: their median radius, that of a disc of equal area; None where there is none.

    `background_db`: PSNR where no spot is; None where the source does not know its spots, or they are everywhere.
    """

    psnr_db: float
    background_db: float | None
    over_30_percent: float
    regions: int
    radius_px: float | None


_ROWS: Final[Sequence[tuple[str, str, int, Callable[[Statistics], float | None]]]] = (
    ("PSNR of degraded", "dB", 1, lambda one: one.psnr_db),
    ("PSNR without spots", "dB", 1, lambda one: one.background_db),
    ("pixels over 30 levels", "%", 3, lambda one: one.over_30_percent),
    ("regions over 30 levels", "", 0, lambda one: one.regions),
    ("their radius", "px", 2, lambda one: one.radius_px),
)


def statistics(pair: Pair) -> Statistics:
    """The statistics of a pair."""
    severe = damage_mask(pair.degraded, pair.target)
    squares = np.square(pair.degraded.astype(np.int16) - pair.target, dtype=np.int32)
    areas = region_areas(severe)
    background = squares[:0] if pair.spots is None else squares[np.abs(pair.spots).max(-1) < _FAINT_LEVELS / 255]
    return Statistics(
        psnr_db=psnr_db(float(squares.mean())),
        background_db=psnr_db(float(background.mean())) if len(background) else None,
        over_30_percent=100 * float(severe.mean()),
        regions=len(areas),
        radius_px=float(np.median(np.sqrt(areas / pi))) if len(areas) else None,
    )


def summary(found: Sequence[Statistics]) -> list[str]:
    """Lines of text: of each number the median and the range from 5 % to 95 % of the pairs that have it."""
    lines = [f"{name:24}{_spread((value(one) for one in found), digits, unit)}" for name, unit, digits, value in _ROWS]
    return [f"{'median [5 % to 95 %]':24}of {len(found)} pairs", *lines]


def _spread(values: Iterable[float | None], digits: int, unit: str) -> str:
    known = [value for value in values if value is not None and isfinite(value)]
    if not known:
        return "-"
    low, median, high = np.percentile(known, (5, 50, 95))
    return f"{median:.{digits}f} {unit}".rstrip() + f" [{low:.{digits}f} to {high:.{digits}f}]"
