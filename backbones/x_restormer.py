"""X-Restormer (Chen et al., ECCV 2024): Restormer whose blocks also attend to the pixels around each window.

Attention across channels sees the whole image but no places; attention among pixels sees places nearby. Every block
has both. The parts that come from Restormer are written from that paper, not from code.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Published, Sizes
from backbones._layers import ChannelLayerNorm, check_option, check_positive
from backbones._restormer_unet import (
    NORM_EPS,
    GatedFeedForward,
    RestormerUNet,
    TransposedAttention,
    check_layout,
    make_renames,
)
from backbones._window_attention import merge_windows, split_windows

OFFICIAL_PARTS = {
    "norm1.body": "channel_norm",
    "channel_attn.temperature": "channel_attention.temperature",
    "channel_attn.qkv": "channel_attention.expand",
    "channel_attn.qkv_dwconv": "channel_attention.depthwise",
    "channel_attn.project_out": "channel_attention.project",
    "norm2.body": "first_feed_forward_norm",
    "norm3.body": "window_norm",
    "spatial_attn.qkv": "window_attention.expand",
    "spatial_attn.project_out": "window_attention.project",
    "spatial_attn.rel_pos_emb.rel_height": "window_attention.row_offsets",
    "spatial_attn.rel_pos_emb.rel_width": "window_attention.column_offsets",
    "norm4.body": "second_feed_forward_norm",
    **{
        f"{theirs}.{part}": f"{ours}.{name}"
        for theirs, ours in (("channel_ffn", "first_feed_forward"), ("spatial_ffn", "second_feed_forward"))
        for part, name in (("project_in", "expand"), ("dwconv", "depthwise"), ("project_out", "project"))
    },
}
"""Names of the parts of a block: in the reference implementation, and here."""


class XRestormer(RestormerUNet):
    """U-Net of blocks with attention across channels and among pixels.

    Levels double in channels and halve in size. Skip connections are concatenated; a 1x1 convolution halves the
    channels again, except at full resolution, where decoder and refinement run at 2 * `width`. The features are those
    before the output convolution, 2 * `width` channels.

    Args:
        width: channels at full resolution in the encoder, even.
        depths: blocks per level, in the encoder and again in the decoder, the middle last; its length, at least 2,
            sets the number of levels.
        refinement: blocks after the decoder, at full resolution.
        heads: heads of the attention across channels per level; as many entries as `depths`.
        window_heads: heads of the attention among pixels per level, likewise; they need not divide the channels.
        head_width: channels of each head of the attention among pixels.
        window: side of the windows in pixels of their level.
        overlap: by how much the pixels that a window sees exceed it, in sides of the window; the excess must be an even
            number of pixels.
        expansion: hidden channels of the feed-forward parts, as a multiple of their channels.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{chen2024comparative,
  title = {A Comparative Study of Image Restoration Networks for General Backbone Network Design},
  author = {Chen, Xiangyu and Li, Zheyuan and Pu, Yuandong and Liu, Yihao and Zhou, Jiantao and Qiao, Yu
            and Dong, Chao},
  booktitle = {European Conference on Computer Vision (ECCV)},
  year = {2024}
}"""
    origin = (
        "arXiv:2310.11881; reference implementation Andrew0613/X-Restormer@e096da6b (MIT), whose weights fit after "
        "renaming. Layout, attention across channels and feed-forward are Restormer's and written from that paper. "
        "Size x_restormer is published (denoising, deblurring, deraining, dehazing); small and tiny are our choices. "
        "The published networks for super-resolution are left out."
    )
    sizes: ClassVar[Sizes] = {
        "x_restormer": {"width": 48, "depths": (2, 4, 4, 4), "refinement": 4, "head_width": 16},
        "small": {"width": 16, "depths": (1, 2, 2, 3), "refinement": 1, "head_width": 8},
        "tiny": {
            "width": 4,
            "depths": (1, 1, 1),
            "refinement": 0,
            "expansion": 2.0,
            "heads": (1, 1, 2),
            "window_heads": (1, 2, 4),
            "head_width": 4,
        },
    }
    published = Published(
        keys=make_renames(OFFICIAL_PARTS),
        head={"name": "residual", "padding": "zeros"},
        zeros=("head.conv.bias",),
    )

    def __init__(
        self,
        width: int = 48,
        depths: tuple[int, ...] = (2, 4, 4, 4),
        refinement: int = 4,
        heads: tuple[int, ...] = (1, 2, 4, 8),
        window_heads: tuple[int, ...] = (1, 2, 4, 8),
        head_width: int = 16,
        window: int = 8,
        overlap: float = 0.5,
        expansion: float = 2.66,
    ) -> None:
        check_layout("x_restormer", width, depths, refinement, heads)
        check_positive("x_restormer", head_width=head_width, window=window, expansion=expansion)
        check_option(
            *("x_restormer", "window_heads", window_heads, len(window_heads) == len(depths) and min(window_heads) >= 1),
            requirement=f"depths has {len(depths)} levels, so it must hold {len(depths)} integers of at least 1",
        )
        excess = int(window * overlap)
        check_option(
            *("x_restormer", "overlap", overlap, excess >= 0 and excess % 2 == 0),
            requirement=f"times window ({window}), rounded down, it must be even and at least 0",
        )

        def make_block(level: int, channels: int) -> nn.Module:
            across_pixels = _WindowAttention(channels, window_heads[level], head_width, window, excess)
            return _Block(channels, heads[level], across_pixels, int(channels * expansion))

        super().__init__(width, depths, refinement, make_block, bias=False)
        self.multiple_of = self.min_side = window << (len(depths) - 1)


class _Block(nn.Module):
    """Residual attention across channels and among pixels, each followed by a residual feed-forward part."""

    def __init__(self, channels: int, heads: int, window_attention: "_WindowAttention", hidden: int) -> None:
        super().__init__()
        self.channel_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.channel_attention = TransposedAttention(channels, heads, bias=False)
        self.first_feed_forward_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.first_feed_forward = GatedFeedForward(channels, hidden, bias=False)
        self.window_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.window_attention = window_attention
        self.second_feed_forward_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.second_feed_forward = GatedFeedForward(channels, hidden, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.channel_attention(self.channel_norm(features))
        features = features + self.first_feed_forward(self.first_feed_forward_norm(features))
        features = features + self.window_attention(self.window_norm(features))
        return features + self.second_feed_forward(self.second_feed_forward_norm(features))


class _WindowAttention(nn.Module):
    """Attention of the pixels of a window to those of a larger window around it (paper: overlapping cross-attention).

    The larger windows reach beyond the image, where keys and values are zero. `row_offsets` and `column_offsets` hold
    one vector per offset between two pixels; its product with the query is added to the logit.

    Args:
        channels: channels of the features.
        heads: attention heads.
        head_width: channels of a head.
        window: side of a window in pixels.
        excess: by how many pixels the side of the larger window exceeds it, even.
    """

    def __init__(self, channels: int, heads: int, head_width: int, window: int, excess: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = head_width
        self.window = window
        self.seen = window + excess
        self.expand = nn.Conv2d(channels, 3 * heads * head_width, 1, bias=False)
        self.project = nn.Conv2d(heads * head_width, channels, 1, bias=False)
        self.row_offsets, self.column_offsets = (
            nn.Parameter(head_width**-0.5 * torch.randn(2 * self.seen - 1, head_width)) for _ in range(2)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, `B C H W`; H and W multiples of the window."""
        inner = self.heads * self.head_width
        query, key_value = self.expand(features).permute(0, 2, 3, 1).split((inner, 2 * inner), dim=-1)
        queries = split_windows(query, self.window, self.heads) * self.head_width**-0.5
        keys, values = self._larger_windows(key_value)
        scores = (queries @ keys.transpose(-2, -1)).unflatten(5, (self.seen, self.seen))
        scores = scores + self._offset_scores(queries)
        attended = merge_windows(scores.flatten(5).softmax(dim=-1) @ values, self.window)
        return self.project(attended.permute(0, 3, 1, 2))

    def _larger_windows(self, key_value: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values, each `B rows columns heads seen^2 head_width`, from both side by side, `B H W 2C`."""
        around = (self.seen - self.window) // 2
        padded = F.pad(key_value, (0, 0, around, around, around, around))
        windows = padded.unfold(1, self.seen, self.window).unfold(2, self.seen, self.window)
        by_head = windows.unflatten(3, (2, self.heads, self.head_width))
        keys, values = by_head.permute(3, 0, 1, 2, 4, 6, 7, 5).flatten(5, 6).unbind(0)
        return keys, values

    def _offset_scores(self, queries: Tensor) -> Tensor:
        """Return what the offsets add to the scores, `B rows columns heads window^2 seen seen`."""
        by_row, by_column = (
            (queries @ table.transpose(0, 1)).unflatten(4, (self.window, self.window))
            for table in (self.row_offsets, self.column_offsets)
        )
        rows = self._select_offsets(by_row.transpose(4, 5)).transpose(4, 5)
        columns = self._select_offsets(by_column)
        return (rows.unsqueeze(-1) + columns.unsqueeze(-2)).flatten(4, 5)

    def _select_offsets(self, products: Tensor) -> Tensor:
        """Return for place i of the window and place j of the larger one the product at offset seen - 1 + j - i.

        Args:
            products: `... window 2*seen-1`, one per place i and offset.

        Returns:
            `... window seen`.
        """
        # With one more column, the next place's first offset lies one column less than a row further in memory.
        row = 2 * self.seen - 1
        flat = F.pad(F.pad(products, (0, 1)).flatten(-2), (0, self.seen))
        skewed = flat.narrow(-1, self.seen - 1, self.window * row).unflatten(-1, (self.window, row))
        return skewed.narrow(-1, 0, self.seen)
