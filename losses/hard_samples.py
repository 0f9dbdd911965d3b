"""L1 over the worst images of a batch."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss
from losses._shared import check_share, worst_mean


class HardSamples(Loss):
    """Mean over the `share` of the batch's images with the largest error, at least one of them.

    The error of an image is its mean |restored - target|, so with `share` 1, or a batch of 1, this is L1. The other
    images get no gradient in this step.

    Args:
        share: share of the images of a batch, above 0 and at most 1.

    Raises:
        ValueError: `share` is outside this range.
    """

    formula = "mean over the worst share of images of mean |restored - target|"
    origin = "Online hard example mining (Shrivastava et al., CVPR 2016), for whole patches; the share is our choice."

    pools_images = True

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        check_share(share)
        self.share = share

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar; its gradient is 0 where restored and target are equal."""
        errors = (restoration.image.float() - batch.target.float()).abs().mean(dim=(1, 2, 3))
        return worst_mean(errors, self.share)
