"""SwinIR (Liang et al., ICCVW 2021): groups of window attention and a convolution, all at full resolution.

Every second block shifts its windows by half, so that neighbouring windows exchange information. Unlike the authors'
code, ours has no stochastic depth in training and no upsampling.
"""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Sizes
from backbones._layers import RGB_MEAN, check_option, check_positive
from backbones._window_attention import WindowAttention, linear

SLOPE = 0.2
"""Slope of the leaky ReLU for negative values, between three residual convolutions."""


class SwinIR(Backbone):
    """Residual groups of Swin transformer blocks on features of one convolution (paper, figure 2).

    Every second block shifts its windows by half a window. The features are those before the output convolution,
    `width` channels.

    Args:
        width: channels; divisible by all `heads`.
        depths: blocks in each group.
        heads: attention heads of the blocks in each group.
        window: side of the windows in pixels, at least 2; images are padded to multiples of it.
        expansion: hidden channels of the feed-forward part, as a multiple of `width`.
        residual_convolutions: convolutions at the end of each group and of all groups: one of 3x3, or three that narrow
            to a quarter of `width`: 3x3, 1x1, 3x3.
        img_range: factor on the values of the image; the result is divided by it.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{liang2021swinir,
  title = {{SwinIR}: Image Restoration Using {Swin} Transformer},
  author = {Liang, Jingyun and Cao, Jiezhang and Sun, Guolei and Zhang, Kai and Van Gool, Luc and Timofte, Radu},
  booktitle = {IEEE/CVF International Conference on Computer Vision Workshops (ICCVW)},
  year = {2021}
}"""
    origin = (
        "arXiv:2108.10257; reference implementation JingyunLiang/SwinIR@6545850f (Apache-2.0), whose weights fit after "
        "renaming. Sizes denoise and jpeg (both for colour) are published; light is the trunk of the published light "
        "super-resolution at equal size; small and tiny are our choices. Left out are upsampling, grey images, "
        "absolute position embedding and, in training, stochastic depth."
    )
    sizes: ClassVar[Sizes] = {
        "denoise": {"width": 180, "depths": (6,) * 6, "heads": (6,) * 6},
        "jpeg": {"width": 180, "depths": (6,) * 6, "heads": (6,) * 6, "window": 7, "img_range": 255.0},
        "light": {"width": 60, "depths": (6,) * 4, "heads": (6,) * 4},
        "small": {"width": 32, "depths": (2, 2, 2), "heads": (2, 2, 2)},
        "tiny": {"width": 16, "depths": (2, 2), "heads": (2, 2), "window": 4},
    }
    published = Published(
        keys=(
            (r"conv_first\.(\w+)", r"backbone.stem.\1"),
            (r"patch_embed\.norm\.(\w+)", r"backbone.first_norm.\1"),
            (r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.norm1\.(\w+)", r"backbone.groups.\1.blocks.\2.norm_1.\3"),
            (r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.norm2\.(\w+)", r"backbone.groups.\1.blocks.\2.norm_2.\3"),
            (
                r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.attn\.qkv\.(\w+)",
                r"backbone.groups.\1.blocks.\2.attention.query_key_value.\3",
            ),
            (
                r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.attn\.proj\.(\w+)",
                r"backbone.groups.\1.blocks.\2.attention.project.\3",
            ),
            (
                r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.attn\.relative_position_bias_table",
                r"backbone.groups.\1.blocks.\2.attention.offset_bias",
            ),
            (
                r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.mlp\.fc1\.(\w+)",
                r"backbone.groups.\1.blocks.\2.expand.\3",
            ),
            (
                r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.mlp\.fc2\.(\w+)",
                r"backbone.groups.\1.blocks.\2.contract.\3",
            ),
            (r"layers\.(\d+)\.conv\.((?:\d\.)?\w+)", r"backbone.groups.\1.conv.\2"),
            (r"norm\.(\w+)", r"backbone.last_norm.\1"),
            (r"conv_after_body\.((?:\d\.)?\w+)", r"backbone.end.\1"),
            (r"conv_last\.(\w+)", r"head.conv.\1"),
        ),
        head={"name": "residual", "padding": "zeros"},
        recomputed=(r".*\.attn_mask", r".*\.relative_position_index"),
    )

    def __init__(
        self,
        width: int = 180,
        depths: tuple[int, ...] = (6,) * 6,
        heads: tuple[int, ...] = (6,) * 6,
        window: int = 8,
        expansion: int = 2,
        residual_convolutions: Literal[1, 3] = 1,
        img_range: float = 1.0,
    ) -> None:
        super().__init__()
        check_positive("swinir", width=width, expansion=expansion, img_range=img_range)
        check_option(
            *("swinir", "depths", depths, len(depths) == len(heads) > 0 and min(*depths, *heads) >= 1),
            requirement=f"heads is {list(heads)}; both need one integer above 0 per group",
        )
        divisible = all(width % count == 0 for count in heads)
        check_option("swinir", "width", width, divisible, f"it must be divisible by all heads, {list(heads)}")
        check_option("swinir", "window", window, window >= 2, "it must be at least 2, as blocks shift by half of it")
        narrow = width // 4 if residual_convolutions == 3 else None
        check_option("swinir", "width", width, narrow != 0, "with 3 residual_convolutions it must be at least 4")
        self.mean = nn.Buffer(img_range * torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.first_norm = nn.LayerNorm(width)
        self.groups = nn.Sequential(
            *[
                _Group(width, depth, count, window, expansion, narrow)
                for depth, count in zip(depths, heads, strict=True)
            ]
        )
        self.last_norm = nn.LayerNorm(width)
        self.end = _residual_convolution(width, narrow)

        self.input_range = (0.0, img_range)
        self.out_channels = width
        self.multiple_of = self.min_side = window

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in `input_range`; H and W multiples of `multiple_of`."""
        # Norms and linear layers work on pixels: channels_last makes the permutes of all groups views.
        first = self.stem(image - self.mean).contiguous(memory_format=torch.channels_last)
        pixels = self.groups(self.first_norm(first.permute(0, 2, 3, 1)))
        return first + self.end(self.last_norm(pixels).permute(0, 3, 1, 2))


class _Group(nn.Module):
    """Blocks and a convolution or three, added to the input, on `B H W C` (residual Swin transformer block)."""

    def __init__(self, width: int, depth: int, heads: int, window: int, expansion: int, narrow: int | None) -> None:
        super().__init__()
        shifts = [window // 2 * (index % 2) for index in range(depth)]
        self.blocks = nn.Sequential(*[_Block(width, heads, window, shift, expansion) for shift in shifts])
        self.conv = _residual_convolution(width, narrow)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv(self.blocks(features).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class _Block(nn.Module):
    """Window attention, then a feed-forward part; each normalises its input and is added to it."""

    def __init__(self, width: int, heads: int, window: int, shift: int, expansion: int) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(width)
        self.attention = _Attention(width, heads, window, shift)
        self.norm_2 = nn.LayerNorm(width)
        self.expand = linear(width, expansion * width)
        self.contract = linear(expansion * width, width)

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.attention(self.norm_1(features))
        return features + self.contract(F.gelu(self.expand(self.norm_2(features))))


class _Attention(WindowAttention):
    """Query, key and value from one linear layer."""

    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__(channels, heads, window, shift)
        self.query_key_value = linear(channels, 3 * channels)

    def forward(self, features: Tensor) -> Tensor:
        query, key, value = self.query_key_value(self.shifted(features)).chunk(3, dim=-1)
        return self.shifted_back(self.attend(query, key, value))


def _residual_convolution(width: int, narrow: int | None) -> nn.Module:
    """Return a 3x3 convolution, or three through `narrow` channels."""
    if narrow is None:
        return nn.Conv2d(width, width, 3, padding=1)
    return nn.Sequential(
        *(nn.Conv2d(width, narrow, 3, padding=1), nn.LeakyReLU(SLOPE, inplace=True)),
        *(nn.Conv2d(narrow, narrow, 1), nn.LeakyReLU(SLOPE, inplace=True)),
        nn.Conv2d(narrow, width, 3, padding=1),
    )
