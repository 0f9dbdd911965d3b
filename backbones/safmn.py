"""SAFMN (Sun et al., ICCV 2023): spatially adaptive feature modulation, made for light super-resolution.

Every block looks at its features at four sizes at once and multiplies them by what it sees. Unlike the authors'
network, ours restores an image of the same size, without upsampling.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Sizes
from backbones._depthwise import DepthwiseConv2d
from backbones._layers import ChannelLayerNorm, are_numbers, check_option, check_positive

NORM_EPS = 1e-6
SCALES = (1, 2, 4, 8)
"""Factors by which the four parts of the channels are made smaller."""


class SAFMN(Backbone):
    """Blocks of feature modulation and channel mixing, all at full resolution (paper, section 3 and figure 2).

    The features are the sum of the first and the last ones, `width` channels. The published network ends in a
    convolution and a pixel shuffle to a larger image; here it restores an image of the same size, without an outer
    skip.

    Args:
        width: channels, a multiple of 4.
        depth: blocks.
        expansion: hidden channels of the channel mixing, as a multiple of `width`.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{sun2023spatially,
  title = {Spatially-Adaptive Feature Modulation for Efficient Image Super-Resolution},
  author = {Sun, Long and Dong, Jiangxin and Tang, Jinhui and Pan, Jinshan},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  year = {2023}
}"""
    origin = (
        "arXiv:2302.13800; reference implementation sunny2109/SAFMN@68c2182e (Apache-2.0), whose weights fit after "
        "renaming where they were trained at upscaling factor 1. Sizes safmn and safmn_l are the published trunks, "
        "without their upsampler; small and tiny are our choices. Nothing can be folded: every normalisation is "
        "followed by a padded convolution or multiplied with its result."
    )
    sizes: ClassVar[Sizes] = {
        "safmn": {"width": 36, "depth": 8},
        "safmn_l": {"width": 128, "depth": 16},
        "small": {"width": 36, "depth": 8},
        "tiny": {"width": 24, "depth": 5},
    }
    published = Published(
        keys=(
            (r"to_feat\.(\w+)", r"backbone.stem.\1"),
            (r"feats\.(\d+)\.norm1\.(\w+)", r"backbone.blocks.\1.modulation_norm.\2"),
            (r"feats\.(\d+)\.safm\.mfr\.(\d)\.(\w+)", r"backbone.blocks.\1.modulation.filters.\2.\3"),
            (r"feats\.(\d+)\.safm\.aggr\.(\w+)", r"backbone.blocks.\1.modulation.join.\2"),
            (r"feats\.(\d+)\.norm2\.(\w+)", r"backbone.blocks.\1.mixing_norm.\2"),
            (r"feats\.(\d+)\.ccm\.ccm\.0\.(\w+)", r"backbone.blocks.\1.expand.\2"),
            (r"feats\.(\d+)\.ccm\.ccm\.2\.(\w+)", r"backbone.blocks.\1.contract.\2"),
            (r"to_img\.0\.(\w+)", r"head.conv.\1"),
        ),
        head={"name": "rgb", "padding": "zeros"},
    )

    def __init__(self, width: int = 36, depth: int = 8, expansion: float = 2.0) -> None:
        super().__init__()
        check_positive("safmn", width=width, depth=depth)
        check_option("safmn", "width", width, width % len(SCALES) == 0, f"it must be a multiple of {len(SCALES)}")
        check_option(
            *("safmn", "expansion", expansion, int(width * expansion) >= 1),
            requirement=f"times width ({width}) it must be at least 1",
        )
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*[_Block(width, int(width * expansion)) for _ in range(depth)])

        self.out_channels = width
        self.min_side = max(SCALES)

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; sides of at least `min_side`."""
        # The norms work on pixels: in any other memory layout each norm and each sum would copy its input.
        first = self.stem(image).contiguous(memory_format=torch.channels_last)
        return first + self.blocks(first)


class _Block(nn.Module):
    """Feature modulation, then channel mixing; each normalises its input and is added to it."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.modulation_norm = ChannelLayerNorm(width, NORM_EPS)
        self.modulation = _Modulation(width)
        self.mixing_norm = ChannelLayerNorm(width, NORM_EPS)
        self.expand = nn.Conv2d(width, hidden, 3, padding=1)
        self.contract = nn.Conv2d(hidden, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.modulation(self.modulation_norm(features))
        return features + self.contract(F.gelu(self.expand(self.mixing_norm(features))))


class _Modulation(nn.Module):
    """Multiply features by a map that is made of their parts at several sizes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.filters = nn.ModuleList(DepthwiseConv2d(width // len(SCALES), 3, "zeros") for _ in SCALES)
        self.join = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        parts: list[Tensor] = []
        for part, conv, scale in zip(features.chunk(len(SCALES), dim=1), self.filters, SCALES, strict=True):
            filtered = conv(part if scale == 1 else shrink(part, scale))
            parts.append(filtered if scale == 1 else F.interpolate(filtered, features.shape[2:], mode="nearest"))
        return F.gelu(self.join(torch.cat(parts, dim=1))) * features


def shrink(features: Tensor, scale: int) -> Tensor:
    """Return the maxima of windows: features `B C H W` as `B C H//scale W//scale`, whatever H and W.

    The windows are those of adaptive pooling: window k of n spans the pixels from k H / n, rounded down, to
    (k + 1) H / n, rounded up.
    """
    height, width = features.shape[2:]
    if are_numbers(height, width) and height % scale == width % scale == 0:
        return F.max_pool2d(features, scale)
    # In an export the sides may be symbols, for which torch has no adaptive pooling.
    return _shrink_along(_shrink_along(features, 2, scale), 3, scale)


def _shrink_along(features: Tensor, dimension: int, scale: int) -> Tensor:
    side = features.shape[dimension]
    count = side // scale
    window = torch.arange(count, device=features.device)
    first, end = window * side // count, -(-(window + 1) * side // count)
    # The longest windows have 2 * scale - 1 pixels; the others repeat their last one, which changes no maximum.
    pixels = first[:, None] + torch.arange(2 * scale - 1, device=features.device)
    pixels = torch.minimum(pixels, end[:, None] - 1)
    gathered = features.index_select(dimension, pixels.flatten())
    return gathered.unflatten(dimension, (count, 2 * scale - 1)).amax(dimension + 1)
