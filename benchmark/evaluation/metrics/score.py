"""The score of the retouching contest: the mean of PSNR / 100 and MS-SSIM."""

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison, builtin_facts
from benchmark.evaluation.metrics.ms_ssim import MIN_SIDE, multi_scale_ssim
from benchmark.evaluation.metrics.psnr import psnr


class Score(ComparisonMetric):
    """(PSNR / 100 + MS-SSIM) / 2."""

    unit, direction, formula = builtin_facts("score")
    needs = ("target",)
    min_side = MIN_SIDE

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the score; None where the image is too small for MS-SSIM."""
        psnr_db, similarity = comparison.shared(psnr), comparison.shared(multi_scale_ssim)
        return None if similarity is None else (psnr_db / 100 + similarity) / 2
