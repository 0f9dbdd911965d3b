"""DarkIR (Feijoo et al., CVPR 2025): a NAFNet for dark and blurred images, with a Fourier half in the encoder.

Light is global and low-frequency, so encoder blocks scale the magnitudes of all frequencies of the whole image; blur is
local, so decoder blocks look around with dilated convolutions. A frequency's magnitude grows with the area of the
image: the network restores best at about the size of its training patches.
"""

import copy
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Features, Published, Sizes
from backbones._depthwise import DilatedDepthwiseConv2d
from backbones._folding import affine_before, scale_after, split_affine
from backbones._layers import ChannelLayerNorm, check_depths, check_option, check_positive, without_autocast
from backbones._naf_unet import (
    NORM_EPS,
    MixingBlock,
    NafUNet,
    SimpleGate,
    add_scaled,
    channel_scale,
    make_renames,
    naf_stages,
)

DEPTHS = (1, 2, 3, 2, 3, 1, 1)
DILATIONS = (1, 4, 9)
SLOPE = 0.1
"""Of the leaky ReLU between the two convolutions on magnitudes."""
OFFICIAL_PARTS = {
    "norm1": "spatial_norm",
    "extra_conv": "extra",
    "conv1": "spatial_expand",
    **{f"branches.{index}.branch.0": f"branches.{index}" for index in range(len(DILATIONS))},
    "sca.1": "attention",
    "conv3": "spatial_project",
    "norm2": "channel_norm",
    "freq.process1.0": "frequencies.expand",
    "freq.process1.2": "frequencies.project",
    "conv4": "channel_expand",
    "conv5": "channel_project",
    "beta": "beta",
    "gamma": "gamma",
}
"""Names of the parts of a block: in the reference implementation, and here."""


def _official_stages(levels: int) -> dict[str, str]:
    stages = {theirs: ours for theirs, ours in naf_stages(levels).items() if theirs != "middle_blks"}
    stages |= {"middle_blks_enc": f"stages.{levels}", "middle_blks_dec": "middle_decoder"}
    return {f"{theirs}.modules_list": ours for theirs, ours in stages.items()}


class DarkIR(NafUNet):
    """U-Net with Fourier blocks in the encoder and dilated blocks in the decoder.

    Levels double in channels and halve in size; skip connections are added. In the middle, dilated blocks add to what
    the last Fourier blocks give. In training, an image made of these, at the coarsest size, is returned as auxiliary
    image. The features are those before the output convolution, `width` channels.

    Args:
        width: channels at full resolution.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels. The
            middle has so many Fourier blocks and again so many dilated ones.
        dilations: dilations of the depthwise convolutions of the decoder, whose results are added.
        extra_convolution: a further 3x3 convolution per block: depthwise in the encoder, in groups of two channels in
            the decoder.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{feijoo2025darkir,
  title = {{DarkIR}: Robust Low-Light Image Restoration},
  author = {Feijoo, Daniel and Benito, Juan C. and Garcia, Alvaro and Conde, Marcos V.},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2025}
}"""
    origin = (
        "arXiv:2412.13443; reference implementation cidautai/DarkIR@09102911 (MIT), whose weights fit after renaming. "
        "Phases are kept by scaling each complex frequency, not by computing its angle, which gives the same numbers; "
        "magnitudes are always computed in float32, since those of large images exceed float16. Sizes m and l are "
        "published; small and tiny are our choices. The auxiliary image is computed in training only; its convolution "
        "counts as parameters, not as multiply-adds."
    )
    sizes: ClassVar[Sizes] = {
        "m": {"width": 32, "depths": DEPTHS},
        "l": {"width": 64, "depths": DEPTHS},
        "small": {"width": 24, "depths": DEPTHS},
        "tiny": {"width": 8, "depths": (1, 1, 1, 1, 1)},
    }
    published = Published(
        keys=lambda keys: (
            (r"side_out\.(\w+)", r"backbone.side.\1"),
            *make_renames(keys, OFFICIAL_PARTS, _official_stages),
        ),
        head={"name": "residual", "padding": "zeros"},
    )

    def __init__(
        self,
        width: int = 32,
        depths: tuple[int, ...] = DEPTHS,
        dilations: tuple[int, ...] = DILATIONS,
        extra_convolution: bool = True,
    ) -> None:
        check_positive("darkir", width=width)
        check_depths("darkir", depths)
        check_option(
            *("darkir", "dilations", dilations, len(dilations) > 0 and min(dilations) >= 1),
            requirement="it must hold integers of at least 1, e.g. [1, 4, 9]",
        )
        middle = len(depths) // 2
        dilated = partial(_DilatedBlock, dilations=dilations, extra=extra_convolution)

        def make_block(stage: int, channels: int) -> nn.Module:
            return dilated(channels) if stage > middle else _FourierBlock(channels, extra_convolution)

        super().__init__(width, depths, make_block)
        channels = width << middle
        self.middle_decoder = nn.Sequential(*[dilated(channels) for _ in range(depths[middle])])
        self.side = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor | Features:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        auxiliary: list[Tensor] = []
        stages = list(self.stages)
        middle = len(stages) // 2

        def run_middle(features: Tensor) -> Tensor:
            encoded = self.stages[middle](features)
            if self.training:
                auxiliary.append(self.side(encoded))
            return encoded + self.middle_decoder(encoded)

        features = self.run_stages(image, [*stages[:middle], run_middle, *stages[middle + 1 :]])
        return Features(features, tuple(auxiliary)) if self.training else features


class _FourierBlock(nn.Module):
    """Block of the encoder: depthwise convolution with channel attention, then a factor per pixel from all frequencies.

    `beta` and `gamma` scale the two halves; a folded block has neither.
    """

    def __init__(self, channels: int, extra: bool) -> None:
        super().__init__()
        self.spatial_norm: nn.Module = ChannelLayerNorm(channels, NORM_EPS)
        self.extra = nn.Conv2d(channels, channels, 3, padding=1, groups=channels) if extra else nn.Identity()
        self.spatial_expand = nn.Conv2d(channels, 2 * channels, 1)
        self.branches = _branches(2 * channels, (1,))
        self.gate = SimpleGate()
        self.attention = nn.Conv2d(channels, channels, 1)
        self.spatial_project = nn.Conv2d(channels, channels, 1)
        self.channel_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.frequencies = _Frequencies(channels)
        self.beta: nn.Parameter | None = channel_scale(channels, 0.0)
        self.gamma: nn.Parameter | None = channel_scale(channels, 0.0)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, `B C H W`."""
        expanded = self.spatial_expand(self.extra(self.spatial_norm(features)))
        mixed = self.gate(_sum_of(self.branches, expanded))
        mixed = mixed * self.attention(mixed.mean((2, 3), keepdim=True))
        features = add_scaled(features, self.spatial_project(mixed), self.beta)
        # The factor multiplies the features, not their norm.
        return add_scaled(features, features * self.frequencies(self.channel_norm(features)), self.gamma)

    def folded(self) -> nn.Module:
        """Return a block with `beta` and `gamma` in the projections, and the first norm's weights where that is exact.

        An extra convolution between norm and expansion pads with zeros, so it cannot take the norm's shift.
        """
        if self.beta is None or self.gamma is None:
            return self
        block = copy.deepcopy(self)
        if isinstance(self.extra, nn.Identity):
            block.spatial_norm, scale, shift = split_affine(self.spatial_norm)
            block.spatial_expand = affine_before(self.spatial_expand, scale, shift)
        block.spatial_project = scale_after(self.spatial_project, self.beta)
        block.frequencies.project = scale_after(self.frequencies.project, self.gamma)
        block.beta = block.gamma = None
        return block


class _DilatedBlock(MixingBlock):
    """Block of the decoder: dilated depthwise convolutions with channel attention, then channel mixing."""

    def __init__(self, channels: int, dilations: tuple[int, ...], extra: bool) -> None:
        super().__init__()
        hidden = 2 * channels
        self.spatial_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.spatial_expand = nn.Conv2d(channels, hidden, 1)
        self.extra = nn.Conv2d(hidden, hidden, 3, padding=1, groups=channels) if extra else nn.Identity()
        self.branches = _branches(hidden, dilations)
        self.attention = nn.Conv2d(channels, channels, 1)
        self.spatial_project = nn.Conv2d(channels, channels, 1)
        self.add_channel_mixing(channels, hidden, SimpleGate())

    def mix_pixels(self, normed: Tensor) -> Tensor:
        expanded = self.extra(self.spatial_expand(normed))
        mixed = self.activation(_sum_of(self.branches, expanded))
        return self.spatial_project(mixed * self.attention(mixed.mean((2, 3), keepdim=True)))


class _Frequencies(nn.Module):
    """Two 1x1 convolutions on the magnitudes of all frequencies, which keep their phases (paper: FreMLP)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, normed: Tensor) -> Tensor:
        """Return `B C H W` from normalised features `B C H W`, computed in float32 at least."""
        exact = normed.to(torch.promote_types(normed.dtype, torch.float32)).contiguous()
        with without_autocast(exact):
            spectrum = torch.fft.rfft2(exact)
            magnitude = spectrum.abs()
            hidden = F.leaky_relu(_convolve(self.expand, magnitude), SLOPE)
            mixed = _convolve(self.project, hidden)
            # Zero has phase 0: it becomes 1 in the quotient.
            zeros = (magnitude == 0).to(magnitude.dtype)
            scaled = (spectrum + zeros) * (mixed / (magnitude + zeros))
            return torch.fft.irfft2(scaled, s=normed.shape[-2:]).to(normed.dtype)


def _convolve(conv: nn.Conv2d, features: Tensor) -> Tensor:
    """Return the result of a 1x1 convolution in the precision of its features, whatever that of its weights."""
    bias = None if conv.bias is None else conv.bias.to(features.dtype)
    return F.conv2d(features, conv.weight.to(features.dtype), bias)


def _branches(channels: int, dilations: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(DilatedDepthwiseConv2d(channels, dilation) for dilation in dilations)


def _sum_of(branches: nn.ModuleList, features: Tensor) -> Tensor:
    total, *others = (branch(features) for branch in branches)
    for other in others:
        total = total + other
    return total
