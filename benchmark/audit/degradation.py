"""What lies between degraded and target: the numbers a degradation model is chosen by."""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from dataclasses import dataclass
from math import inf, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from benchmark.data import damage_mask

Channels = tuple[float, float, float]
_PEAK = 255


@dataclass(frozen=True)
class Degradation:
    """One pair, in 8-bit levels. Severe pixels: any channel of |target - degraded| over 30.

    `histogram`: pixels by their largest channel difference, 0 to 255. `severe_energy`: the severe pixels' share of the
    summed squared difference (None between equal images). `gain`, `offset`: least squares of target = gain * degraded
    + offset on the other pixels, a channel each; in target = K * degraded + D + degraded they are 1 + K and D.
    `regions`: connected severe regions by area, those of 1, of 2 and 3, of 4 to 7, ... pixels. `damage`: mean of
    degraded - target over the severe pixels, None where there are too few to tell.
    """

    psnr_db: float
    histogram: tuple[int, ...]
    severe_share: float
    severe_energy: float | None
    gain: Channels
    offset: Channels
    regions: tuple[int, ...]
    damage: Channels | None


_FEWEST_SEVERE = 20


def analyse(degraded: NDArray[np.uint8], target: NDArray[np.uint8]) -> Degradation:
    """The degradation of a pair of images `H W 3` of one size. `psnr_db` is infinite between equal ones."""
    severe = damage_mask(degraded, target)
    difference = degraded.astype(np.int16) - target
    energy = np.square(difference, dtype=np.int32).sum(-1)
    total, of_severe = int(energy.sum(dtype=np.int64)), int(energy[severe].sum(dtype=np.int64))
    largest = np.abs(difference).max(-1)
    fits = [_affine(degraded[..., channel], target[..., channel], ~severe) for channel in range(3)]
    return Degradation(
        psnr_db=psnr_db(total / degraded.size),
        histogram=tuple(np.bincount(largest.ravel(), minlength=_PEAK + 1).tolist()),
        severe_share=float(severe.mean()),
        severe_energy=of_severe / total if total else None,
        gain=(fits[0][0], fits[1][0], fits[2][0]),
        offset=(fits[0][1], fits[1][1], fits[2][1]),
        regions=_by_area(region_areas(severe)),
        damage=_mean_damage(difference, severe),
    )


def _affine(degraded: NDArray[np.uint8], target: NDArray[np.uint8], where: NDArray[np.bool_]) -> tuple[float, float]:
    before, after = (image[where].astype(np.float64) for image in (degraded, target))
    if not len(before):
        return 1.0, 0.0
    spread = float(before.var())
    gain = float(((before - before.mean()) * (after - after.mean())).mean()) / spread if spread else 1.0
    return gain, float(after.mean() - gain * before.mean())


def _by_area(areas: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(np.bincount(np.log2(areas).astype(int)).tolist()) if len(areas) else ()


def region_areas(severe: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels of each connected region (8 neighbours) of a mask `H W`."""
    found: Any = label(severe, np.ones((3, 3)))
    return np.bincount(found[0].ravel())[1:]


def psnr_db(square: float) -> float:
    """PSNR of a mean squared difference in 8-bit levels; infinite for none."""
    return 10 * log10(_PEAK**2 / square) if square else inf


def _mean_damage(difference: NDArray[np.int16], severe: NDArray[np.bool_]) -> Channels | None:
    if np.count_nonzero(severe) < _FEWEST_SEVERE:
        return None
    red, green, blue = difference[severe].mean(0).tolist()
    return red, green, blue
