"""What NAFNet, CGNet, KBNet and DarkIR share: the layout of the U-Net and the frame of its blocks."""

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from backbones import Backbone, Features, Renames
from backbones._folding import affine_before, scale_after, split_affine
from backbones._layers import ChannelLayerNorm
from backbones._unet import level_channels, pixel_shuffle_up, unet_forward

NORM_EPS = 1e-6


class NafUNet(Backbone):
    """U-Net layout of NAFNet: 2x2 convolutions halve the size, pixel shuffles double it, skip connections are added.

    Subclasses choose the blocks.
    """

    pad_mode = "zeros"

    def __init__(self, width: int, depths: tuple[int, ...], make_block: Callable[[int, int], nn.Module]) -> None:
        """Build stem, stages, downsampling and upsampling.

        Args:
            width: channels at full resolution; each level doubles them.
            depths: blocks per stage: encoder levels, middle, decoder levels.
            make_block: makes one block from the index of its stage and its channels.
        """
        super().__init__()
        levels = len(depths) // 2
        channels = level_channels(width, levels)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.stages = nn.ModuleList(
            nn.Sequential(*[make_block(index, size) for _ in range(depth)])
            for index, (size, depth) in enumerate(zip(channels + channels[-2::-1], depths, strict=True))
        )
        self.downs = nn.ModuleList(nn.Conv2d(size, 2 * size, 2, stride=2) for size in channels[:-1])
        self.ups = nn.ModuleList(pixel_shuffle_up(2 * size, size, bias=False) for size in channels[:-1])
        self.out_channels = width
        self.multiple_of = self.min_side = 2**levels

    def forward(self, image: Tensor) -> Tensor | Features:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        return self.run_stages(image, self.stages)

    def run_stages(self, image: Tensor, stages: Sequence[Callable[[Tensor], Tensor]] | nn.ModuleList) -> Tensor:
        """Return features `B width H W` of an image, with these stages, in the order in which they run."""
        # The norms work on pixels: in any other memory layout each norm and each sum would copy its input.
        features = self.stem(image).contiguous(memory_format=torch.channels_last)
        return unet_forward(
            features,
            stages,
            down=lambda level, features: self.downs[level](features),
            join=lambda level, features, skipped: self.ups[level](features) + skipped,
        )


def naf_stages(levels: int) -> dict[str, str]:
    """Return the names of the stages of a network with so many levels: in the reference implementation, and here."""
    stages = {f"encoders.{level}": f"stages.{level}" for level in range(levels)}
    return stages | {
        "middle_blks": f"stages.{levels}",
        **{f"decoders.{level}": f"stages.{levels + 1 + level}" for level in range(levels)},
    }


def make_renames(
    official: Collection[str], parts: Mapping[str, str], stages_of: Callable[[int], Mapping[str, str]] = naf_stages
) -> Renames:
    """Return the rules that rename the official keys of a whole network.

    The official decoder counts from the coarsest level. Ours counts stages in the order in which they run, and `ups`
    from the finest level.

    Args:
        official: all keys of a checkpoint.
        parts: names of the parts of a block, the reference implementation's, ours.
        stages_of: names of the stages, likewise, from the number of levels.
    """
    levels = sum(re.fullmatch(r"downs\.\d+\.weight", key) is not None for key in official)
    return (
        (r"intro\.(\w+)", r"backbone.stem.\1"),
        (r"ending\.(\w+)", r"head.conv.\1"),
        (r"downs\.(\d+)\.(\w+)", r"backbone.downs.\1.\2"),
        *((rf"ups\.{i}\.0\.(\w+)", rf"backbone.ups.{levels - 1 - i}.0.\1") for i in range(levels)),
        *(
            (
                rf"{re.escape(theirs)}\.(\d+)\.{re.escape(part)}((?:\.\d)?(?:\.\w+)?)",
                rf"backbone.{ours}.\1.{name}\2",
            )
            for theirs, ours in stages_of(levels).items()
            for part, name in parts.items()
        ),
    )


class MixingBlock(nn.Module, ABC):
    """Two residual halves: spatial mixing, then channel mixing.

    `beta` and `gamma` scale the two halves. A folded block has neither, because they are part of its projections.
    Subclasses create the layers of the spatial half, then call `add_channel_mixing`.
    """

    spatial_norm: nn.Module
    spatial_expand: nn.Conv2d
    spatial_project: nn.Conv2d

    def add_channel_mixing(self, channels: int, hidden: int, activation: nn.Module, scale: float = 0.0) -> None:
        """Create the layers of the channel half, and `beta` and `gamma`.

        Args:
            channels: channels of the block.
            hidden: channels before the activation; `SimpleGate` halves them.
            activation: applied to the hidden channels.
            scale: initial value of `beta` and `gamma`; with 0, a new block is the identity.
        """
        self.activation = activation
        self.channel_norm: nn.Module = ChannelLayerNorm(channels, NORM_EPS)
        self.channel_expand = nn.Conv2d(channels, hidden, 1)
        self.channel_project = nn.Conv2d(hidden // 2 if isinstance(activation, SimpleGate) else hidden, channels, 1)
        self.beta: nn.Parameter | None = channel_scale(channels, scale)
        self.gamma: nn.Parameter | None = channel_scale(channels, scale)

    @abstractmethod
    def mix_pixels(self, normed: Tensor) -> Tensor:
        """Return what the spatial half adds to the features, from the normalised features, both `B C H W`."""

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, `B C H W`."""
        features = add_scaled(features, self.mix_pixels(self.spatial_norm(features)), self.beta)
        hidden = self.activation(self.channel_expand(self.channel_norm(features)))
        return add_scaled(features, self.channel_project(hidden), self.gamma)

    def folded(self) -> nn.Module:
        """Return a block with `beta`, `gamma` and the weights of the norms in the neighbouring 1x1 convolutions.

        It is exact at the border: those convolutions see one pixel, and only their output is padded.
        """
        if self.beta is None or self.gamma is None:
            return self
        block = copy.deepcopy(self)
        block.fold_pixel_mixing()
        block.spatial_project = scale_after(self.spatial_project, self.beta)
        block.channel_norm, scale, shift = split_affine(self.channel_norm)
        block.channel_expand = affine_before(self.channel_expand, scale, shift)
        block.channel_project = scale_after(self.channel_project, self.gamma)
        block.beta = block.gamma = None
        return block

    def fold_pixel_mixing(self) -> None:
        """Fold in place what comes before `spatial_project`."""
        self.spatial_norm, scale, shift = split_affine(self.spatial_norm)
        self.spatial_expand = affine_before(self.spatial_expand, scale, shift)


class SimpleGate(nn.Module):
    """Product of the two halves of the channels."""

    def forward(self, features: Tensor) -> Tensor:
        """Return `B C H W` from features `B 2C H W`."""
        first, second = features.chunk(2, dim=1)
        return first * second


def add_scaled(features: Tensor, residual: Tensor, scale: Tensor | None) -> Tensor:
    """Return `features` + `scale` * `residual`; `scale` is `1 C 1 1`, or None where it has been folded away."""
    return features + residual if scale is None else torch.addcmul(features, residual, scale)


def channel_scale(channels: int, value: float) -> nn.Parameter:
    """Return a learned factor per channel, `1 C 1 1`, that starts at `value`."""
    return nn.Parameter(torch.full((1, channels, 1, 1), value))
