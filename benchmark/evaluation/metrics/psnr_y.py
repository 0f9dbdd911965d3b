"""PSNR of luma with a border cut, as papers on super-resolution report it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.metrics import ComparisonMetric, Image, ImageComparison
from benchmark.evaluation.metrics.psnr import decibels

BORDER_PX: Final = 4
"""Cut from each side. Papers cut as many pixels as the factor of super-resolution; this is that of x4."""
_LUMA: Final = np.array([65.481, 128.553, 24.966]) / 255


class PsnrY(ComparisonMetric):
    """PSNR of Y of BT.601 in studio range, not rounded, without 4 px at each side, in dB."""

    unit, direction, decimals = "dB", "higher", 2
    formula = "PSNR of Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255 (BT.601), 4 px of border cut, peak 255"
    needs = ("target",)
    min_side = 2 * BORDER_PX + 1

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the PSNR; None for an image that is all border."""
        if min(comparison.target.shape[:2]) < self.min_side:
            return None
        error = luma_without_border(comparison.restored) - luma_without_border(comparison.target)
        mean_square = float(np.square(error).mean())
        return decibels(255**2, mean_square)


def luma_without_border(image: Image) -> NDArray[np.float64]:
    """Return Y of an image without its border, `H-8 W-8`, in [16, 235], not rounded."""
    return luma(image[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX])


def luma(image: Image) -> NDArray[np.float64]:
    """Return Y of an image, `H W`, in [16, 235], not rounded."""
    return 16 + image @ _LUMA
