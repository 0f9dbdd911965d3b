"""RLFN (Kong et al., CVPRW 2022): a residual local feature network, made for fast super-resolution.

Few plain convolutions at full resolution, with spatial attention computed at low resolution. Unlike the authors'
network, ours restores an image of the same size, without upsampling.
"""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Sizes
from backbones._layers import check_positive

SLOPE = 0.05
"""Slope of the leaky ReLU for negative values."""


class RLFN(Backbone):
    """Blocks of three 3x3 convolutions with spatial attention, all at full resolution (paper, figures 2 and 3).

    The features are the sum of the first and the last ones, `width` channels. The published network ends in a
    convolution and a pixel shuffle to a larger image; here it restores an image of the same size, without an outer
    skip.

    Args:
        width: channels.
        depth: blocks.
        attention_width: channels inside the spatial attention.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{kong2022residual,
  title = {Residual Local Feature Network for Efficient Super-Resolution},
  author = {Kong, Fangyuan and Li, Mingxi and Liu, Songwei and Liu, Ding and He, Jingwen and Bai, Yang and
    Chen, Fangmin and Fu, Lean},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops (CVPRW)},
  year = {2022}
}"""
    origin = (
        "arXiv:2205.07514; reference implementation bytedance/RLFN@bccfde91 (Apache-2.0), whose weights fit after "
        "renaming where they were trained at upscale 1. Sizes rlfn and rlfn_s are the published trunks, without their "
        "upsampler; small and tiny are our choices. The pruned network of the NTIRE 2022 challenge, with other "
        "channels inside its blocks, is left out."
    )
    sizes: ClassVar[Sizes] = {
        "rlfn": {"width": 52},
        "rlfn_s": {"width": 48},
        "small": {"width": 24},
        "tiny": {"width": 12},
    }
    published = Published(
        keys=(
            (r"conv_1\.(\w+)", r"backbone.stem.\1"),
            (r"conv_2\.(\w+)", r"backbone.end.\1"),
            (r"upsampler\.0\.(\w+)", r"head.conv.\1"),
            # The official blocks count from 1.
            *(
                (rf"block_{block + 1}\.{theirs}\.(\w+)", rf"backbone.blocks.{block}.{ours}.\1")
                for block in range(32)
                for theirs, ours in (
                    ("c1_r", "convs.0"),
                    ("c2_r", "convs.1"),
                    ("c3_r", "convs.2"),
                    ("c5", "project"),
                    (r"esa\.conv1", "attention.squeeze"),
                    (r"esa\.conv_f", "attention.past"),
                    (r"esa\.conv2", "attention.down"),
                    (r"esa\.conv3", "attention.inner"),
                    (r"esa\.conv4", "attention.excite"),
                )
            ),
        ),
        head={"name": "rgb", "padding": "zeros"},
    )

    def __init__(self, width: int = 52, depth: int = 6, attention_width: int = 16) -> None:
        super().__init__()
        check_positive("rlfn", width=width, depth=depth, attention_width=attention_width)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*[_Block(width, attention_width) for _ in range(depth)])
        self.end = nn.Conv2d(width, width, 3, padding=1)

        self.out_channels = width
        self.min_side = 15  # attention pools windows of 7 pixels after a stride of 2

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; sides of at least `min_side`."""
        first = self.stem(image)
        return first + self.end(self.blocks(first))


class _Block(nn.Module):
    """Three convolutions, each with a leaky ReLU, and a skip connection; then spatial attention."""

    def __init__(self, width: int, attention_width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.project = nn.Conv2d(width, width, 1)
        self.attention = _SpatialAttention(width, attention_width)

    def forward(self, features: Tensor) -> Tensor:
        inner = features
        for conv in self.convs:
            inner = F.leaky_relu(conv(inner), SLOPE)
        return self.attention(self.project(inner + features))


class _SpatialAttention(nn.Module):
    """Scale features by a map of weights computed at a sixth of their size (enhanced spatial attention)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.past = nn.Conv2d(hidden, hidden, 1)
        self.down = nn.Conv2d(hidden, hidden, 3, stride=2)
        self.inner = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        squeezed = self.squeeze(features)
        coarse = self.inner(F.max_pool2d(self.down(squeezed), 7, stride=3))
        spread = F.interpolate(coarse, features.shape[2:], mode="bilinear", align_corners=False)
        return features * self.excite(spread + self.past(squeezed)).sigmoid()
