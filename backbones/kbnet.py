"""KBNet (Zhang et al., 2023): a U-Net whose blocks convolve every pixel with its own mixture of learned kernels.

A small branch predicts, for each pixel, the coefficients of a set of learned kernels ("kernel basis attention"). Unlike
the authors' code, ours mixes the kernels strip by strip, which gives the same numbers with less memory.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from backbones import Published, Sizes
from backbones._folding import scale_after
from backbones._layers import ChannelLayerNorm, check_depths, check_option, check_positive
from backbones._naf_unet import NORM_EPS, MixingBlock, NafUNet, SimpleGate, add_scaled, channel_scale, make_renames
from backbones._unet import level_channels

SCALE_START = 1e-2
COEFFICIENT_CHANNELS = 32
"""Upper limit on the channels of the first convolution that predicts the coefficients."""
GROUP = 4
"""Channels per group of a mixed kernel: each output channel sees the channels of its own group."""
KERNEL_VALUES = GROUP * 9
"""Values that one output channel sees at a pixel, a 3x3 neighbourhood of its group."""
STRIP_PIXELS_CPU = 1024
"""Pixels per strip on the CPU: their kernels fit its second-level cache (fastest when measured: 1024 to 2048)."""
STRIP_PIXELS = 1 << 16
"""Pixels per strip on other devices: few enough to bound the memory, enough to fill the device."""
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
    """U-Net of blocks with kernel basis attention (paper, section 3): the variant KBNet_s.

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

    citation = """@article{zhang2023kbnet,
  title = {KBNet: Kernel Basis Network for Image Restoration},
  author = {Zhang, Yi and Li, Dasong and Shi, Xiaoyu and He, Dailan and Song, Kangning and Wang, Xiaogang and Qin,
    Hongwei and Li, Hongsheng},
  journal = {arXiv preprint arXiv:2303.02881},
  year = {2023}
}"""
    origin = (
        "arXiv:2303.02881; reference implementation zhangyi-3/KBNet@ec33fb34 (MIT), KBNet_s, whose weights fit after "
        "renaming. Kernels are mixed strip by strip, which gives the same numbers with less memory. Sizes sidd and "
        "gaussian are published; small and tiny are our choices."
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


class _Block(MixingBlock):
    """Block with the product of three branches as its spatial half.

    The branches are a plain convolution, kernel basis attention with a skip, and channel attention.
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
        self.coefficient_scale: nn.Parameter | None = channel_scale(bases, SCALE_START)
        self.expand = nn.Sequential(nn.Conv2d(channels, channels, 1), _local("depthwise", channels))
        self.basis = KernelBasis(channels, bases)
        self.basis_scale: nn.Parameter | None = channel_scale(channels, SCALE_START)
        self.spatial_project = nn.Conv2d(channels, channels, 1)
        self.add_channel_mixing(channels, hidden, SimpleGate(), SCALE_START)

    def mix_pixels(self, normed: Tensor) -> Tensor:
        attention = self.attention(normed.mean((2, 3), keepdim=True))
        expanded = self.expand(normed)
        coefficients = self.coefficient_expand(self.activation(self.coefficient_spatial(normed)))
        coefficients = add_scaled(self.coefficient_direct(normed), coefficients, self.coefficient_scale)
        based = self.basis(expanded, coefficients)
        return self.spatial_project(add_scaled(expanded, based, self.basis_scale) * self.local(normed) * attention)

    def fold_pixel_mixing(self) -> None:
        """Fold the scales in place; the first norm keeps its weights because a padded 3x3 convolution follows it."""
        if self.basis_scale is not None and self.coefficient_scale is not None:
            self.coefficient_expand = scale_after(self.coefficient_expand, self.coefficient_scale)
            self.basis = self.basis.scaled(self.basis_scale)
            self.basis_scale = self.coefficient_scale = None


class KernelBasis(nn.Module):
    """Learned 3x3 kernels and biases, `bases` of each, mixed at every pixel by given coefficients (paper, section 3.1).

    The kernels of all pixels, `H W channels * 36` numbers, never exist at once: strips of whole rows are processed one
    after the other, and the backward pass computes the kernels of a strip again.
    """

    def __init__(self, channels: int, bases: int) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.empty(1, bases, channels * KERNEL_VALUES))
        self.biases = nn.Parameter(torch.empty(1, bases, channels))
        bound = (bases * channels * KERNEL_VALUES) ** -0.5
        nn.init.uniform_(self.kernels, -bound, bound)
        nn.init.uniform_(self.biases, -bound, bound)

    def forward(self, features: Tensor, coefficients: Tensor) -> Tensor:
        """Return features `B C H W`, channels last, from features `B C H W` and coefficients `B bases H W`."""
        padded = F.pad(features, (0, 0, 1, 1))
        if torch.compiler.is_compiling():  # a graph would fix the number of strips
            return _mix_kernels(padded, coefficients, self.kernels, self.biases)
        pixels = STRIP_PIXELS_CPU if features.device.type == "cpu" else STRIP_PIXELS
        rows = max(1, pixels // (len(features) * features.shape[3]))
        mix: Callable[..., Tensor] = _mix_kernels
        if self.training and torch.is_grad_enabled():
            mix = partial(checkpoint, mix, use_reentrant=False, preserve_rng_state=False)
        strips = [
            mix(padded[:, :, top : top + rows + 2], coefficients[:, :, top : top + rows], self.kernels, self.biases)
            for top in range(0, features.shape[2], rows)
        ]
        return torch.cat(strips, 2) if len(strips) > 1 else strips[0]

    def scaled(self, scale: Tensor) -> "KernelBasis":
        """Return a module that multiplies the features of this one by a scale per channel."""
        basis = copy.deepcopy(self)
        per_channel = scale.detach().flatten()
        basis.kernels = nn.Parameter(self.kernels.detach() * per_channel.repeat_interleave(KERNEL_VALUES))
        basis.biases = nn.Parameter(self.biases.detach() * per_channel)
        return basis


def _mix_kernels(features: Tensor, coefficients: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """Return features of the rows of `coefficients`; `features` has one more row at the top and at the bottom."""
    batch, channels, _, width = features.shape
    bases = coefficients.shape[1]
    # Pixels come last, so that the product and the sum below run along contiguous memory.
    mixture = coefficients.reshape(batch, bases, -1).contiguous()
    kernel = (kernels.transpose(1, 2) @ mixture).view(batch, channels // GROUP, GROUP, KERNEL_VALUES, -1)
    neighbours = F.unfold(features, 3, padding=(0, 1)).view(batch, channels // GROUP, 1, KERNEL_VALUES, -1)
    # In place where no backward pass needs the kernel: a quarter faster, because half as much stays in the cache.
    product = kernel * neighbours if torch.is_grad_enabled() else kernel.mul_(neighbours)
    mixed = product.sum(3).view(batch, channels, -1) + biases.transpose(1, 2) @ mixture
    return mixed.view(batch, channels, -1, width).contiguous(memory_format=torch.channels_last)


def _local(kind: str, channels: int) -> nn.Conv2d:
    if kind == "depthwise":
        return nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    return nn.Conv2d(channels, channels, 5, padding=2, groups=channels // GROUP)


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
