"""Blocks without nonlinear activations and the U they stand in: what NAFNet and networks made from it share."""

import copy
import re
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from backbones import Renames
from backbones._folding import affine_before, scale_after, split_affine
from backbones._layers import ChannelLayerNorm
from backbones._tlc import local_mean, spread

NORM_EPS = 1e-6
NAF_PARTS = {
    "norm1": "spatial_norm",
    "conv1": "spatial_expand",
    "conv2": "depthwise",
    "sca.1": "attention",
    "se.1": "attention.0",
    "se.3": "attention.2",
    "conv3": "spatial_project",
    "norm2": "channel_norm",
    "conv4": "channel_expand",
    "conv5": "channel_project",
    "beta": "beta",
    "gamma": "gamma",
}
"""What the parts of a block are called in the reference implementation, and here."""


def make_renames(official: Collection[str], parts: Mapping[str, str]) -> Renames:
    """How the official keys of a whole network are renamed; `parts` of a block as in `NAF_PARTS`.

    The official names count the decoder from the coarsest level; ours count stages, and `ups` by level.
    """
    levels = sum(re.fullmatch(r"downs\.\d+\.weight", key) is not None for key in official)
    stages = {f"encoders.{level}": level for level in range(levels)}
    stages |= {"middle_blks": levels} | {f"decoders.{level}": levels + 1 + level for level in range(levels)}
    return (
        (r"intro\.(\w+)", r"backbone.stem.\1"),
        (r"ending\.(\w+)", r"head.conv.\1"),
        (r"downs\.(\d+)\.(\w+)", r"backbone.downs.\1.\2"),
        *((rf"ups\.{i}\.0\.(\w+)", rf"backbone.ups.{levels - 1 - i}.0.\1") for i in range(levels)),
        *(
            (
                rf"{re.escape(theirs)}\.(\d+)\.{re.escape(part)}((?:\.\d)?(?:\.\w+)?)",
                rf"backbone.stages.{ours}.\1.{name}\2",
            )
            for theirs, ours in stages.items()
            for part, name in parts.items()
        ),
    )


def make_downs(channels: Sequence[int]) -> nn.ModuleList:
    """What halves the size and doubles the channels, one for each level but the coarsest, the finest first.

    `channels`: of all levels, the finest first.
    """
    return nn.ModuleList(nn.Conv2d(size, 2 * size, 2, stride=2) for size in channels[:-1])


def make_ups(channels: Sequence[int]) -> nn.ModuleList:
    """What takes each of `make_downs` back, in the same order."""
    return nn.ModuleList(
        nn.Sequential(nn.Conv2d(2 * size, 4 * size, 1, bias=False), nn.PixelShuffle(2)) for size in channels[:-1]
    )


def run_through(features: Tensor, stages: nn.ModuleList, downs: nn.ModuleList, ups: nn.ModuleList) -> Tensor:
    """Features of the same shape `B C H W`, after encoder, middle and decoder with added skip connections.

    `stages`: encoder levels, middle, decoder levels. `downs`, `ups`: one for each level, the finest first.
    """
    levels = len(downs)
    # The norms work on pixels: in any other layout each would copy its input, and each sum what it is added to.
    features = features.contiguous(memory_format=torch.channels_last)
    skipped: list[Tensor] = []
    for level in range(levels):
        features = stages[level](features)
        skipped.append(features)
        features = downs[level](features)
    features = stages[levels](features)
    for level in reversed(range(levels)):
        features = ups[level](features) + skipped[level]
        features = stages[2 * levels - level](features)
    return features


class NafBlock(nn.Module):
    """Two residual halves: spatial mixing with channel attention, then channel mixing.

    Both are scaled by `beta` and `gamma`, which start at zero: a fresh block is the identity. A folded block has
    neither, as they are in the projections.
    """

    def __init__(self, channels: int, kind: str, expansion: int, window: int | None) -> None:
        super().__init__()
        hidden = expansion * channels
        gated = 2 if kind == "naf" else 1
        self.window = window
        self.spatial_norm: nn.Module = ChannelLayerNorm(channels, NORM_EPS)
        self.spatial_expand = nn.Conv2d(channels, hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.attention = _attention(kind, hidden // gated)
        self.spatial_project = nn.Conv2d(hidden // gated, channels, 1)
        self.channel_norm: nn.Module = ChannelLayerNorm(channels, NORM_EPS)
        self.channel_expand = nn.Conv2d(channels, 2 * channels, 1)
        self.channel_project = nn.Conv2d(2 * channels // gated, channels, 1)
        self.activation = SimpleGate() if kind == "naf" else nn.GELU()
        self.beta: nn.Parameter | None = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma: nn.Parameter | None = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        mixed = self.activation(self.depthwise(self.spatial_expand(self.spatial_norm(features))))
        mixed = self.spatial_project(mixed * self._weights(mixed))
        features = add_scaled(features, mixed, self.beta)
        mixed = self.channel_project(self.activation(self.channel_expand(self.channel_norm(features))))
        return add_scaled(features, mixed, self.gamma)

    def folded(self) -> nn.Module:
        """With what the norms scale and shift in the 1x1 convolutions behind them, beta and gamma in the projections.

        Exact at the border: the convolutions that take them in see one pixel, and only what they give is padded.
        """
        if self.beta is None or self.gamma is None:
            return self
        block = copy.deepcopy(self)
        block.spatial_norm, scale, shift = split_affine(self.spatial_norm)
        block.spatial_expand = affine_before(self.spatial_expand, scale, shift)
        block.spatial_project = scale_after(self.spatial_project, self.beta)
        block.channel_norm, scale, shift = split_affine(self.channel_norm)
        block.channel_expand = affine_before(self.channel_expand, scale, shift)
        block.channel_project = scale_after(self.channel_project, self.gamma)
        block.beta = block.gamma = None
        return block

    def _weights(self, features: Tensor) -> Tensor:
        """What channel attention multiplies features by: a value for each channel, or for each of its pixels."""
        if self.window is None or self.training:
            return self.attention(features.mean((2, 3), keepdim=True))
        # Attention before the border's values are repeated: there are fewer windows than pixels.
        return spread(self.attention(local_mean(features, self.window)), features)


class SimpleGate(nn.Module):
    """The product of both halves of the channels."""

    def forward(self, features: Tensor) -> Tensor:
        return product_of_halves(features)


def product_of_halves(features: Tensor) -> Tensor:
    """One half of the channels times the other: `B 2C H W` to `B C H W`."""
    first, second = features.chunk(2, dim=1)
    return first * second


def _attention(kind: str, channels: int) -> nn.Module:
    if kind == "naf":
        return nn.Conv2d(channels, channels, 1)
    squeeze, excite = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels // 2, channels, 1)
    return nn.Sequential(squeeze, nn.ReLU(inplace=True), excite, nn.Sigmoid())


def add_scaled(features: Tensor, residual: Tensor, scale: Tensor | None) -> Tensor:
    """Features plus what a branch gives, which is multiplied by `scale` (`1 C 1 1`) unless that is folded away."""
    return features + residual if scale is None else torch.addcmul(features, residual, scale)
