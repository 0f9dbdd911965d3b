"""The convolution with which heads leave the features."""

from typing import Literal

from torch import nn

Padding = Literal["reflect", "zeros"]
"""How a convolution continues the features beyond the border."""


def make_convolution(in_channels: int, out_channels: int, kernel_size: int, padding: Padding) -> nn.Conv2d:
    """A convolution that keeps height and width, in torch's default initialisation.

    Raises ValueError if `kernel_size` (in pixels) is not odd and positive.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, not {kernel_size}")
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, padding_mode=padding)


def zero(convolution: nn.Conv2d) -> nn.Conv2d:
    """The convolution with all weights and biases at 0, for heads that start as the identity.

    Its weights get a gradient in the first step; the backbone gets its first one in the second, once they have left 0.
    """
    for parameter in convolution.parameters():
        nn.init.zeros_(parameter)
    return convolution
