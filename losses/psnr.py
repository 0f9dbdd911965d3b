"""PSNR as a loss: the metric itself, image by image."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss

_EPSILON = 1e-8


class Psnr(Loss):
    """Negative PSNR in dB with peak 1, mean over the images of a batch, as the metric is averaged over images.

    Equal images give -80 dB and gradient 0. The restored image is neither clamped nor rounded, so the value differs
    from that of the metric.
    """

    formula = "mean over images of 10 log10(mean (restored - target)^2 + 1e-8)"
    origin = "Stage 2 of the reference solution; the form of HINet (Chen et al., CVPRW 2021) and NAFNet."

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar in dB, at least -80."""
        squared_error = (restoration.image.float() - batch.target.float()).square()
        return 10 * (squared_error.mean(dim=(1, 2, 3)) + _EPSILON).log10().mean()
