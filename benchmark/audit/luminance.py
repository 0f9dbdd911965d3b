"""Brightness of an image, as the checks see it."""

import numpy as np
from numpy.typing import NDArray

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def luminance(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luminance (BT.601) of an image `H W 3`, `H W`, in 8-bit levels."""
    return image.astype(np.float32) @ _LUMA
