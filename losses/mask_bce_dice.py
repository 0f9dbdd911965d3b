"""Supervision of a predicted mask by the true region of severe damage."""

from torch import Tensor
from torch.nn import functional as F

from heads import Restoration
from losses import Batch, Loss
from losses._maps import predicted_map


class MaskBceDice(Loss):
    """Binary cross-entropy plus Dice loss between the predicted mask M and the mask T of the batch (0 or 1).

    The cross-entropy is the mean over all pixels, and from the logits (map `mask_logits`), so that a mask at 0 or 1 has
    a gradient, too. Spots are 0.1 to 2 % of the pixels, which the mean hardly sees; the Dice loss weighs them against
    each other whatever their share: 1 - (2 sum M T + 1) / (sum M + sum T + 1), image by image, then the mean. The 1
    makes an image without spots cost 0 if its mask is empty. It says nothing of the restored image: combine it with a
    loss that does.
    """

    formula = "BCE(M, T) + 1 - (2 sum M*T + 1) / (sum M + sum T + 1)"
    origin = (
        "Dice loss: V-Net (Milletari et al., 3DV 2016), there with squares in the denominator; the sum of the two is "
        "common in segmentation. T by the rule of the reference solution: any channel of |target - degraded| > 30/255."
    )

    supervises = ("mask",)

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Scalar float32, at least 0. Raises ValueError if the head predicts no mask."""
        remedy = "choose a head that predicts a mask (mask_blend) or leave this loss out"
        logits = predicted_map(restoration, "mask_logits", "mask_bce_dice", remedy)
        truth = batch.mask.float()
        return F.binary_cross_entropy_with_logits(logits, truth) + _dice_loss(logits.sigmoid(), truth)


def _dice_loss(mask: Tensor, truth: Tensor) -> Tensor:
    common = (mask * truth).sum(dim=(1, 2, 3))
    sizes = mask.sum(dim=(1, 2, 3)) + truth.sum(dim=(1, 2, 3))
    return (1 - (2 * common + 1) / (sizes + 1)).mean()
