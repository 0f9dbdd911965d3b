"""PSNR of the whole image; `psnr_over` is the same over a region."""

from math import log10
from typing import Final

import numpy as np

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison, Mask, builtin_facts, sum_over

CAP_DB: Final = 100.0
"""PSNR of equal images, so that a mean stays finite; no image with an error has more."""


class Psnr(ComparisonMetric):
    """Peak signal-to-noise ratio over all pixels and channels, in dB."""

    unit, direction, formula = builtin_facts("psnr")
    needs = ("target",)

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the PSNR."""
        return comparison.shared(psnr)


def psnr(comparison: ImageComparison) -> float:
    """Return the PSNR over all pixels, in dB."""
    return _decibels(comparison, np.ones(comparison.target.shape[:2], np.bool_))


def psnr_over(comparison: ImageComparison, region: Mask) -> float | None:
    """Return the PSNR over a region, in dB; None if the region is empty."""
    return _decibels(comparison, region) if region.any() else None


def _decibels(comparison: ImageComparison, region: Mask) -> float:
    squared_error = sum_over(comparison.error * comparison.error, region)
    largest = 255**2 * 3 * int(np.count_nonzero(region))
    return decibels(largest, squared_error)


def decibels(largest: float, squared_error: float) -> float:
    """Return the ratio of the largest squared error that is possible to the present one in dB, at most `CAP_DB`."""
    return min(CAP_DB, 10 * log10(largest / squared_error)) if squared_error else CAP_DB
