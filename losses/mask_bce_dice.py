"""Binary cross-entropy plus Dice loss between the predicted mask and the damage mask."""

from torch import Tensor
from torch.nn import functional as F

from heads import Restoration
from losses import Batch, Loss
from losses._shared import predicted_map


class MaskBceDice(Loss):
    """Binary cross-entropy plus Dice loss between the predicted mask M and the damage mask T of the batch (0 or 1).

    The cross-entropy is the mean over all pixels. It is computed from the logits (map `mask_logits`), so that a mask at
    0 or 1 has a gradient, too. Spots are 0.1 to 2 % of the pixels and hardly change this mean. The Dice loss,
    1 - (2 sum M T + 1) / (sum M + sum T + 1) per image, then the mean, depends on their overlap whatever their share.
    Because of the added 1, an image without spots costs 0 if its mask is empty. The restored image does not enter, so
    combine it with a loss of the image.
    """

    formula = "BCE(M, T) + 1 - (2 sum M*T + 1) / (sum M + sum T + 1)"
    origin = (
        "Dice loss: V-Net (Milletari et al., 3DV 2016), there with squares in the denominator; the sum of the two is "
        "common in segmentation. T by the rule of the reference solution: any channel of |target - degraded| > 30/255."
    )

    supervises = ("mask",)

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar, at least 0.

        Raises:
            ValueError: the head predicts no mask.
        """
        remedy = "choose a head that predicts a mask (mask_blend) or leave this loss out"
        logits = predicted_map(restoration, "mask_logits", "mask_bce_dice", remedy)
        mask, truth = logits.sigmoid(), batch.mask.float()
        overlap = (mask * truth).sum(dim=(1, 2, 3))
        sizes = mask.sum(dim=(1, 2, 3)) + truth.sum(dim=(1, 2, 3))
        dice_loss = (1 - (2 * overlap + 1) / (sizes + 1)).mean()
        return F.binary_cross_entropy_with_logits(logits, truth) + dice_loss
