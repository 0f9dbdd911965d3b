"""Head that blends a proposed image over the degraded one by a predicted mask."""

from torch import Tensor

from heads import Head, Restoration
from heads._convolution import Padding, make_convolution


class MaskBlend(Head):
    """One convolution from features to the proposal R = I + r, map `proposal` (`B 3 H W`), and the mask M.

    M, map `mask` (`B 1 H W`, in [0, 1]), is the sigmoid of map `mask_logits`. The logits are returned for loss
    `mask_bce_dice`, which can supervise the mask: near 0 and 1 the mask itself has lost its digits.

    The untrained network is exactly the identity, which scores above 40 dB on retouching pairs: r is 0, and M is 0.5 so
    that r gets a gradient in the first step and M in the second. A proposal without I would have to start with a mask
    near 0, and M multiplies the gradient of the proposal. Without supervision only the product of M and r is trained;
    the mask still finds the spots (after 500 steps on synthetic faces 0.69 inside, 0.09 outside).

    Args:
        in_channels: channels of the features.
        kernel_size: side of the kernel in pixels, odd.
        padding: how the convolution continues the features beyond the border.

    Raises:
        ValueError: `kernel_size` is not odd and positive.
    """

    formula = "J = M*R + (1 - M)*I, M in [0, 1]"
    origin = (
        "The attention mask of GANimation (Pumarola et al., ECCV 2018); the reference solution of face retouching "
        "tried mask prediction and reports no gain. The proposal's form and the initialisation are our choice."
    )

    def __init__(self, in_channels: int, kernel_size: int = 3, padding: Padding = "reflect") -> None:
        super().__init__()
        self.conv = make_convolution(in_channels, 4, kernel_size, padding, start_at_zero=True)

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Return the restoration of `degraded` (`B 3 H W`) from `features` (`B C H W`), with the three maps."""
        correction, logits = self.conv(features).split([3, 1], dim=1)
        mask, proposal = logits.sigmoid(), degraded + correction
        image = degraded + mask * (proposal - degraded)
        return Restoration(image, {"mask": mask, "mask_logits": logits, "proposal": proposal})
