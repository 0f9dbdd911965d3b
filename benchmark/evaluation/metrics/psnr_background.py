"""PSNR over the background: how well the undamaged pixels were left alone."""

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison, builtin_facts
from benchmark.evaluation.metrics.psnr import psnr_over


class PsnrBackground(ComparisonMetric):
    """PSNR over all pixels that are not spots, in dB."""

    unit, direction, formula = builtin_facts("psnr_background")

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the PSNR over the background; None where spots cover the image."""
        return psnr_over(comparison, ~comparison.mask)
