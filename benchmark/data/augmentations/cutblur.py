"""CutBlur: teaches a network to restore what is damaged and to leave the rest alone.

Yoo, Ahn, Sohn, "Rethinking Data Augmentation for Image Super-resolution", CVPR 2020, here for pairs of equal size. The
sizes of the rectangles are ours.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Augmentation, Pair, check_share


class Cutblur(Augmentation):
    """A random rectangle of the degraded image replaced by the target's; as often, all but the rectangle.

    `size_range`: smallest and largest share of each side; height and width are drawn independently, uniform.
    `probability`: share of the patches that are changed. The maps are kept: where the degraded image is the target, K
    and D are 0.
    """

    formula = "I' = M * J + (1 - M) * I or M * I + (1 - M) * J, equally often, M a random rectangle"

    def __init__(self, probability: float = 0.5, size_range: tuple[float, float] = (0.2, 0.8)) -> None:
        check_share("probability", probability)
        if not 0 < size_range[0] <= size_range[1] <= 1:
            raise ValueError(f"size_range is [{size_range[0]}, {size_range[1]}]; write two shares above 0, at most 1")
        self._probability = probability
        self._size_range = size_range

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the pair with part of the degraded image clean, maps kept."""
        if rng.random() >= self._probability:
            return pair
        clean = self._rectangle(pair.degraded.shape[:2], rng)
        if rng.random() < 0.5:
            clean = ~clean
        nothing = np.float16(0)
        return replace(
            pair,
            degraded=np.where(clean, pair.target, pair.degraded),
            gain=None if pair.gain is None else np.where(clean, nothing, pair.gain),
            spots=None if pair.spots is None else np.where(clean, nothing, pair.spots),
        )

    def _rectangle(self, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.bool_]:
        """Return a mask `H W 1`, true inside a rectangle of at least one pixel."""
        mask = np.zeros((*shape, 1), np.bool_)
        sides = [max(1, round(side * rng.uniform(*self._size_range))) for side in shape]
        top, left = (int(rng.integers(whole - side + 1)) for whole, side in zip(shape, sides, strict=True))
        mask[top : top + sides[0], left : left + sides[1]] = True
        return mask
