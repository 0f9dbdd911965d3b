"""MS-SSIM (Wang et al., Asilomar 2003), as pytorch_msssim computes it."""

# pytorch_msssim and parts of torch ship no types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from typing import Final

import torch
from pytorch_msssim import ms_ssim

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison, builtin_facts
from benchmark.evaluation.metrics.ssim import planes

MIN_SIDE: Final = 161
"""Five scales of an 11 x 11 window need so many pixels a side."""


class MsSsim(ComparisonMetric):
    """Structural similarity over five scales, mean over RGB."""

    unit, direction, formula = builtin_facts("ms_ssim")
    needs = ("target",)
    min_side = MIN_SIDE

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the MS-SSIM; None for an image that is too small."""
        return comparison.shared(multi_scale_ssim)


def multi_scale_ssim(comparison: ImageComparison) -> float | None:
    """Return the MS-SSIM of 8-bit values, computed in float32 whatever autocast is active around it."""
    if min(comparison.target.shape[:2]) < MIN_SIDE:
        return None
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        return float(ms_ssim(*comparison.shared(planes), data_range=255))
