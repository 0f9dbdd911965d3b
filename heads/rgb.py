"""The restored image straight from the features: the head to beat."""

from torch import Tensor

from heads import Head, Restoration
from heads._convolution import Padding, make_convolution


class Rgb(Head):
    """One convolution from features to the restored image; the degraded image is not used.

    `kernel_size`: odd, in pixels. `padding`: how the convolution continues the features beyond the border.
    Raises ValueError if `kernel_size` is not odd and positive.
    """

    formula = "J = conv(features)"
    origin = "Common to encoder-decoder networks without an outer skip; the reference solution improves on it."

    def __init__(self, in_channels: int, kernel_size: int = 3, padding: Padding = "reflect") -> None:
        super().__init__()
        # Default initialisation: a zero convolution would start from a black image and win nothing for it.
        self.conv = make_convolution(in_channels, 3, kernel_size, padding)

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Restoration without maps of `degraded` (`B 3 H W`) from `features` (`B C H W`)."""
        return Restoration(self.conv(features), {})
