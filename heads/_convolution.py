"""The last convolution of the network, with which heads leave the features."""

from typing import Literal

from torch import nn

Padding = Literal["reflect", "zeros"]
"""How a convolution continues the features beyond the border."""


def make_convolution(
    in_channels: int, out_channels: int, kernel_size: int, padding: Padding, start_at_zero: bool = False
) -> nn.Conv2d:
    """Return a convolution that keeps height and width.

    Args:
        in_channels: channels of the features.
        out_channels: channels of the result.
        kernel_size: side of the kernel in pixels, odd.
        padding: how to continue the features beyond the border.
        start_at_zero: set all weights and biases to zero, so that a head can start as the identity. The convolution
            gets a gradient in the first step, the backbone in the second. Otherwise they are torch's default.

    Raises:
        ValueError: `kernel_size` is not odd and positive.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, not {kernel_size}")
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, padding_mode=padding)
    for parameter in conv.parameters() if start_at_zero else ():
        nn.init.zeros_(parameter)
    return conv
