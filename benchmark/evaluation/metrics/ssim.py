"""SSIM (Wang et al., IEEE TIP 2004), as pytorch_msssim computes it."""

# pytorch_msssim and parts of torch ship no types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from typing import Final

import numpy as np
import torch
from pytorch_msssim import ssim
from torch import Tensor

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison, builtin_facts

MIN_SIDE: Final = 11
"""The window of SSIM in pixels."""


class Ssim(ComparisonMetric):
    """Structural similarity, 11 x 11 Gaussian window, mean over RGB."""

    unit, direction, formula = builtin_facts("ssim")
    needs = ("target",)
    min_side = MIN_SIDE

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the SSIM; None for an image smaller than the window."""
        if min(comparison.target.shape[:2]) < MIN_SIDE:
            return None
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            return float(ssim(*comparison.shared(planes), data_range=255))


def planes(comparison: ImageComparison) -> tuple[Tensor, Tensor]:
    """Return restored and target image as `1 3 H W` float32, in 8-bit levels."""
    # The channels stay innermost in memory, where the blurs take half the time.
    images = (comparison.restored, comparison.target)
    restored, target = (torch.from_numpy(image.astype(np.float32, order="C")[None]) for image in images)
    return restored.permute(0, 3, 1, 2), target.permute(0, 3, 1, 2)
