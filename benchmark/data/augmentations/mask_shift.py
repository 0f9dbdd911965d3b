"""Mask shift: more damage, by copying spots to clean skin of the same image.

Written from the description of the reference solution ("take the mask region, shift it up and down, left and right or
at other angles, to generate more degraded data"; no gain in its two trials); the way of carrying the damage is ours.
"""

# scipy.ndimage has no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy.ndimage import label, maximum_filter, uniform_filter

from benchmark.data import SPOT_THRESHOLD_LEVELS, Augmentation, Pair, check_share, damage_mask, to_levels

Window = tuple[slice, slice]

_FEATHER_PX = 2
_PORE_RADIUS_PX = 3
_FLOOR_LEVELS = 8.0
"""Added to both images before they are divided: in black hair a level of noise would be a ratio of two."""


class MaskShift(Augmentation):
    """A degraded image with its old spots and, at an offset, the same spots again; the target stays.

    The spots are the pixels where any channel of |target - degraded| exceeds `threshold_levels`, and around them, so
    that soft edges go along, all connected pixels over `edge_levels` and two pixels more. All are moved by one offset:
    up, down, left, right or at a random angle, equally often, by a share of the shorter side uniform in `reach`. They
    land only on pixels that are no spots themselves and where the target, pores smoothed away, differs by at most
    `likeness_levels` from the target they come from: skin to skin, not skin to hair. `probability`: share of the
    patches that are changed; one without spots stays as it is.

    What moves is the ratio m = degraded / target, with the gain of the clean pixels divided out: a spot absorbs the
    same share of the light on darker skin. It fades to 1 at the edge of the region. The maps are kept: K stays, and D
    makes up for what was taken away, so the equation holds as exactly as before.
    """

    formula = "I' = I * (1 + w * (m - 1)), m = degraded / target of the spots moved by an offset, w their soft region"

    def __init__(
        self,
        probability: float = 0.5,
        threshold_levels: int = SPOT_THRESHOLD_LEVELS,
        edge_levels: int = 10,
        reach: tuple[float, float] = (0.1, 0.5),
        likeness_levels: int = 40,
    ) -> None:
        check_share("probability", probability)
        if not 0 < reach[0] <= reach[1] < 1:
            raise ValueError(f"reach is [{reach[0]}, {reach[1]}]; write two shares of the side above 0 and below 1")
        if not 0 <= edge_levels <= threshold_levels <= 255 or not 0 <= likeness_levels <= 255:
            raise ValueError("edge_levels, threshold_levels (no less) and likeness_levels must be from 0 to 255")
        self._probability = probability
        self._threshold_levels = threshold_levels
        self._edge_levels = edge_levels
        self._reach = reach
        self._likeness_levels = likeness_levels

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the pair with more spots, maps kept; the same pair if it has no spots."""
        if rng.random() >= self._probability:
            return pair
        height, width = pair.degraded.shape[:2]
        origin, landing = _windows(height, width, *self._offset(min(height, width), rng))
        cores = damage_mask(pair.degraded, pair.target, self._threshold_levels)
        if not cores.any():
            return pair
        undamaged = to_levels(_clean_gain(pair, cores) * pair.target)
        spots = _connected(damage_mask(pair.degraded, undamaged, self._edge_levels) | cores, cores)
        clean = ~spots[landing]
        skin = np.asarray(Image.fromarray(pair.target).filter(ImageFilter.BoxBlur(_PORE_RADIUS_PX)))  # without pores
        alike = ~damage_mask(skin[origin], skin[landing], self._likeness_levels)
        grown = np.asarray(maximum_filter(spots, 2 * _FEATHER_PX + 1, mode="constant"), np.bool_)
        weight = _soft(grown[origin] & clean & alike) * clean
        return _damaged(pair, undamaged, origin, landing, weight)

    def _offset(self, side: int, rng: np.random.Generator) -> tuple[int, int]:
        """Return rows down and columns to the right."""
        distance = side * rng.uniform(*self._reach)
        direction = int(rng.integers(5))
        angle = direction * math.pi / 2 if direction < 4 else rng.uniform(0, 2 * math.pi)
        return round(distance * math.sin(angle)), round(distance * math.cos(angle))


def _windows(height: int, width: int, down: int, right: int) -> tuple[Window, Window]:
    """Return the windows that moved pixels come from and land in, without those that would land outside."""
    return (
        (slice(max(0, -down), height - max(0, down)), slice(max(0, -right), width - max(0, right))),
        (slice(max(0, down), height - max(0, -down)), slice(max(0, right), width - max(0, -right))),
    )


def _clean_gain(pair: Pair, cores: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return degraded / target per channel outside the spots, from every fourth row and column, for speed."""
    grid = (slice(None, None, 4), slice(None, None, 4))
    clean = ~cores[grid]
    degraded, target = (image[grid][clean].sum(0, np.float32) + 1 for image in (pair.degraded, pair.target))
    return degraded / target


def _connected(region: NDArray[np.bool_], cores: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the connected parts of a region that contain a core."""
    labels = np.empty(region.shape, np.int32)
    chosen = np.zeros(1 + int(label(region, output=labels)), np.bool_)  # pyright: ignore[reportArgumentType]  # a count
    chosen[labels[cores]] = True
    return chosen[labels]


def _soft(region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return weights: 1 well inside a region, falling to 0 at its edge; single missing pixels hardly matter."""
    mean = np.asarray(uniform_filter(region.astype(np.float32), 2 * _FEATHER_PX + 1, mode="constant"), np.float32)
    return np.clip(2 * mean - 1, 0, 1)  # the mean over a square is 1/2 at a straight edge


def _damaged(
    pair: Pair, undamaged: NDArray[np.uint8], origin: Window, landing: Window, weight: NDArray[np.float32]
) -> Pair:
    """Return the pair with the damage of `origin` added at `landing`, times `weight`."""
    places = np.nonzero(weight)
    ratio = (pair.degraded[origin][places] + _FLOOR_LEVELS) / (undamaged[origin][places] + _FLOOR_LEVELS)
    old = pair.degraded[landing][places]
    new = to_levels(old + weight[places][:, None] * (ratio - 1) * (old + _FLOOR_LEVELS))
    degraded = pair.degraded.copy()
    degraded[landing][places] = new
    if pair.gain is None or pair.spots is None:
        return replace(pair, degraded=degraded)
    taken = (old.astype(np.float32) - new) / 255
    spots = pair.spots.copy()
    spots[landing][places] += (1 + pair.gain[landing][places]) * taken
    return replace(pair, degraded=degraded, spots=spots)
