"""The restored image as the degraded one plus a correction."""

from typing import Literal

from torch import Tensor, nn

from heads import Head, Restoration


class Residual(Head):
    """One convolution from features to the correction R; gives map `residual` (`B 3 H W`).

    `kernel_size`: odd, in pixels. `padding`: how the convolution continues the features beyond the border.
    Raises ValueError if `kernel_size` is not odd and positive.
    """

    formula = "J = I + R"
    origin = (
        "Residual learning of DnCNN (Zhang et al., IEEE TIP 2017), and the outer skip with which gUNet, NAFNet "
        "and Restormer end."
    )

    def __init__(
        self, in_channels: int, kernel_size: int = 3, padding: Literal["reflect", "zeros"] = "reflect"
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and positive, not {kernel_size}")
        # Default initialisation, as in the three published networks that end this way.
        self.conv = nn.Conv2d(in_channels, 3, kernel_size, padding=kernel_size // 2, padding_mode=padding)

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Restoration of `degraded` (`B 3 H W`) from `features` (`B C H W`), with map `residual`."""
        residual = self.conv(features)
        return Restoration(degraded + residual, {"residual": residual})
