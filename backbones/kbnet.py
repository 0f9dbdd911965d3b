"""KBNet (Zhang et al., 2023): a U-Net whose blocks convolve every pixel with its own mixture of learned kernels.

A small branch predicts, for each pixel, the coefficients of a set of learned kernels ("kernel basis attention"). Unlike
the authors' code, ours mixes the kernels strip by strip, which gives the same numbers with less memory.
"""

from functools import partial
from typing import ClassVar, Literal

from torch import Tensor, nn

from backbones import Published, Sizes
from backbones._kernel_basis import SCALE_START, KernelMixing, depthwise
from backbones._layers import ChannelLayerNorm, check_depths, check_option, check_positive
from backbones._naf_unet import NORM_EPS, MixingBlock, NafUNet, SimpleGate, make_renames
from backbones._unet import level_channels

COEFFICIENT_CHANNELS = 32
"""Upper limit on the channels of the first convolution that predicts the coefficients."""
GROUP = 4
"""Channels per group of a mixed kernel, and of the grouped local convolution."""
CITATION = """@article{zhang2023kbnet,
  title = {KBNet: Kernel Basis Network for Image Restoration},
  author = {Zhang, Yi and Li, Dasong and Shi, Xiaoyu and He, Dailan and Song, Kangning and Wang, Xiaogang and Qin,
    Hongwei and Li, Hongsheng},
  journal = {arXiv preprint arXiv:2303.02881},
  year = {2023}
}"""
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
"""Names of the parts of a block: in the reference implementation, and here."""


class KBNet(NafUNet):
    """U-Net of blocks with kernel basis attention (paper, section 3): the variant KBNet_s; backbone kbnet_l is KBNet_l.

    Levels double in channels and halve in size; skip connections are added. The features are those before the output
    convolution, `width` channels. The channels of a level must be a multiple of 4, and above 32 a multiple of 32.

    Args:
        width: channels at full resolution.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels.
        bases: learned kernels per block, of which every pixel takes a mixture.
        local: the convolution beside kernel basis attention: depthwise 3x3, or grouped 5x5 (groups of 4 channels).
        channel_expansion: channels within the second half of a block, as a multiple of the block's.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = CITATION
    origin = (
        "arXiv:2303.02881; reference implementation zhangyi-3/KBNet@ec33fb34 (MIT), KBNet_s, whose weights fit after "
        "renaming. Kernels are mixed strip by strip, which gives the same numbers with less memory. Sizes sidd and "
        "gaussian are published; small and tiny are our choices. Grey images are left out."
    )
    sizes: ClassVar[Sizes] = {
        "sidd": {"width": 64, "depths": PUBLISHED_DEPTHS, "local": "depthwise", "channel_expansion": 1.5},
        "gaussian": {"width": 64, "depths": PUBLISHED_DEPTHS, "local": "grouped", "channel_expansion": 2.0},
        "small": {"width": 16, "depths": (1, 1, 2, 2, 1, 1, 1)},
        "tiny": {"width": 4, "depths": (1, 1, 1, 1, 1)},
    }
    published = Published(
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
        _check_options(width, depths, bases, channel_expansion)
        super().__init__(width, depths, lambda _, size: _Block(size, bases, local, int(channel_expansion * size)))


class _Block(KernelMixing, MixingBlock):
    """Block with the product of the three branches as its spatial half."""

    def __init__(self, channels: int, bases: int, local: str, hidden: int) -> None:
        super().__init__()
        self.spatial_norm = ChannelLayerNorm(channels, NORM_EPS)
        make_local = depthwise if local == "depthwise" else _grouped
        inner = min(channels, COEFFICIENT_CHANNELS)
        self.add_kernel_mixing(channels, channels, inner, bases, GROUP, make_local=make_local)
        self.spatial_project = nn.Conv2d(channels, channels, 1)
        self.add_channel_mixing(channels, hidden, SimpleGate(), SCALE_START)

    def mix_pixels(self, normed: Tensor) -> Tensor:
        return self.spatial_project(self.mix_kernels(normed))

    def fold_pixel_mixing(self) -> None:
        self.fold_kernel_mixing()


def _grouped(channels: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 5, padding=2, groups=channels // GROUP, bias=bias)


def _check_options(width: int, depths: tuple[int, ...], bases: int, expansion: float) -> None:
    check_positive("kbnet", width=width, bases=bases, channel_expansion=expansion)
    check_depths("kbnet", depths)
    for channels in level_channels(width, len(depths) // 2):
        factor = GROUP if channels <= COEFFICIENT_CHANNELS else COEFFICIENT_CHANNELS
        check_option(
            *("kbnet", "width", width, channels % factor == 0),
            requirement=f"a level gets {channels} channels, which must be a multiple of {GROUP}, and above "
            f"{COEFFICIENT_CHANNELS} of {COEFFICIENT_CHANNELS}, e.g. 16 or 64",
        )
        hidden = int(expansion * channels)
        check_option(
            *("kbnet", "channel_expansion", expansion, hidden > 0 and hidden % 2 == 0),
            requirement=f"times {channels} channels it must be even, as it is halved",
        )
