"""Arithmetic on convolutions for the `folded` methods of backbones: absorb scales, shifts and differences.

Scale and shift have one value per channel. Every function returns new modules, on the device of the old ones, and
leaves the old ones unchanged. For batch normalisation after a convolution see `ConvNorm` in `_layers`.
"""

import copy

import torch
from torch import Tensor, nn

from backbones._layers import ChannelLayerNorm


def split_affine(norm: nn.Module) -> tuple[nn.Module, Tensor, Tensor]:
    """Split a normalisation in eval mode into a module without weights, a scale and a shift.

    Args:
        norm: BatchNorm2d with running statistics, or ChannelLayerNorm; with weights.

    Raises:
        TypeError: `norm` is anything else.
    """
    if isinstance(norm, ChannelLayerNorm) and norm.affine:
        bare = ChannelLayerNorm(len(norm.weight), norm.eps, affine=False)
        return bare.to(norm.weight), norm.weight, norm.bias
    if (
        isinstance(norm, nn.BatchNorm2d)
        and norm.affine
        and norm.running_mean is not None
        and norm.running_var is not None
    ):
        scale = _exact(norm.weight) * torch.rsqrt(_exact(norm.running_var) + norm.eps)
        return nn.Identity(), scale, _exact(norm.bias) - _exact(norm.running_mean) * scale
    raise TypeError(f"no scale and shift can be taken out of {norm}")


def affine_before(conv: nn.Module, scale: Tensor, shift: Tensor | None = None) -> nn.Conv2d:
    """Return the convolution that maps `features` to `conv(features * scale + shift)`.

    Raises:
        ValueError: `conv` is not a 1x1 convolution without groups. A larger one sees zeros beyond the border, which no
            shift moves.
    """
    if not isinstance(conv, nn.Conv2d) or conv.kernel_size != (1, 1) or conv.groups != 1:
        raise ValueError(f"scale and shift fit into a 1x1 convolution without groups, not into {conv}")
    weight, bias = _exact(conv.weight), None if conv.bias is None else _exact(conv.bias)
    if shift is not None:
        shifted = weight.flatten(1) @ _exact(shift)
        bias = shifted if bias is None else bias + shifted
    return _with(conv, weight * _exact(scale).view(1, -1, 1, 1), bias)


def scale_after(conv: nn.Conv2d, scale: Tensor) -> nn.Conv2d:
    """Return the convolution that maps features to `conv(features) * scale`."""
    scale = _exact(scale).flatten()
    bias = None if conv.bias is None else _exact(conv.bias) * scale
    return _with(conv, _exact(conv.weight) * scale.view(-1, 1, 1, 1), bias)


def difference_of_halves(conv: nn.Conv2d) -> nn.Conv2d:
    """Return a convolution whose output is the first half of the channels of `conv`, without bias, minus the second."""
    first, second = _exact(conv.weight).chunk(2)
    return _with(conv, first - second, None)


def sum_of_halves(conv: nn.Conv2d) -> nn.Conv2d:
    """Return a convolution whose output is the sum of the two halves of the channels of `conv`."""
    bias = None if conv.bias is None else _exact(conv.bias).unflatten(0, (2, -1)).sum(0)
    return _with(conv, _exact(conv.weight).unflatten(0, (2, -1)).sum(0), bias)


def _exact(tensor: Tensor) -> Tensor:
    """Return a tensor in float32 at least, because half precision would round every step."""
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))


def _with(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    folded = copy.deepcopy(conv)
    folded.out_channels = len(weight)
    folded.weight = nn.Parameter(weight.to(conv.weight.dtype))
    folded.bias = None if bias is None else nn.Parameter(bias.to(conv.weight.dtype))
    return folded
