"""PSNR as a loss: what the score measures, image by image."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss

_EPSILON = 1e-8


class Psnr(Loss):
    """Minus PSNR in dB of each image, then the mean over the batch: the metric is averaged over images, too.

    The peak is 1. Equal images give -80 dB and gradient 0. The restored image is neither clamped nor rounded,
    so the value is not that of the metric.
    """

    formula = "mean over images of 10 log10(mean (restored - target)^2 + 1e-8)"
    origin = "Stage 2 of the reference solution; the form of HINet (Chen et al., CVPRW 2021) and NAFNet."

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Scalar float32 in dB, at least -80."""
        squared_error = (restoration.image.float() - batch.target.float()).square()
        return 10 * (squared_error.mean(dim=(1, 2, 3)) + _EPSILON).log10().mean()
