"""Mixup: the weighted mean of two patches.

Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data import MixAugmentation, Pair, check_share, to_half, to_levels

_DARK_LEVELS = np.float32(1e-3)
"""Added to both weights of K: where both patches are black, any mean of the two will do."""


class Mixup(MixAugmentation):
    """The weighted mean of this patch and another one, degraded and target alike.

    The weight is drawn from Beta(`alpha`, `alpha`): near 0 or 1 for a small alpha, near 1/2 for a large one; 1.2 is
    customary in restoration. `probability`: share of the patches that are mixed. The maps are kept if both patches have
    them: D is the weighted mean of both, K the mean weighted by brightness, too (weights t * I1 and (1 - t) * I2), for
    which the equation holds.
    """

    formula = "I' = t * I1 + (1 - t) * I2, J' = t * J1 + (1 - t) * J2, t from Beta(alpha, alpha)"

    def __init__(self, probability: float = 0.5, alpha: float = 1.2) -> None:
        check_share("probability", probability)
        if alpha <= 0:
            raise ValueError(f"alpha is {alpha}; it must be above 0")
        self._probability = probability
        self._alpha = alpha

    def mix(self, pair: Pair, draw_other: Callable[[], Pair], rng: np.random.Generator) -> Pair:
        """Return the mixed pair under the name of the first."""
        if rng.random() >= self._probability:
            return pair
        share = rng.beta(self._alpha, self._alpha)
        other = draw_other()
        first, second = _times(share, pair.degraded), _times(1 - share, other.degraded)
        mixed = replace(
            pair,
            degraded=to_levels(first + second),
            target=to_levels(_times(share, pair.target) + _times(1 - share, other.target)),
            gain=None,
            spots=None,
        )
        if pair.gain is None or pair.spots is None or other.gain is None or other.spots is None:
            return mixed
        first += _DARK_LEVELS
        second += _DARK_LEVELS
        gain = (first * pair.gain + second * other.gain) / (first + second)
        spots = _times(share, pair.spots) + _times(1 - share, other.spots)
        return replace(mixed, gain=to_half(gain), spots=to_half(spots))


def _times(factor: float, values: NDArray[Any]) -> NDArray[np.float32]:
    return np.multiply(factor, values, dtype=np.float32)
