"""What Restormer, X-Restormer, FFTformer and the large KBNet share: the U-Net, halves of blocks, names of weights."""

import copy
import re
from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Renames
from backbones._layers import check_option
from backbones._unet import level_channels, unet_forward

NORM_EPS = 1e-5
OFFICIAL_LEVELS = 4
OFFICIAL_STAGES = {
    "latent": "latent",
    "refinement": "refinement",
    **{
        f"{part}_level{level + 1}": f"{part}.{level}"
        for part in ("encoder", "decoder")
        for level in range(OFFICIAL_LEVELS - 1)
    },
}
"""Names of the stages: in published weights, and here."""


class RestormerUNet(Backbone):
    """U-Net layout of Restormer: 3x3 convolutions and pixel (un)shuffles change the size, skips are concatenated.

    A 1x1 convolution halves the channels after each concatenation, except at full resolution, where decoder and
    refinement run at 2 * `width`. Subclasses choose the blocks.
    """

    def __init__(
        self,
        width: int,
        depths: tuple[int, ...],
        refinement: int,
        make_block: Callable[[int, int], nn.Module],
        bias: bool,
        dual_pixel: bool = False,
    ) -> None:
        """Build stem, stages, downsampling and upsampling.

        Args:
            width: channels at full resolution in the encoder.
            depths: blocks per level, in the encoder and again in the decoder, the middle last.
            refinement: blocks after the decoder.
            make_block: makes one block from its level and its channels.
            bias: whether the 1x1 convolutions after concatenations have a bias; stem, downsampling and upsampling have
                none.
            dual_pixel: whether the image is two views, one after the other in 6 channels; the features of the stem,
                projected, are then added to those of the last block.
        """
        super().__init__()
        levels = len(depths) - 1
        channels = level_channels(width, levels)
        decoder_channels = [2 * width, *channels[1:levels]]

        def stage(level: int, size: int, depth: int) -> nn.Sequential:
            return nn.Sequential(*[make_block(level, size) for _ in range(depth)])

        self.in_channels = 6 if dual_pixel else 3
        self.stem = nn.Conv2d(self.in_channels, width, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(map(stage, range(levels), channels, depths))
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(size, size // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))
            for size in channels[:-1]
        )
        self.latent = stage(levels, channels[-1], depths[-1])
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(size, 2 * size, 3, padding=1, bias=False), nn.PixelShuffle(2))
            for size in channels[1:]
        )
        self.reductions = nn.ModuleList(nn.Conv2d(2 * size, size, 1, bias=bias) for size in channels[1:levels])
        self.decoder = nn.ModuleList(map(stage, range(levels), decoder_channels, depths))
        self.refinement = stage(0, 2 * width, refinement)
        self.skip = nn.Conv2d(width, 2 * width, 1, bias=bias) if dual_pixel else None

        self.out_channels = 2 * width
        self.multiple_of = self.min_side = 2**levels

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B 2*width H W` of an image `B in_channels H W` in [0, 1].

        H and W are multiples of `multiple_of`.
        """

        def join(level: int, features: Tensor, skipped: Tensor) -> Tensor:
            features = torch.cat((self.ups[level](features), skipped), dim=1)
            return self.reductions[level - 1](features) if level > 0 else features

        # The norms work on pixels: in any other memory layout each norm and each sum would copy its input.
        shallow = self.stem(image).contiguous(memory_format=torch.channels_last)
        stages = [*self.encoder, self.latent, *reversed(self.decoder)]
        features = unet_forward(shallow, stages, lambda level, features: self.downs[level](features), join)
        features = self.refinement(features)
        return features if self.skip is None else features + self.skip(shallow)


class TransposedAttention(nn.Module):
    """Attention between the channels of each head, over all pixels (Restormer: MDTA, equation 1)."""

    def __init__(self, channels: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.expand = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.depthwise = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=bias)
        self.project = nn.Conv2d(channels, channels, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, `B C H W`."""
        weights, value = _attend(self.depthwise(self.expand(features)), self.temperature)
        return self.project((weights @ value).flatten(1, 2).unflatten(2, features.shape[2:]))

    def folded(self) -> nn.Module:
        """Return attention that multiplies its projection into the few attention weights instead of into all pixels."""
        return _FoldedAttention(self)


class _FoldedAttention(nn.Module):
    """Transposed attention with one product over the values of all pixels instead of two."""

    def __init__(self, attention: TransposedAttention) -> None:
        super().__init__()
        self.temperature = nn.Parameter(attention.temperature.detach().clone())
        self.expand = copy.deepcopy(attention.expand)
        self.depthwise = copy.deepcopy(attention.depthwise)
        by_head = attention.project.weight.detach().flatten(1).unflatten(1, (attention.heads, -1))
        self.project = nn.Parameter(by_head.transpose(0, 1).clone())
        self.bias = copy.deepcopy(attention.project.bias)

    def forward(self, features: Tensor) -> Tensor:
        weights, value = _attend(self.depthwise(self.expand(features)), self.temperature)
        projected = (self.project @ weights).transpose(1, 2).flatten(2)
        # Pixels come before channels: the result is in channels_last, like the features it is added to.
        mixed = value.flatten(1, 2).transpose(1, 2) @ projected.transpose(1, 2)
        mixed = mixed if self.bias is None else mixed + self.bias
        return mixed.transpose(1, 2).unflatten(2, features.shape[2:])


def _attend(joint: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights `B heads C C` between the channels of a head, and values `B heads C HW`.

    Args:
        joint: query, key and value side by side, `B 3*heads*C H W`.
        temperature: factor of the similarities, `heads 1 1`.
    """
    query, key, value = joint.unflatten(1, (3, len(temperature), -1)).flatten(4).unbind(1)
    similarity = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-2, -1)
    return (similarity * temperature).softmax(dim=-1), value


class GatedFeedForward(nn.Module):
    """Feed-forward part in which GELU of one half of the hidden channels gates the other (Restormer: GDFN, equation 2).

    Args:
        channels: channels of the features.
        hidden: channels of each half.
        bias: whether the convolutions have a bias.
    """

    def __init__(self, channels: int, hidden: int, bias: bool) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=bias)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, `B C H W`."""
        return self.gate(self.expand(features))

    def gate(self, expanded: Tensor) -> Tensor:
        """Return features `B C H W` from expanded ones, `B 2*hidden H W`."""
        gate, value = self.depthwise(expanded).chunk(2, dim=1)
        return self.project(F.gelu(gate) * value)


def make_renames(parts: Mapping[str, str]) -> Renames:
    """Return the rules that rename the official keys of a whole network.

    Official names count levels from 1; ours count from 0, with one list per kind of layer.

    Args:
        parts: names of the parts of a block, in published weights and ours.
    """
    return (
        (r"patch_embed\.proj\.(\w+)", r"backbone.stem.\1"),
        (r"output\.(\w+)", r"head.conv.\1"),
        (r"skip_conv\.(\w+)", r"backbone.skip.\1"),
        *(
            rename
            for level in range(OFFICIAL_LEVELS - 1)
            for rename in (
                (rf"down{level + 1}_{level + 2}\.body\.0\.(\w+)", rf"backbone.downs.{level}.0.\1"),
                (rf"up{level + 2}_{level + 1}\.body\.0\.(\w+)", rf"backbone.ups.{level}.0.\1"),
                (rf"reduce_chan_level{level + 2}\.(\w+)", rf"backbone.reductions.{level}.\1"),
            )
        ),
        *(
            (rf"{theirs}\.(\d+)\.{re.escape(part)}(|\.\w+)", rf"backbone.{ours}.\1.{name}\2")
            for theirs, ours in OFFICIAL_STAGES.items()
            for part, name in parts.items()
        ),
    )


def check_layout(backbone: str, width: int, depths: tuple[int, ...], refinement: int, heads: tuple[int, ...]) -> None:
    """Check the options of the layout.

    Raises:
        ValueError: an option is outside its allowed range.
    """
    check = partial(check_option, backbone)
    check("width", width, width >= 2 and width % 2 == 0, "it must be even and at least 2")
    check("depths", depths, len(depths) >= 2 and min(depths) >= 1, "it must hold at least 2 integers of at least 1")
    check("heads", heads, len(heads) == len(depths), f"depths has {len(depths)} levels, so must heads")
    for level, (count, channels) in enumerate(zip(heads, level_channels(width, len(depths) - 1), strict=True)):
        valid = count >= 1 and channels % count == 0
        check(f"heads[{level}]", count, valid, f"it must divide the level's {channels} channels")
    check("refinement", refinement, refinement >= 0, "it must be at least 0")
