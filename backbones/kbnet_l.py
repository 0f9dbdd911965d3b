"""KBNet, large form (Zhang et al., 2023): Restormer's U-Net with kernel basis attention instead of its gated half.

Each block first convolves every pixel with its own mixture of learned kernels, then attends across channels.
"""

import copy
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Published, Sizes
from backbones._kernel_basis import KernelMixing
from backbones._layers import ChannelLayerNorm, check_option, check_positive
from backbones._restormer_unet import RestormerUNet, TransposedAttention, check_layout, make_renames
from backbones._unet import level_channels
from backbones.kbnet import CITATION

NORM_EPS = 1e-6
COEFFICIENT_CHANNELS = 24
"""Upper limit on the channels of the first convolution that predicts the coefficients."""
GROUP = 2
"""Channels per group of a mixed kernel."""
OFFICIAL_PARTS = {
    "norm1": "kernel_norm",
    "attn.sca.1": "kernels.attention",
    "attn.dwconv.0": "kernels.local.0",
    "attn.dwconv.1": "kernels.local.1",
    "attn.conv2.0": "kernels.coefficient_spatial",
    "attn.conv2.2": "kernels.coefficient_expand",
    "attn.conv211": "kernels.coefficient_direct",
    "attn.attgamma": "kernels.coefficient_scale",
    "attn.conv1.0": "kernels.expand.0",
    "attn.conv1.1": "kernels.expand.1",
    "attn.w": "kernels.basis.kernels",
    "attn.b": "kernels.basis.biases",
    "attn.ga1": "kernels.basis_scale",
    "attn.project_out": "kernels.project",
    "norm2": "attention_norm",
    "ffn.temperature": "attention.temperature",
    "ffn.qkv": "attention.expand",
    "ffn.qkv_dwconv": "attention.depthwise",
    "ffn.project_out": "attention.project",
}
"""Names of the parts of a block: in the reference implementation, and here."""


class KBNetL(RestormerUNet):
    """U-Net of kernel basis attention and attention across channels (paper, section 3): the variant KBNet_l.

    Levels double in channels and halve in size; skip connections are concatenated. The features are those before the
    output convolution, 2 * `width` channels.

    Args:
        width: channels at full resolution in the encoder, even; up to 24 channels or a multiple of 24 on each level.
        depths: blocks per level, in the encoder and again in the decoder, the middle last; its length, at least 2,
            sets the number of levels.
        refinement: blocks after the decoder, at full resolution.
        heads: attention heads per level; as many entries as `depths`.
        bases: learned kernels per block, of which every pixel takes a mixture.
        expansion: channels of the kernel half of a block, as a multiple of the block's; the product must be even.
        bias: whether the convolutions of the blocks and those after concatenations have a bias; those that weigh the
            branches always have one.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = CITATION
    origin = (
        "arXiv:2303.02881; reference implementation zhangyi-3/KBNet@ec33fb34 (MIT), KBNet_l, whose weights fit after "
        "renaming. Its layout and its attention are Restormer's and written from that paper. Kernels are mixed strip "
        "by strip, which gives the same numbers with less memory. Size kbnet_l is published (deraining, defocus "
        "deblurring); small and tiny are our choices."
    )
    sizes: ClassVar[Sizes] = {
        "kbnet_l": {"width": 48, "depths": (4, 6, 6, 8), "refinement": 4, "heads": (1, 2, 4, 8)},
        "small": {"width": 12, "depths": (1, 2, 2, 2), "refinement": 1, "heads": (1, 2, 4, 8)},
        "tiny": {"width": 4, "depths": (1, 1, 1), "refinement": 0, "heads": (1, 1, 2), "bases": 8, "expansion": 1.5},
    }
    published = Published(
        keys=make_renames(OFFICIAL_PARTS),
        head={"name": "residual", "padding": "zeros"},
        zeros=("head.conv.bias",),
    )

    def __init__(
        self,
        width: int = 48,
        depths: tuple[int, ...] = (4, 6, 6, 8),
        refinement: int = 4,
        heads: tuple[int, ...] = (1, 2, 4, 8),
        bases: int = 32,
        expansion: float = 1.5,
        bias: bool = False,
    ) -> None:
        check_layout("kbnet_l", width, depths, refinement, heads)
        check_positive("kbnet_l", bases=bases, expansion=expansion)
        for channels in level_channels(width, len(depths) - 1):
            check_option(
                *("kbnet_l", "width", width, channels % min(channels, COEFFICIENT_CHANNELS) == 0),
                requirement=f"a level gets {channels} channels, which above {COEFFICIENT_CHANNELS} must be a multiple "
                f"of {COEFFICIENT_CHANNELS}, e.g. 12 or 48",
            )
            hidden = int(channels * expansion)
            check_option(
                *("kbnet_l", "expansion", expansion, hidden > 0 and hidden % GROUP == 0),
                requirement=f"times {channels} channels it must be even",
            )

        def make_block(level: int, channels: int) -> nn.Module:
            return _Block(channels, heads[level], bases, int(channels * expansion), bias)

        super().__init__(width, depths, refinement, make_block, bias)


class _Block(nn.Module):
    """Residual kernel basis attention, then residual attention across channels."""

    def __init__(self, channels: int, heads: int, bases: int, hidden: int, bias: bool) -> None:
        super().__init__()
        self.kernel_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.kernels = _Kernels(channels, bases, hidden, bias)
        self.attention_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.attention = TransposedAttention(channels, heads, bias)

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.kernels(self.kernel_norm(features))
        return features + self.attention(self.attention_norm(features))


class _Kernels(KernelMixing):
    """Product of the three branches, the plain one with GELU, and its projection."""

    def __init__(self, channels: int, bases: int, hidden: int, bias: bool) -> None:
        super().__init__()
        self.add_kernel_mixing(channels, hidden, min(channels, COEFFICIENT_CHANNELS), bases, GROUP, bias)
        self.project = nn.Conv2d(hidden, channels, 1, bias=bias)

    def forward(self, normed: Tensor) -> Tensor:
        return self.project(self.mix_kernels(normed, F.gelu))

    def folded(self) -> nn.Module:
        """Return a module with the scales of coefficients and basis in the weights beside them."""
        kernels = copy.deepcopy(self)
        kernels.fold_kernel_mixing()
        return kernels
