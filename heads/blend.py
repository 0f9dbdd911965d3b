"""Head that blends a predicted layer over the degraded image by soft light."""

from torch import Tensor

from heads import Head, Restoration
from heads._convolution import Padding, make_convolution


class Blend(Head):
    """One convolution from features to the layer B, map `blend` (`B 3 H W`); 0.5 leaves the image unchanged.

    The formula equals J = I + (2B - 1) I (1 - I), a change in proportion to I (1 - I). So black and white values of the
    degraded image stay, whatever the layer. B is not bounded: with layers in [0, 1], as picture editors have them, 11 %
    of the values in the spots of synthetic faces could not be reached.

    Args:
        in_channels: channels of the features.
        kernel_size: side of the kernel in pixels, odd.
        padding: how the convolution continues the features beyond the border.

    Raises:
        ValueError: `kernel_size` is not odd and positive.
    """

    formula = "J = (1 - 2B)*I^2 + 2B*I"
    origin = (
        "Soft light in the form without a break (known as Pegtop's); the blend layer of ABPN (Lei et al., CVPR 2022), "
        "which predicts it at low resolution and refines it in a pyramid. One layer at full resolution is our choice."
    )

    def __init__(self, in_channels: int, kernel_size: int = 3, padding: Padding = "reflect") -> None:
        super().__init__()
        # B starts at 0.5, so the untrained network is exactly the identity.
        self.conv = make_convolution(in_channels, 3, kernel_size, padding, start_at_zero=True)

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Return the restoration of `degraded` (`B 3 H W`) from `features` (`B C H W`), with map `blend`."""
        blend = 0.5 + self.conv(features)
        return Restoration(degraded + (2 * blend - 1) * degraded * (1 - degraded), {"blend": blend})
