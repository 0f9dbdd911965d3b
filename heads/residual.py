"""Head that adds a predicted correction to the degraded image."""

from torch import Tensor

from heads import Head, Restoration
from heads._convolution import Padding, make_convolution


class Residual(Head):
    """One convolution from features to the correction R, map `residual` (`B 3 H W`).

    Args:
        in_channels: channels of the features.
        kernel_size: side of the kernel in pixels, odd.
        padding: how the convolution continues the features beyond the border.

    Raises:
        ValueError: `kernel_size` is not odd and positive.
    """

    formula = "J = I + R"
    origin = (
        "Residual learning of DnCNN (Zhang et al., IEEE TIP 2017), and the outer skip with which gUNet, NAFNet "
        "and Restormer end."
    )

    def __init__(self, in_channels: int, kernel_size: int = 3, padding: Padding = "reflect") -> None:
        super().__init__()
        # torch's default initialisation, as in the three published networks that end this way.
        self.conv = make_convolution(in_channels, 3, kernel_size, padding)

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Return the restoration of `degraded` (`B 3 H W`) from `features` (`B C H W`), with map `residual`."""
        residual = self.conv(features)
        return Restoration(degraded + residual, {"residual": residual})
