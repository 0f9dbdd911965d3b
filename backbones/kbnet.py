"""KBNet: a U-Net whose blocks convolve every pixel with its own mixture of learned kernels."""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from backbones import Backbone, Published
from backbones._folding import affine_before, scale_after, split_affine
from backbones._kernel_basis import GROUP, KernelBasis
from backbones._layers import ChannelLayerNorm, check_depths, check_positive
from backbones._naf_unet import NORM_EPS, add_scaled, make_downs, make_renames, make_ups, product_of_halves, run_through

GATE_START = 1e-2
COEFFICIENT_CHANNELS = 32
"""Most channels that the first convolution for the coefficients gives."""
PUBLISHED_DEPTHS = (2, 2, 4, 8, 12, 2, 2, 2, 2)
OFFICIAL_PARTS = {
    "norm1": "spatial_norm",
    "sca.1": "attention",
    "conv11": "local",
    "conv2.0": "coefficient_spatial",
    "conv2.2": "coefficient_expand",
    "conv211": "coefficient_direct",
    "attgamma": "coefficient_scale",
    "conv1": "expand.0",
    "conv21": "expand.1",
    "w": "basis.kernels",
    "b": "basis.biases",
    "ga1": "basis_scale",
    "conv3": "spatial_project",
    "beta": "beta",
    "norm2": "channel_norm",
    "conv4": "channel_expand",
    "conv5": "channel_project",
    "gamma": "gamma",
}
"""What the parts of a block are called in the reference implementation, and here."""


class KBNet(Backbone):
    """U-Net of blocks with kernel basis attention (paper, section 3): the variant KBNet_s.

    Levels double in channels and halve in size; skip connections are added. Features are those before the output
    convolution, `width` channels. Channels of a level: a multiple of 4 up to 32, beyond that a multiple of 32.

    Options:
        width: channels at full resolution.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels.
        bases: learned kernels of a block, of which every pixel takes a mixture.
        local: the convolution beside kernel basis attention: depthwise 3x3, or grouped 5x5 (groups of 4 channels).
        channel_expansion: channels within the second half of a block, as a multiple of the block's.

    Raises:
        ValueError: an option is outside what it allows.
    """

    citation: ClassVar[str] = """@article{zhang2023kbnet,
  title = {KBNet: Kernel Basis Network for Image Restoration},
  author = {Zhang, Yi and Li, Dasong and Shi, Xiaoyu and He, Dailan and Song, Kangning and Wang, Xiaogang and Qin,
    Hongwei and Li, Hongsheng},
  journal = {arXiv preprint arXiv:2303.02881},
  year = {2023}
}"""
    origin: ClassVar[str] = (
        "arXiv:2303.02881; reference implementation zhangyi-3/KBNet@ec33fb34 (MIT), KBNet_s, whose weights fit after "
        "renaming. Kernels are mixed strip by strip, which gives the same numbers with less memory. Sizes sidd and "
        "gaussian are published; small and tiny are our choices."
    )
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "sidd": {"width": 64, "depths": PUBLISHED_DEPTHS, "local": "depthwise", "channel_expansion": 1.5},
        "gaussian": {"width": 64, "depths": PUBLISHED_DEPTHS, "local": "grouped", "channel_expansion": 2.0},
        "small": {"width": 16, "depths": (1, 1, 2, 2, 1, 1, 1)},
        "tiny": {"width": 4, "depths": (1, 1, 1, 1, 1)},
    }
    pad_mode: ClassVar[Literal["reflect", "zeros"]] = "zeros"
    published: ClassVar[Published | None] = Published(
        keys=partial(make_renames, parts=OFFICIAL_PARTS), head={"name": "residual", "padding": "zeros"}
    )

    def __init__(
        self,
        width: int = 64,
        depths: tuple[int, ...] = PUBLISHED_DEPTHS,
        bases: int = 32,
        local: Literal["depthwise", "grouped"] = "depthwise",
        channel_expansion: float = 1.5,
    ) -> None:
        super().__init__()
        _check_options(width, depths, bases, channel_expansion)
        levels = len(depths) // 2
        channels = [width << level for level in range(levels + 1)]

        def stage(depth: int, level: int) -> nn.Sequential:
            hidden = int(channel_expansion * channels[level])
            return nn.Sequential(*[_Block(channels[level], bases, local, hidden) for _ in range(depth)])

        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.stages = nn.ModuleList(map(stage, depths, [*range(levels + 1), *reversed(range(levels))]))
        self.downs, self.ups = make_downs(channels), make_ups(channels)

        self.out_channels = width
        self.multiple_of = 2**levels
        self.min_side = self.multiple_of

    def forward(self, image: Tensor) -> Tensor:
        """Features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        return run_through(self.stem(image), self.stages, self.downs, self.ups)


class _Block(nn.Module):
    """Two residual halves: spatial mixing as the product of three branches, then gated channel mixing.

    The branches are a plain convolution, kernel basis attention beside the identity, and channel attention. Both halves
    are scaled by `beta` and `gamma`, which start near zero. A folded block has no scales: they are in its weights.
    """

    def __init__(self, channels: int, bases: int, local: str, hidden: int) -> None:
        super().__init__()
        inner = min(channels, COEFFICIENT_CHANNELS)
        self.spatial_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.attention = nn.Conv2d(channels, channels, 1)
        self.local = nn.Sequential(nn.Conv2d(channels, channels, 1), _local(local, channels))
        self.coefficient_spatial = nn.Conv2d(channels, inner, 3, padding=1, groups=inner)
        self.coefficient_expand = nn.Conv2d(inner // 2, bases, 1)
        self.coefficient_direct = nn.Conv2d(channels, bases, 1)
        self.coefficient_scale: nn.Parameter | None = _gate(bases)
        self.expand = nn.Sequential(nn.Conv2d(channels, channels, 1), _local("depthwise", channels))
        self.basis = KernelBasis(channels, bases)
        self.basis_scale: nn.Parameter | None = _gate(channels)
        self.spatial_project = nn.Conv2d(channels, channels, 1)
        self.beta: nn.Parameter | None = _gate(channels)
        self.channel_norm: nn.Module = ChannelLayerNorm(channels, NORM_EPS)
        self.channel_expand = nn.Conv2d(channels, hidden, 1)
        self.channel_project = nn.Conv2d(hidden // 2, channels, 1)
        self.gamma: nn.Parameter | None = _gate(channels)

    def forward(self, features: Tensor) -> Tensor:
        mixed = self.spatial_project(self._spatial(self.spatial_norm(features)))
        features = add_scaled(features, mixed, self.beta)
        mixed = self.channel_project(product_of_halves(self.channel_expand(self.channel_norm(features))))
        return add_scaled(features, mixed, self.gamma)

    def folded(self) -> nn.Module:
        """With every scale in the weights before it, and the second norm's in the 1x1 convolution behind it.

        The first norm keeps its scale and shift: a padded 3x3 convolution sees what it gives.
        """
        if self.beta is None or self.gamma is None or self.basis_scale is None or self.coefficient_scale is None:
            return self
        block = copy.deepcopy(self)
        block.coefficient_expand = scale_after(self.coefficient_expand, self.coefficient_scale)
        block.basis = self.basis.scaled(self.basis_scale)
        block.spatial_project = scale_after(self.spatial_project, self.beta)
        block.channel_norm, scale, shift = split_affine(self.channel_norm)
        block.channel_expand = affine_before(self.channel_expand, scale, shift)
        block.channel_project = scale_after(self.channel_project, self.gamma)
        block.beta = block.gamma = block.basis_scale = block.coefficient_scale = None
        return block

    def _spatial(self, normed: Tensor) -> Tensor:
        attention = self.attention(normed.mean((2, 3), keepdim=True))
        expanded = self.expand(normed)
        based = self.basis(expanded, self._coefficients(normed))
        return add_scaled(expanded, based, self.basis_scale) * self.local(normed) * attention

    def _coefficients(self, normed: Tensor) -> Tensor:
        spatial = self.coefficient_expand(product_of_halves(self.coefficient_spatial(normed)))
        return add_scaled(self.coefficient_direct(normed), spatial, self.coefficient_scale)


def _gate(channels: int) -> nn.Parameter:
    return nn.Parameter(torch.full((1, channels, 1, 1), GATE_START))


def _local(kind: str, channels: int) -> nn.Conv2d:
    if kind == "depthwise":
        return nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    return nn.Conv2d(channels, channels, 5, padding=2, groups=channels // GROUP)


def _check_options(width: int, depths: tuple[int, ...], bases: int, expansion: float) -> None:
    check_positive("kbnet", width=width, bases=bases, channel_expansion=expansion)
    check_depths("kbnet", depths)
    for channels in (width << level for level in range(len(depths) // 2 + 1)):
        if channels % (GROUP if channels <= COEFFICIENT_CHANNELS else COEFFICIENT_CHANNELS):
            raise ValueError(
                f"kbnet: width is {width}, which gives a level {channels} channels; it must be a multiple of {GROUP}, "
                f"and above {COEFFICIENT_CHANNELS} of {COEFFICIENT_CHANNELS}, e.g. 16 or 64"
            )
        if int(expansion * channels) % 2 or not int(expansion * channels):
            raise ValueError(
                f"kbnet: channel_expansion is {expansion}; times {channels} channels it must be even, as it is halved"
            )
