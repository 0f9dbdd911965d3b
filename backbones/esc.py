"""ESC (Lee et al., ICCV 2025): a large convolution as attention, with one kernel for the whole network.

Each block attends once in large windows and then convolves several times: a part of the channels with the shared large
kernel and with a small one that the image gives. Unlike the authors' network, ours restores an image of the same size,
without upsampling.
"""

import copy
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Sizes
from backbones._depthwise import DepthwiseConv2d
from backbones._folding import affine_before, split_affine
from backbones._image_filters import filter_images
from backbones._layers import ChannelLayerNorm, check_option, check_positive, initialise_zero
from backbones._window_attention import merge_windows, offset_index, split_windows

NORM_EPS = 1e-6
MIXING_EXPANSION = 2
"""Hidden channels of the first part of a block, as a multiple of its channels."""
OFFSET_STD = 0.001
"""Deviation of the initial bias per offset between two pixels."""
BLOCK_PARTS = {
    "ln_proj": "mixing_norm",
    r"proj\.proj": "mixing.expand",
    r"proj\.dwc": "mixing.depthwise",
    r"proj\.aggr": "mixing.contract",
    "ln_attn": "attention_norm",
    r"attn\.to_qkv": "attention.query_key_value",
    r"attn\.to_out": "attention.project",
    "ln_out": "last_norm",
    "conv_out": "last",
}
"""Patterns of the parts of a block in the reference implementation, and their names here."""
CONVOLUTION_PARTS = {
    r"convffns\.(\d+)\.proj": r"mixings.\2.expand",
    r"convffns\.(\d+)\.dwc": r"mixings.\2.depthwise",
    r"convffns\.(\d+)\.aggr": r"mixings.\2.contract",
    r"pconvs\.(\d+)\.plk\.dwc_proj\.1": r"convolutions.\2.squeeze",
    r"pconvs\.(\d+)\.plk\.dwc_proj\.3": r"convolutions.\2.excite",
    r"pconvs\.(\d+)\.aggr": r"convolutions.\2.join",
}
"""The same for the parts that a block has several of."""


class ESC(Backbone):
    """Blocks of attention in windows and of convolutions that act like attention (paper, section 3 and figure 3).

    The features are the sum of the first and the last ones, `width` channels. The published network ends in a
    convolution and a pixel shuffle to a larger image, and adds the repeated pixels of the image; at equal size this is
    head `residual`.

    Folding leaves the symmetric kernel, and takes scale and shift of two norms of each block into the next convolution.

    Args:
        width: channels, a multiple of `heads`.
        depth: blocks.
        convolutions: convolutions in each block.
        partial: channels that these filter, at least 2; the others pass by.
        kernel_size: side of the shared kernel in pixels, odd.
        window: side of the attention's windows in pixels. Smaller images have at least `window` // 2 + 1 pixels.
        heads: attention heads.
        expansion: hidden channels between the convolutions, as a multiple of `width`.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{lee2025emulating,
  title = {Emulating Self-attention with Convolution for Efficient Image Super-Resolution},
  author = {Lee, Dongheon and Yun, Seokju and Ro, Youngmin},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  year = {2025}
}"""
    origin = (
        "arXiv:2503.06671; reference implementation dslisleedh/ESC@e7e6938c (MIT), whose weights fit after renaming "
        "where they were trained at upscaling factor 1. Sizes esc and esc_light are the published trunks, without "
        "their upsampler; small and tiny are our choices. Left out are ESC-XL, which normalises before each "
        "convolution, and the variants for real-world images and with other upsamplers."
    )
    sizes: ClassVar[Sizes] = {
        "esc": {"width": 64, "depth": 5},
        "esc_light": {"width": 64, "depth": 3},
        "small": {"width": 32, "depth": 3, "convolutions": 3, "partial": 8, "window": 16},
        "tiny": {"width": 24, "depth": 2, "convolutions": 3, "partial": 8, "kernel_size": 9, "window": 8, "heads": 2},
    }
    published = Published(
        keys=(
            (r"proj\.(\w+)", r"backbone.stem.\1"),
            ("plk_filter", "backbone.kernel.weight"),
            *(
                (rf"blocks\.(\d+)\.{theirs}\.(\w+)", rf"backbone.blocks.\1.{ours}.\2")
                for theirs, ours in BLOCK_PARTS.items()
            ),
            (r"blocks\.(\d+)\.attn\.relative_position_bias", r"backbone.blocks.\1.attention.offset_bias"),
            *(
                (rf"blocks\.(\d+)\.{theirs}\.(\w+)", rf"backbone.blocks.\1.{ours}.\3")
                for theirs, ours in CONVOLUTION_PARTS.items()
            ),
            (r"last\.(\w+)", r"backbone.end.\1"),
            (r"to_img\.(\w+)", r"head.conv.\1"),
        ),
        head={"name": "residual", "padding": "zeros"},
    )

    def __init__(
        self,
        width: int = 64,
        depth: int = 5,
        convolutions: int = 5,
        partial: int = 16,
        kernel_size: int = 13,
        window: int = 32,
        heads: int = 4,
        expansion: float = 1.25,
    ) -> None:
        super().__init__()
        check_positive("esc", width=width, depth=depth, convolutions=convolutions, window=window, heads=heads)
        check_option("esc", "width", width, width % heads == 0, f"it must be a multiple of heads ({heads})")
        check_option(
            "esc", "partial", partial, 2 <= partial <= width, f"it must be at least 2 and at most width ({width})"
        )
        check_option("esc", "kernel_size", kernel_size, kernel_size >= 1 and kernel_size % 2 == 1, "it must be odd")
        hidden = int(width * expansion)
        check_option("esc", "expansion", expansion, hidden >= 1, f"times width ({width}) it must be at least 1")
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.kernel = SymmetricKernel(partial, kernel_size)
        self.blocks = nn.ModuleList(
            _Block(width, hidden, convolutions, partial, _Attention(width, heads, window)) for _ in range(depth)
        )
        self.end = nn.Conv2d(width, width, 3, padding=1)

        self.out_channels = width
        self.min_side = window // 2 + 1  # what is reflected to fill a window lies within the image

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; sides of at least `min_side`."""
        # Norms and windows work on pixels: in any other memory layout each of them would copy its input.
        first = features = self.stem(image).contiguous(memory_format=torch.channels_last)
        kernel = self.kernel()
        for block in self.blocks:
            features = block(features, kernel)
        return first + self.end(features)


class SymmetricKernel(nn.Module):
    """A dense kernel, made equal under quarter turns and mirroring: the mean of its eight images."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels, side, side))
        nn.init.orthogonal_(self.weight)

    def forward(self) -> Tensor:
        """Return the kernel, `channels channels side side`."""
        turned = [self.weight.rot90(turns, (2, 3)) for turns in range(4)]
        return torch.stack((*turned, *(kernel.flip(3) for kernel in turned))).mean(0)

    def folded(self) -> nn.Module:
        """Return a module that holds the symmetric kernel."""
        return _FixedKernel(self().detach())


class _FixedKernel(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self) -> Tensor:
        return self.weight


class _Block(nn.Module):
    """Mixing, attention, convolutions with mixing before each, and a last convolution; added to the input."""

    def __init__(self, width: int, hidden: int, convolutions: int, partial: int, attention: "_Attention") -> None:
        super().__init__()
        self.mixing_norm: nn.Module = ChannelLayerNorm(width, NORM_EPS)
        self.mixing = _Mixing(width, MIXING_EXPANSION * width)
        self.attention_norm: nn.Module = ChannelLayerNorm(width, NORM_EPS)
        self.attention = attention
        self.mixings = nn.ModuleList(_Mixing(width, hidden) for _ in range(convolutions))
        self.convolutions = nn.ModuleList(_PartialConvolution(width, partial) for _ in range(convolutions))
        self.last_norm = ChannelLayerNorm(width, NORM_EPS)
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor, kernel: Tensor) -> Tensor:
        """Return features of the same shape, `B C H W`; all blocks take the same kernel."""
        inner = self.mixing(self.mixing_norm(features))
        inner = inner + self.attention(self.attention_norm(inner))
        for mixing, convolution in zip(self.mixings, self.convolutions, strict=True):
            inner = inner + convolution(mixing(inner), kernel)
        return features + self.last(self.last_norm(inner))

    def folded(self) -> nn.Module:
        """Return a block with the weights of its first two norms in the 1x1 convolutions after them.

        It is exact at the border: what fills the last windows repeats pixels of the image.
        """
        if not getattr(self.mixing_norm, "affine", False):
            return self
        block = copy.deepcopy(self)
        block.mixing_norm, scale, shift = split_affine(self.mixing_norm)
        block.mixing.expand = affine_before(self.mixing.expand, scale, shift)
        block.attention_norm, scale, shift = split_affine(self.attention_norm)
        block.attention.query_key_value = affine_before(self.attention.query_key_value, scale, shift)
        return block


class _Mixing(nn.Module):
    """1x1 convolution, a depthwise one that is added to its input, 1x1 convolution."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, hidden, 1)
        self.depthwise = DepthwiseConv2d(hidden, 3, "zeros")
        self.contract = nn.Conv2d(hidden, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        hidden = F.gelu(self.expand(features))
        return self.contract(hidden + F.gelu(self.depthwise(hidden)))


class _PartialConvolution(nn.Module):
    """Filter the first channels with a given kernel and with 3x3 filters that their mean gives; 1x1 convolution."""

    def __init__(self, width: int, partial: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(partial, partial // 2, 1)
        self.excite = nn.Conv2d(partial // 2, 9 * partial, 1)
        initialise_zero(self.excite)
        self.join = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor, kernel: Tensor) -> Tensor:
        first, passed = features.tensor_split((len(kernel),), dim=1)
        filters = self.excite(F.gelu(self.squeeze(first.mean((2, 3), keepdim=True))))
        filtered = F.conv2d(first, kernel, padding=kernel.shape[2] // 2)
        filters = filters.flatten(1).unflatten(1, (len(kernel), 3, 3))
        filtered = filtered + filter_images(F.pad(first, (1, 1, 1, 1)), filters)
        return self.join(torch.cat((filtered, passed), dim=1))


class _Attention(nn.Module):
    """Attention in windows, with a learned bias per offset between two pixels; a reflection fills the last windows."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.query_key_value = nn.Conv2d(width, 3 * width, 1)
        self.project = nn.Conv2d(width, width, 1)
        self.offset_bias = nn.Parameter(OFFSET_STD * torch.randn(heads, (2 * window - 1) ** 2))
        # Position of the key minus that of the query: Swin's offsets are the other way round.
        self.offset_index = nn.Buffer(offset_index(window).T.flatten(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        down, right = -height % self.window, -width % self.window
        padded = F.pad(features, (0, right, 0, down), "reflect") if down or right else features
        pixels = self.query_key_value(padded).permute(0, 2, 3, 1)
        windows = [split_windows(part, self.window, self.heads) for part in pixels.chunk(3, dim=-1)]
        query, key, value = (part.flatten(0, 2) for part in windows)
        side = self.window**2
        bias = self.offset_bias[:, self.offset_index].view(self.heads, side, side)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        merged = merge_windows(attended.unflatten(0, windows[0].shape[:3]), self.window)
        return self.project(merged[:, :height, :width].permute(0, 3, 1, 2))
