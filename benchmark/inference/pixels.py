"""Arrays of pixels as users have them, and as networks take them: float32 in [0, 1], `H W 3`, and back."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError

UnitImage = NDArray[np.float32]
"""`H W 3`, RGB, in [0, 1]."""
_LARGEST_FLOAT = 2.0
"""Noise that was not clipped leaves [0, 1] a little; beyond this the image has other units, e.g. 0 to 255."""


def to_unit(image: NDArray[Any]) -> UnitImage:
    """Return an image as float32 in [0, 1].

    Args:
        image: `H W 3`, `H W 1` or `H W` (grey); uint8, uint16, or float with values in [0, 1].

    Raises:
        DataError: Another shape or type, no pixel, or values that are not finite or far outside of [0, 1].
    """
    grey = image[..., None] if image.ndim == 2 else image
    if grey.ndim != 3 or grey.shape[2] not in (1, 3) or 0 in grey.shape:
        raise DataError(f"an image of shape {image.shape}; expected H x W x 3 (RGB), H x W x 1 or H x W (grey)")
    if image.dtype in (np.dtype(np.uint8), np.dtype(np.uint16)):
        unit = grey.astype(np.float32, order="C") / np.float32(np.iinfo(image.dtype).max)
    elif np.issubdtype(image.dtype, np.floating):
        unit = grey.astype(np.float32, order="C")
        if not np.isfinite(unit).all():
            raise DataError("an image with NaN or infinite values; expected float values from 0 to 1")
        if np.abs(unit).max() > _LARGEST_FLOAT:
            raise DataError(
                f"a float image with values from {unit.min():g} to {unit.max():g}; expected 0 to 1: divide it by 255, "
                "or convert it to uint8"
            )
    else:
        raise DataError(f"an image of type {image.dtype}; expected uint8, uint16 or float")
    return unit if unit.shape[2] == 3 else np.repeat(unit, 3, axis=2)


def like(unit: UnitImage, image: NDArray[Any]) -> NDArray[Any]:
    """Return a restored image with the type and the shape of the image that it was restored from.

    Values are clipped to [0, 1] and, for integers, rounded to the nearest level. Grey is the mean of the channels.
    """
    clipped = np.clip(unit, 0, 1)
    if image.ndim == 2 or image.shape[2] == 1:
        clipped = clipped.mean(axis=2, dtype=np.float32).reshape(image.shape)
    if np.issubdtype(image.dtype, np.integer):
        return np.rint(clipped * np.float32(np.iinfo(image.dtype).max)).astype(image.dtype)
    return clipped.astype(image.dtype)
