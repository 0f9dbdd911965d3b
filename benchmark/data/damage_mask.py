"""Where a pair is damaged severely."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

SPOT_THRESHOLD_LEVELS: Final = 30
"""The reference solution's rule: a pixel is damaged where any channel differs by more than this many 8-bit levels."""


def over_threshold(
    degraded: NDArray[np.uint8], target: NDArray[np.uint8], levels: int = SPOT_THRESHOLD_LEVELS
) -> NDArray[np.bool_]:
    """Pixels `H W` where any channel of |target - degraded| exceeds `levels`."""
    difference = np.maximum(degraded, target) - np.minimum(degraded, target)  # never leaves uint8
    over = difference > levels
    return over[..., 0] | over[..., 1] | over[..., 2]
