"""PSNR where the target has edges: how sharp and how right they are."""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

import numpy as np
from scipy.ndimage import gaussian_gradient_magnitude

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison
from benchmark.evaluation.metrics.psnr import decibels

_SIGMA_PX = 1.0
_LUMA = np.array([0.299, 0.587, 0.114])
_FLAT_LEVELS = 1e-6
"""Gradients below are rounding errors of a flat image, levels per pixel."""


class PsnrEdges(ComparisonMetric):
    """PSNR with each pixel weighted by the gradient of the target's luminance, in dB."""

    unit, direction, decimals = "dB", "higher", 2
    formula = "10 log10(255^2 sum w / sum w e^2), w: gradient of the target's luminance (Gaussian, 1 px), e^2: over RGB"
    needs = ("target",)

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the weighted PSNR; None where the target is flat."""
        weights = np.asarray(gaussian_gradient_magnitude(comparison.target @ _LUMA, _SIGMA_PX), np.float64)
        if weights.max() < _FLAT_LEVELS:
            return None
        squared_error = np.square(comparison.error).mean(axis=2)
        mean_square = float((weights * squared_error).sum() / weights.sum())
        return decibels(255**2, mean_square)
