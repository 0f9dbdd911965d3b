"""Multi-scale structural similarity as a loss."""

import torch
from pytorch_msssim import ms_ssim
from torch import Tensor

from heads import Restoration
from losses import Batch, Loss
from losses._checks import check_sides, check_window_size

_LARGEST_SHRINKING = 16  # five scales, each half the one before


class MsSsim(Loss):
    """1 - MS-SSIM, mean over RGB and images: Gaussian window of sigma 1.5, five scales, published weights.

    `window_size`: odd, in pixels. The patch must be at least (window_size - 1) * 16 + 1 px a side: 161 px with
    11, 97 px with 7. Values of two window sizes do not compare.

    The restored image is not clamped: the formula is defined outside [0, 1], and clamping would take the
    gradient from just the pixels that are furthest off. Where the contrast of a scale is anticorrelated,
    MS-SSIM is 0 and so is its gradient; that is far from any restored image, but not from an untrained
    network: start with another loss. Raises ValueError if `window_size` is even or below 3.
    """

    formula = "1 - MS-SSIM(restored, target)"
    origin = "Wang et al., Asilomar 2003; stage 3 of the reference solution. Computed by pytorch-msssim."

    def __init__(self, window_size: int = 11) -> None:
        super().__init__()
        check_window_size(window_size)
        self.window_size = window_size
        self.min_side = (window_size - 1) * _LARGEST_SHRINKING + 1

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Scalar float32 from 0 (equal) to 1. Raises ValueError for patches smaller than `min_side`."""
        restored, target = restoration.image.float(), batch.target.float()
        check_sides(restored, self.min_side, "ms_ssim", "enlarge the patch or set a smaller window_size (7 needs 97)")
        # In bfloat16 autocast the variances lose their digits, and MS-SSIM has been seen above 1.
        with torch.autocast(restored.device.type, enabled=False):
            return 1 - ms_ssim(restored, target, data_range=1.0, win_size=self.window_size)
