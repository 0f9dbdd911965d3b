"""PSNR over the spots: how well the damaged pixels were restored."""

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison, builtin_facts
from benchmark.evaluation.metrics.psnr import psnr_over


class PsnrSpots(ComparisonMetric):
    """PSNR over the spots, in dB."""

    unit, direction, formula = builtin_facts("psnr_spots")

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the PSNR over the spots; None where the pair has none."""
        return psnr_over(comparison, comparison.mask)
