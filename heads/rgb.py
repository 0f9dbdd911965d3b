"""Head that computes the restored image from the features alone: the reference for other heads."""

from torch import Tensor

from heads import Head, Restoration
from heads._convolution import Padding, make_convolution


class Rgb(Head):
    """One convolution from features to the restored image; the degraded image is not used.

    Args:
        in_channels: channels of the features.
        kernel_size: side of the kernel in pixels, odd.
        padding: how the convolution continues the features beyond the border.

    Raises:
        ValueError: `kernel_size` is not odd and positive.
    """

    formula = "J = conv(features)"
    origin = "Common to encoder-decoder networks without an outer skip; the reference solution improves on it."

    def __init__(self, in_channels: int, kernel_size: int = 3, padding: Padding = "reflect") -> None:
        super().__init__()
        # torch's default initialisation: a zero convolution would start from a black image, without benefit.
        self.conv = make_convolution(in_channels, 3, kernel_size, padding)

    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Return the restoration, without maps, from `features` (`B C H W`)."""
        return Restoration(self.conv(features), {})
