"""Layers and checks that more than one backbone uses."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelLayerNorm(nn.Module):
    """LayerNorm over the channels of every pixel of `B C H W` (biased variance).

    With a learned scale and shift per channel, unless `affine` is False.
    """

    def __init__(self, channels: int, eps: float, affine: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.affine = affine
        if affine:
            self.weight = nn.Parameter(torch.ones(channels))
            self.bias = nn.Parameter(torch.zeros(channels))
        else:
            # Without any, the kernel for the CPU takes up to 1.7 times as long.
            self.register_buffer("weight", torch.ones(channels), persistent=False)
            self.register_buffer("bias", torch.zeros(channels), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape."""
        # One fused kernel that sums in float32 also for half precision, and a free view under channels_last.
        pixels_last = features.permute(0, 2, 3, 1)
        normed = F.layer_norm(pixels_last, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


def initialise_xavier(conv: nn.Conv2d, gain: float) -> None:
    """Truncated normal weights with Xavier's deviation times `gain`, bias zero."""
    pixels = conv.weight[0, 0].numel()
    fan_in, fan_out = conv.weight.shape[1] * pixels, conv.weight.shape[0] * pixels
    nn.init.trunc_normal_(conv.weight, std=gain * math.sqrt(2 / (fan_in + fan_out)))
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def check_positive(backbone: str, **options: int | float) -> None:
    """Raise ValueError that names the first option which is not above zero."""
    for name, value in options.items():
        if value <= 0:
            raise ValueError(f"{backbone}: {name} is {value}; it must be above 0")


def check_depths(backbone: str, depths: tuple[int, ...]) -> None:
    """Raise ValueError unless `depths` reads encoder levels, middle, decoder levels: odd in length, all above zero."""
    if len(depths) % 2 == 0 or min(depths) < 1:
        raise ValueError(
            f"{backbone}: depths is {list(depths)}; it must hold an odd number of integers of at least 1 "
            "(encoder levels, the middle, decoder levels), e.g. [2, 2, 4, 2, 2]"
        )
