"""The restored image as the degraded one under a predicted layer, blended by soft light."""

from torch import Tensor

from heads import Head, Restoration
from heads._convolution import Padding, make_convolution, zero


class Blend(Head):
    """One convolution from features to the layer B, map `blend` (`B 3 H W`); 0.5 leaves the image as it is.

    The same as J = I + (2B - 1) I (1 - I): a change in proportion to I (1 - I), so what is black or white in the
    degraded image stays so, whatever the layer. B is not bounded: within [0, 1], where a picture editor keeps its
    layers, 11 % of the values in the spots of synthetic faces are out of reach.

    `kernel_size`: odd, in pixels. `padding`: how the convolution continues the features beyond the border.
    Raises ValueError if `kernel_size` is not odd and positive.
    """

    formula = "J = (1 - 2B)*I^2 + 2B*I"
    origin = (
        "Soft light in the form without a break (known as Pegtop's); the blend layer of ABPN (Lei et al., CVPR 2022), "
        "which predicts it at low resolution and refines it in a pyramid. One layer at full resolution is our choice."
    )

    def __init__(self, in_channels: int, kernel_size: int = 3, padding: Padding = "reflect") -> None:
        super().__init__()
        # Zero: B is 0.5 and the untrained network exactly the identity.
        self.conv = zero(make_convolution(in_channels, 3, kernel_size, padding))

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Restoration of `degraded` (`B 3 H W`) from `features` (`B C H W`), with map `blend`."""
        blend = 0.5 + self.conv(features)
        return Restoration(degraded + (2 * blend - 1) * degraded * (1 - degraded), {"blend": blend})
