"""L1 over the worst pixels of each image, because intact skin dominates the average over all pixels."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss
from losses._shared import check_share, worst_mean


class HardPixels(Loss):
    """Mean over the `share` of pixels with the largest error, image by image, then over the batch.

    The error of a pixel is the mean over RGB of |restored - target|, so with `share` 1 this is L1. All images have the
    same number of hard pixels, at least one (`hard_samples` chooses among images). They are chosen anew in every step;
    the other pixels get no gradient in it, so combine this with a loss over all pixels.

    Args:
        share: share of the pixels of an image, above 0 and at most 1.

    Raises:
        ValueError: `share` is outside this range.
    """

    formula = "mean over the worst share of pixels of mean over RGB |restored - target|"
    origin = (
        "Online hard example mining (Shrivastava et al., CVPR 2016), for pixels as in the bootstrapped loss of Wu et "
        "al., arXiv 1605.06885. Error and share are our choice; severe damage is 0.1 to 2 % of a synthetic face."
    )

    def __init__(self, share: float = 0.1) -> None:
        super().__init__()
        check_share(share)
        self.share = share

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar; its gradient is 0 where restored and target are equal."""
        errors = (restoration.image.float() - batch.target.float()).abs().mean(dim=1)
        return worst_mean(errors.flatten(1), self.share).mean()
