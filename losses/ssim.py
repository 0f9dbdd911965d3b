"""Structural similarity at one scale as a loss."""

import torch
from pytorch_msssim import ssim
from torch import Tensor

from heads import Restoration
from losses import Batch, Loss
from losses._checks import check_sides, check_window_size


class Ssim(Loss):
    """1 - SSIM, mean over RGB and images: Gaussian window of sigma 1.5 px, where it lies inside the patch.

    `window_size`: odd, in pixels, and the smallest side of a patch. With 11 it is the window of the metric; values of
    two window sizes do not compare. The restored image is not clamped. The gradient has some 14 times the norm of that
    of L1 (on synthetic faces from 26 to 39 dB): with a weight of 0.07 they are equals.

    Raises ValueError if `window_size` is even or below 3.
    """

    formula = "1 - SSIM(restored, target)"
    origin = (
        "Wang et al., IEEE TIP 2004; as a loss of restoration Zhao et al., IEEE TCI 2017. Computed by pytorch-msssim."
    )

    def __init__(self, window_size: int = 11) -> None:
        super().__init__()
        check_window_size(window_size)
        self.window_size = window_size
        self.min_side = window_size

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Scalar float32 from 0 (equal) to 2 (opposite). Raises ValueError for patches smaller than `min_side`."""
        restored, target = restoration.image.float(), batch.target.float()
        check_sides(restored, self.min_side, "ssim", "enlarge the patch or set a smaller window_size")
        # In bfloat16 autocast the variances lose their digits.
        with torch.autocast(restored.device.type, enabled=False):
            return 1 - ssim(restored, target, data_range=1.0, win_size=self.window_size)
