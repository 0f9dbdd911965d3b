"""NAFNet: a U-Net without nonlinear activations; halves of the channels multiply each other instead."""

import copy
import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from backbones import Backbone, Published, Renames
from backbones._folding import affine_before, scale_after, split_affine
from backbones._layers import ChannelLayerNorm, check_depths, check_positive
from backbones._local_mean import local_mean, spread, window_side

NORM_EPS = 1e-6
GOPRO, SIDD = (1, 1, 1, 28, 1, 1, 1, 1, 1), (2, 2, 4, 8, 12, 2, 2, 2, 2)
OFFICIAL_PARTS = {
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


def _renames(official: Collection[str]) -> Renames:
    """The official names count the decoder from the coarsest level; ours count stages, and `ups` by level."""
    levels = sum(re.fullmatch(r"downs\.\d+\.weight", key) is not None for key in official)
    stages = {f"encoders.{level}": level for level in range(levels)}
    stages |= {"middle_blks": levels} | {f"decoders.{level}": levels + 1 + level for level in range(levels)}
    return (
        (r"intro\.(\w+)", r"backbone.stem.\1"),
        (r"ending\.(\w+)", r"head.conv.\1"),
        (r"downs\.(\d+)\.(\w+)", r"backbone.downs.\1.\2"),
        *((rf"ups\.{i}\.0\.(\w+)", rf"backbone.ups.{levels - 1 - i}.0.\1") for i in range(levels)),
        *(
            (rf"{re.escape(theirs)}\.(\d+)\.{re.escape(part)}(|\.\w+)", rf"backbone.stages.{ours}.\1.{name}\2")
            for theirs, ours in stages.items()
            for part, name in OFFICIAL_PARTS.items()
        ),
    )


class NAFNet(Backbone):
    """U-Net of nonlinear-activation-free blocks (paper, section 3 and figure 3c), or of the paper's baseline blocks.

    Levels double in channels and halve in size; skip connections are added. Features are those before the output
    convolution, `width` channels.

    Options:
        width: channels at full resolution.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels.
        block: naf, or baseline (figure 3b): GELU instead of the product of two halves of the channels, and channel
            attention with a bottleneck, ReLU and sigmoid.
        depthwise_expansion: channels of the depthwise convolution, as a multiple of its block's.
        tlc_train_size: test-time local conversion (TLC, arXiv:2112.04491): side in pixels of the patches that the
            network was trained on. In eval mode channel attention then takes the mean of a window of 1.5 times that
            side around each pixel; smaller images are pooled whole. None pools every image whole, as training does.

    Raises:
        ValueError: an option is outside what it allows.
    """

    citation: ClassVar[str] = """@inproceedings{chen2022simple,
  title = {Simple Baselines for Image Restoration},
  author = {Chen, Liangyu and Chu, Xiaojie and Zhang, Xiangyu and Sun, Jian},
  booktitle = {European Conference on Computer Vision (ECCV)},
  year = {2022}
}"""
    origin: ClassVar[str] = (
        "arXiv:2204.04676; reference implementation megvii-research/NAFNet@2b4af71e (MIT), whose weights fit after "
        "renaming. Sizes that name a data set are published, those of the baseline with its blocks. The published "
        "GoPro scores are with tlc_train_size 256, which no size sets: it goes with the patches of the training. Sizes "
        "small and tiny are our choices."
    )
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "w32_gopro": {"width": 32, "depths": GOPRO},
        "w64_gopro": {"width": 64, "depths": GOPRO},
        "w32_sidd": {"width": 32, "depths": SIDD},
        "w64_sidd": {"width": 64, "depths": SIDD},
        "baseline_w32_gopro": {"width": 32, "depths": GOPRO, "block": "baseline", "depthwise_expansion": 1},
        "baseline_w64_gopro": {"width": 64, "depths": GOPRO, "block": "baseline"},
        "baseline_w32_sidd": {"width": 32, "depths": SIDD, "block": "baseline", "depthwise_expansion": 1},
        "baseline_w64_sidd": {"width": 64, "depths": SIDD, "block": "baseline"},
        "small": {"width": 16, "depths": (2, 2, 4, 4, 2, 2, 2, 2, 2)},
        "tiny": {"width": 8, "depths": (1, 1, 1, 1, 1, 1, 1)},
    }
    pad_mode: ClassVar[Literal["reflect", "zeros"]] = "zeros"
    published: ClassVar[Published | None] = Published(keys=_renames, head={"name": "residual", "padding": "zeros"})

    def __init__(
        self,
        width: int = 32,
        depths: tuple[int, ...] = SIDD,
        block: Literal["naf", "baseline"] = "naf",
        depthwise_expansion: int = 2,
        tlc_train_size: int | None = None,
    ) -> None:
        super().__init__()
        _check_options(width, depths, depthwise_expansion, tlc_train_size)
        levels = len(depths) // 2
        channels = [width << level for level in range(levels + 1)]

        def stage(depth: int, level: int) -> nn.Sequential:
            window = None if tlc_train_size is None else window_side(tlc_train_size, 2**levels, level)
            return nn.Sequential(*[_Block(channels[level], block, depthwise_expansion, window) for _ in range(depth)])

        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.stages = nn.ModuleList(map(stage, depths, [*range(levels + 1), *reversed(range(levels))]))
        self.downs = nn.ModuleList(nn.Conv2d(size, 2 * size, 2, stride=2) for size in channels[:-1])
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * size, 4 * size, 1, bias=False), nn.PixelShuffle(2)) for size in channels[:-1]
        )

        self.out_channels = width
        self.multiple_of = 2**levels
        self.min_side = self.multiple_of

    def forward(self, image: Tensor) -> Tensor:
        """Features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        levels = len(self.downs)
        # The norms work on pixels: in any other layout each would copy its input, and each sum what it is added to.
        features = self.stem(image).contiguous(memory_format=torch.channels_last)
        skipped: list[Tensor] = []
        for level in range(levels):
            features = self.stages[level](features)
            skipped.append(features)
            features = self.downs[level](features)
        features = self.stages[levels](features)
        for level in reversed(range(levels)):
            features = self.ups[level](features) + skipped[level]
            features = self.stages[2 * levels - level](features)
        return features


class _Block(nn.Module):
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
        self.activation = _SimpleGate() if kind == "naf" else nn.GELU()
        self.beta: nn.Parameter | None = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma: nn.Parameter | None = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        mixed = self.activation(self.depthwise(self.spatial_expand(self.spatial_norm(features))))
        mixed = self.spatial_project(mixed * self._weights(mixed))
        features = _add_scaled(features, mixed, self.beta)
        mixed = self.channel_project(self.activation(self.channel_expand(self.channel_norm(features))))
        return _add_scaled(features, mixed, self.gamma)

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


class _SimpleGate(nn.Module):
    """The product of both halves of the channels."""

    def forward(self, features: Tensor) -> Tensor:
        first, second = features.chunk(2, dim=1)
        return first * second


def _attention(kind: str, channels: int) -> nn.Module:
    if kind == "naf":
        return nn.Conv2d(channels, channels, 1)
    squeeze, excite = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels // 2, channels, 1)
    return nn.Sequential(squeeze, nn.ReLU(inplace=True), excite, nn.Sigmoid())


def _add_scaled(features: Tensor, residual: Tensor, scale: Tensor | None) -> Tensor:
    return features + residual if scale is None else torch.addcmul(features, residual, scale)


def _check_options(width: int, depths: tuple[int, ...], expansion: int, tlc_train_size: int | None) -> None:
    check_positive("nafnet", width=width, depthwise_expansion=expansion)
    check_depths("nafnet", depths)
    if width * expansion % 2:
        raise ValueError(
            f"nafnet: depthwise_expansion is {expansion}; times width ({width}) it must be even, as it is halved"
        )
    if tlc_train_size is not None:
        check_positive("nafnet", tlc_train_size=tlc_train_size)
