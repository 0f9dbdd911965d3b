"""Residual spectrum: how much of the remaining error is broad."""

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison

_LOW_CYCLES_PER_PX = 1 / 16


class ResidualSpectrum(ComparisonMetric):
    """Share of the error's energy at periods above 16 px, in [0, 1].

    The error falls into broad tint and shading (periods above 16 px), structures (4 to 16 px) and texture and noise
    (below 4 px). The first share is the number: it is what PSNR hides most. Of two rows with one PSNR, the row with the
    smaller share leaves less that is seen as a stain and that a curve or a blur could mend. White noise has 1.2 %.
    Error means restored minus target; a Hann window keeps the image's border out.
    """

    direction, decimals = "lower", 4
    formula = "energy of (restored - target) below 1/16 cycles/px, radial, RGB, Hann window, divided by all its energy"
    needs = ("target",)
    min_side = 32

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the share; None where there is no error, or the image holds too few periods."""
        if min(comparison.target.shape[:2]) < self.min_side:
            return None
        energy, frequency = radial_energy(comparison.restored.astype(np.float64) - comparison.target)
        total = float(energy.sum())
        return float(energy[frequency < _LOW_CYCLES_PER_PX].sum()) / total if total > 0 else None


def radial_energy(error: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return energy over the three channels and radial frequency in cycles/px, `H W` each, of an error `H W 3`."""
    height, width = error.shape[:2]
    window = np.outer(np.hanning(height), np.hanning(width))
    energy = np.square(np.abs(np.fft.fft2(error * window[..., None], axes=(0, 1)))).sum(axis=2)
    return energy, np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
