"""SSIM of luma with a border cut, as papers on super-resolution report it."""

# pytorch_msssim and parts of torch ship no types:
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import torch
from pytorch_msssim import ssim

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison
from benchmark.evaluation.metrics.psnr_y import BORDER_PX, luma_without_border
from benchmark.evaluation.metrics.ssim import MIN_SIDE


class SsimY(ComparisonMetric):
    """Structural similarity of Y of BT.601 in studio range, without 4 px at each side."""

    direction = "higher"
    formula = "SSIM of Y (as psnr_y), 4 px of border cut, 11 x 11 Gaussian of sigma 1.5, valid region, peak 255"
    needs = ("target",)
    min_side = MIN_SIDE + 2 * BORDER_PX

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the SSIM; None for an image smaller than border and window."""
        if min(comparison.target.shape[:2]) < self.min_side:
            return None
        images = (comparison.restored, comparison.target)
        restored, target = (torch.from_numpy(luma_without_border(image))[None, None] for image in images)
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            return float(ssim(restored, target, data_range=255))
