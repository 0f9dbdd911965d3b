"""L1 over the worst pixels of each image: the average of a pixel loss is made by skin that was right from the start."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss
from losses._topk import check_share, worst_mean


class HardPixels(Loss):
    """Mean over the `share` of pixels with the largest error, image by image, then over the batch.

    The error of a pixel is the mean over RGB of |restored - target|, so with `share` 1 this is L1. Each image has as
    many hard pixels as the next (`hard_samples` chooses among images), and there is at least one. Which pixels they
    are is decided anew in every step; the others get no gradient in it, so combine this with a loss over all pixels.
    Raises ValueError if `share` is not above 0 and at most 1.
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
        """Scalar float32; the gradient is 0 where restored and target are equal."""
        errors = (restoration.image.float() - batch.target.float()).abs().mean(dim=1)
        return worst_mean(errors.flatten(1), self.share).mean()
