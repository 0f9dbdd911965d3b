"""Other exposures and white balances: each colour channel times a gain of its own."""

from dataclasses import replace
from typing import Literal

import numpy as np

from benchmark.data import Augmentation, Pair, check_range, clipped_away, to_half, to_levels


class ChannelGain(Augmentation):
    """R, G and B of the whole patch times a random gain each, uniform in `gain_range`, clipped at 255.

    `images`: `both` changes the photograph (degraded and target alike), `degraded` the degradation, which the network
    then has to undo. The maps are kept: with the gains a of the degraded and b of the target image, K becomes
    (1 + K) * b / a - 1 and D becomes b * D; where a value is clipped at 255, D makes up for it.
    """

    formula = "I' = g * I, J' = g * J (images: both) or I' = g * I (images: degraded), g uniform, one a channel"

    def __init__(
        self, gain_range: tuple[float, float] = (0.9, 1.1), images: Literal["both", "degraded"] = "both"
    ) -> None:
        check_range("gain_range", gain_range, 0.1, 10)
        self._gain_range = gain_range
        self._images = images

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the pair in other colours, maps kept."""
        a = rng.uniform(*self._gain_range, 3).astype(np.float32)
        b = a if self._images == "both" else np.ones(3, np.float32)
        degraded, target = a * pair.degraded, b * pair.target
        changed = replace(pair, degraded=to_levels(degraded), target=to_levels(target))
        if pair.gain is None or pair.spots is None:
            return changed
        gain = (1 + pair.gain.astype(np.float32)) * (b / a) - 1
        spots = b * pair.spots.astype(np.float32) + (1 + gain) * clipped_away(degraded) - clipped_away(target)
        return replace(changed, gain=to_half(gain), spots=to_half(spots))
