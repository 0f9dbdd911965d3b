"""Layers, initial weights and checks of options that several backbones share."""

import copy
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

RGB_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K, which networks for super-resolution subtract from the image."""


class ChannelLayerNorm(nn.Module):
    """LayerNorm over the channels of each pixel of `B C H W` (biased variance).

    Args:
        channels: number of channels C.
        eps: added to the variance.
        affine: learn a scale and a shift per channel.
    """

    def __init__(self, channels: int, eps: float, affine: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.affine = affine
        # Constants, not None, without `affine`: with None, the CPU kernel takes up to 1.7 times as long.
        kept: Callable[[Tensor], Tensor] = nn.Parameter if affine else partial(nn.Buffer, persistent=False)
        self.weight = kept(torch.ones(channels))
        self.bias = kept(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised features, `B C H W`."""
        # One fused kernel that sums in float32 even for half precision; under channels_last the permutes are views.
        pixels_last = features.permute(0, 2, 3, 1)
        normed = F.layer_norm(pixels_last, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


class ConvNorm(nn.Module):
    """Convolution followed by batch normalisation of its channels."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised result: batch statistics in training mode, running statistics in eval mode."""
        return self.norm(self.conv(features))

    def folded(self) -> nn.Conv2d:
        """Return one convolution that computes what this module computes in eval mode.

        It is exact at the border too, because the normalisation comes after the padded convolution.
        """
        frozen = copy.deepcopy(self).eval()
        return fuse_conv_bn_eval(frozen.conv, frozen.norm)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with an activation between them, added to the input."""

    def __init__(self, channels: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = activation

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, `B C H W`."""
        return features + self.second(self.activation(self.first(features)))


def without_autocast(tensor: Tensor) -> AbstractContextManager[object]:
    """Return a context in which autocast does not touch operations on the device of a tensor."""
    device = tensor.device.type
    # An export would keep a context that changes nothing as a subgraph, which ONNX does not take.
    enabled = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if enabled else nullcontext()


def initialise_he(network: nn.Module) -> None:
    """Initialise every 3x3 convolution of a network for ReLU (He et al., 2015): normal weights, zero biases.

    torch's default keeps only one sixth of the variance per convolution with ReLU. After the 20 convolutions of DnCNN
    without normalisation, only the biases would be left.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialise_xavier(network: nn.Module, gain: float) -> None:
    """Initialise every convolution of a network: truncated normal with Xavier's deviation times `gain`, zero bias."""
    for conv in (module for module in network.modules() if isinstance(module, nn.Conv2d)):
        pixels = conv.weight[0, 0].numel()
        fan_in, fan_out = conv.weight.shape[1] * pixels, conv.weight.shape[0] * pixels
        nn.init.trunc_normal_(conv.weight, std=gain * math.sqrt(2 / (fan_in + fan_out)))
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)


def initialise_zero(module: nn.Module) -> None:
    """Set every parameter of a module to zero."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def are_numbers(*sides: int) -> bool:
    """Tell whether sides are numbers: in an export for images of any size they are symbols, which must not branch."""
    return all(type(side) is int for side in sides)


def check_option(backbone: str, name: str, value: object, valid: bool, requirement: str) -> None:
    """Raise an error that names an option, its value and what is required of it, unless the value is valid.

    Raises:
        ValueError: `valid` is False.
    """
    if not valid:
        shown = list[object](value) if isinstance(value, tuple) else value
        raise ValueError(f"{backbone}: {name} is {shown}; {requirement}")


def check_positive(backbone: str, **options: float | None) -> None:
    """Check that every option is above zero, or None.

    Raises:
        ValueError: an option is zero or less; the message names the first one.
    """
    for name, value in options.items():
        check_option(backbone, name, value, value is None or value > 0, "it must be above 0")


def check_depths(backbone: str, depths: tuple[int, ...]) -> None:
    """Check that `depths` lists the blocks of encoder levels, middle and decoder levels.

    Raises:
        ValueError: the length is even, or an entry is below 1.
    """
    check_option(
        *(backbone, "depths", depths, len(depths) % 2 == 1 and min(depths) >= 1),
        requirement="it must hold an odd number of integers of at least 1 (encoder levels, the middle, decoder "
        "levels), e.g. [2, 2, 4, 2, 2]",
    )


def check_max_width(backbone: str, max_width: int | None, width: int) -> None:
    """Check that the upper limit on the channels of a level is None or at least `width`.

    Raises:
        ValueError: the limit is below `width`.
    """
    check_option(
        *(backbone, "max_width", max_width, max_width is None or max_width >= width),
        requirement=f"it must be at least width ({width}), or null",
    )
