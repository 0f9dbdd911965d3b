"""Other exposures and white balances: each colour channel times a gain of its own."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Augmentation, Pair
from benchmark.data.augmentations._maps import to_half


class ChannelGain(Augmentation):
    """R, G and B of the whole patch times a random gain each, uniform in `gain_range`, cut at 255.

    `images`: `both` changes the photograph (degraded and target alike), `degraded` the degradation, which the network
    then has to undo. The maps are kept: with the gains a of the degraded and b of the target image, K becomes
    (1 + K) * b / a - 1 and D becomes b * D; where a value is cut at 255, D takes that up.
    """

    formula = "I' = g * I, J' = g * J (images: both) or I' = g * I (images: degraded), g uniform, one a channel"

    def __init__(
        self, gain_range: tuple[float, float] = (0.9, 1.1), images: Literal["both", "degraded"] = "both"
    ) -> None:
        low, high = gain_range
        if not 0.1 <= low <= high <= 10:
            raise ValueError(f"gain_range is [{low}, {high}]; write [smallest, largest], both from 0.1 to 10")
        self._gain_range = gain_range
        self._images = images

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """The pair in other colours, maps kept."""
        a = rng.uniform(*self._gain_range, 3).astype(np.float32)
        b = a if self._images == "both" else np.ones(3, np.float32)
        degraded, target = a * pair.degraded, b * pair.target
        changed = replace(pair, degraded=_to_levels(degraded), target=_to_levels(target))
        if pair.gain is None or pair.spots is None:
            return changed
        gain = (1 + pair.gain.astype(np.float32)) * (b / a) - 1
        spots = b * pair.spots.astype(np.float32) + (1 + gain) * _cut(degraded) - _cut(target)
        return replace(changed, gain=to_half(gain), spots=to_half(spots))


def _to_levels(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(np.minimum(image, 255)).astype(np.uint8)


def _cut(image: NDArray[np.float32]) -> NDArray[np.floating[Any]]:
    """What lies over 255 and is lost, in [0, 1] units."""
    return np.maximum(image - 255, 0) / 255
