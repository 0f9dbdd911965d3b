"""Texture: whether fine detail of the background survived."""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from benchmark.evaluation.metrics import ComparisonMetric, Image, ImageComparison, Mask, builtin_facts

_LUMA_THOUSANDTHS = np.array([299, 587, 114], dtype=np.float64)
_BINOMIAL = (0.25, 0.5, 0.25)


class Texture(ComparisonMetric):
    """Energy of fine detail over the background, restored / target; below 1 is smoothed, above 1 is noise."""

    unit, direction, formula = builtin_facts("texture")

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the ratio of energies; None where the target's background is flat or spots cover the image."""
        background = ~comparison.mask
        target_energy = _energy(comparison.target, background)
        return _energy(comparison.restored, background) / target_energy if target_energy > 0 else None


def texture_band(image: Image) -> NDArray[np.float64]:
    """Return the part of an image at periods of about 1 to 4 px, `H W`, in thousandths of an 8-bit level.

    Luminance (BT.601) minus its blur by [1 2 1] / 4 in both directions: a difference of Gaussians whose wide one is
    the binomial of sigma 0.71 px, and whose narrow one is the pixel itself, since a grid holds no period below 2 px.
    The amplitude kept of a horizontal or vertical wave is sin^2(pi / period): all at 2 px, three quarters at 3 px, half
    at 4 px, a seventh at 8 px. Luminance, because colour at these periods is mostly sensor noise. Every step is exact
    in float64, so a flat image has exactly no texture.
    """
    luminance = image @ _LUMA_THOUSANDTHS
    blurred = correlate1d(correlate1d(luminance, _BINOMIAL, axis=0), _BINOMIAL, axis=1)
    return luminance - np.asarray(blurred, dtype=np.float64)


def _energy(image: Image, region: Mask) -> float:
    return float(np.square(texture_band(image)[region]).sum())
