"""L1 on the pixels of the damage mask."""

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss


class MaskedL1(Loss):
    """Mean of |restored - target| over RGB and the pixels of the damage mask: any |target - degraded| above 30/255.

    The mean is over the masked pixels of the whole batch; without any, the loss is 0. The fewer they are, the more each
    counts: with a share m of the pixels, the gradient has 1 / sqrt(m) times the norm of that of L1, which is 6 to 30 on
    synthetic faces (presets severe and contest). Unlike `mask_loss` it depends on the sign of the change and does not
    vanish at restored = degraded. Other pixels do not count, so combine it with a loss over all pixels.
    """

    formula = "sum over the mask |restored - target| / (3 * pixels of the mask)"
    origin = "Region and threshold are those of the reference solution's mask loss; this form is our choice."
    pools_images = True

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar; its gradient is 0 outside the mask and where restored and target are equal."""
        mask = batch.mask.float()
        errors = (restoration.image.float() - batch.target.float()).abs().mean(dim=1, keepdim=True)
        return (errors * mask).sum() / mask.sum().clamp(min=1)
