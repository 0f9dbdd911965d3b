"""PSNR as a loss: the metric itself, image by image or over the batch."""

from typing import Literal

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss

_EPSILON = 1e-8


class Psnr(Loss):
    """Negative PSNR in dB with peak 1: mean over the images of a batch, or of the batch as if it were one image.

    `over: image` averages as the metric does. The logarithm makes the images that are almost right count most: pairs
    without damage dominate a batch. `over: batch` takes the logarithm of the mean squared error of all images, so the
    images that are furthest from right count most. It needs whole batches (`accumulate: 1`).

    Equal images give -80 dB and gradient 0. The restored image is neither clamped nor rounded, so the value differs
    from that of the metric.
    """

    formula = "10 log10(mean (restored - target)^2 + 1e-8), per image and averaged, or once over the batch"
    origin = (
        "Stage 2 of the reference solution; the form per image is that of HINet (Chen et al., CVPRW 2021) and NAFNet; "
        "over the batch: our choice."
    )

    def __init__(self, over: Literal["image", "batch"] = "image") -> None:
        super().__init__()
        self.pools_images = over == "batch"

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar in dB, at least -80."""
        squared_error = (restoration.image.float() - batch.target.float()).square()
        error = squared_error.mean() if self.pools_images else squared_error.mean(dim=(1, 2, 3))
        return 10 * (error + _EPSILON).log10().mean()
