"""The degradation between degraded and target: of a pair in detail, of a set of pairs as a few numbers.

A degradation model is chosen by these numbers. The presets of the synthetic faces were fitted to those of `Statistics`,
which can be compared with the user's own pictures.
"""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log10, pi
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from benchmark.data import Pair, damage_mask
from benchmark.errors import counted

Channels = tuple[float, float, float]
_PEAK = 255
_FEWEST_SEVERE = 20
_FAINT_LEVELS = 4  # a pixel that a spot changes by less is background


@dataclass(frozen=True)
class Degradation:
    """One pair, in 8-bit levels. Severe pixels: any channel of |target - degraded| over 30.

    `histogram`: pixels by their largest channel difference, 0 to 255. `severe_energy`: the severe pixels' share of the
    summed squared difference (None between equal images). `gain`, `offset`: least squares of target = gain * degraded
    + offset on the other pixels, a channel each; in target = K * degraded + D + degraded they are 1 + K and D.
    `regions`: connected severe regions by area, those of 1, of 2 and 3, of 4 to 7, ... pixels. `damage`: mean of
    degraded - target over the severe pixels, None where there are too few.
    """

    psnr_db: float
    histogram: tuple[int, ...]
    severe_share: float
    severe_energy: float | None
    gain: Channels
    offset: Channels
    regions: tuple[int, ...]
    damage: Channels | None


def analyse(degraded: NDArray[np.uint8], target: NDArray[np.uint8]) -> Degradation:
    """Return the degradation of a pair of images `H W 3` of one size; `psnr_db` is infinite between equal ones."""
    severe = damage_mask(degraded, target)
    difference = degraded.astype(np.int16) - target
    energy = np.square(difference, dtype=np.int32).sum(-1)
    total, of_severe = int(energy.sum(dtype=np.int64)), int(energy[severe].sum(dtype=np.int64))
    largest, areas = np.abs(difference).max(-1), region_areas(severe)
    fits = [_affine(degraded[..., channel], target[..., channel], ~severe) for channel in range(3)]
    return Degradation(
        psnr_db=psnr_db(total / degraded.size),
        histogram=tuple(np.bincount(largest.ravel(), minlength=_PEAK + 1).tolist()),
        severe_share=float(severe.mean()),
        severe_energy=of_severe / total if total else None,
        gain=(fits[0][0], fits[1][0], fits[2][0]),
        offset=(fits[0][1], fits[1][1], fits[2][1]),
        regions=tuple(np.bincount(np.log2(areas).astype(int)).tolist()) if len(areas) else (),
        damage=_mean_damage(difference, severe),
    )


def _affine(degraded: NDArray[np.uint8], target: NDArray[np.uint8], where: NDArray[np.bool_]) -> tuple[float, float]:
    """Return gain and offset of the least-squares fit target = gain * degraded + offset on some pixels of a channel."""
    before, after = (image[where].astype(np.float64) for image in (degraded, target))
    if not len(before):
        return 1.0, 0.0
    spread = float(before.var())
    gain = float(((before - before.mean()) * (after - after.mean())).mean()) / spread if spread else 1.0
    return gain, float(after.mean() - gain * before.mean())


def region_areas(severe: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the pixels of each connected region (8 neighbours) of a mask `H W`."""
    labelled: Any = label(severe, np.ones((3, 3)))
    return np.bincount(labelled[0].ravel())[1:]


def psnr_db(square: float) -> float:
    """Return the PSNR of a mean squared difference in 8-bit levels; infinite for none."""
    return 10 * log10(_PEAK**2 / square) if square else inf


def _mean_damage(difference: NDArray[np.int16], severe: NDArray[np.bool_]) -> Channels | None:
    if np.count_nonzero(severe) < _FEWEST_SEVERE:
        return None
    red, green, blue = difference[severe].mean(0).tolist()
    return red, green, blue


@dataclass(frozen=True)
class Statistics:
    """The statistics of one pair.

    Attributes:
        psnr_db: PSNR of the degraded image.
        background_db: PSNR where no spot is; None where the source does not know its spots, or they are everywhere.
        over_30_percent: share of pixels where a channel is off by more than 30 levels.
        regions: how many connected regions (8 neighbours) they form.
        radius_px: median radius of these, that of a disc of equal area; None where there are none.
    """

    psnr_db: float
    background_db: float | None
    over_30_percent: float
    regions: int
    radius_px: float | None


_ROWS: Final[Sequence[tuple[str, str, int, Callable[[Statistics], float | None]]]] = (
    ("PSNR of degraded", "dB", 1, lambda pair: pair.psnr_db),
    ("PSNR without spots", "dB", 1, lambda pair: pair.background_db),
    ("pixels over 30 levels", "%", 3, lambda pair: pair.over_30_percent),
    ("regions over 30 levels", "", 0, lambda pair: pair.regions),
    ("their radius", "px", 2, lambda pair: pair.radius_px),
)


def statistics(pair: Pair) -> Statistics:
    """Return the statistics of a pair."""
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


def summary(pairs: Sequence[Statistics]) -> list[str]:
    """Return lines of text: of each number the median and the range from 5 % to 95 % of the pairs that have it."""
    lines = [f"{name:24}{_spread(map(value, pairs), digits, unit)}" for name, unit, digits, value in _ROWS]
    return [f"{'median [5 % to 95 %]':24}of {counted(len(pairs), 'pair')}", *lines]


def _spread(values: Iterable[float | None], digits: int, unit: str) -> str:
    finite = [value for value in values if value is not None and isfinite(value)]
    if not finite:
        return "-"
    low, median, high = np.percentile(finite, (5, 50, 95))
    return f"{median:.{digits}f} {unit}".rstrip() + f" [{low:.{digits}f} to {high:.{digits}f}]"
