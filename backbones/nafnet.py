"""NAFNet: a U-Net without nonlinear activations; halves of the channels multiply each other instead."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from backbones import Backbone
from backbones._layers import ChannelLayerNorm, check_depths, check_positive

NORM_EPS = 1e-6


class NAFNet(Backbone):
    """U-Net of nonlinear-activation-free blocks (paper, section 3 and figure 3c).

    Levels double in channels and halve in size; skip connections are added. Features are those before the output
    convolution, `width` channels.

    Options:
        width: channels at full resolution.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels.

    Raises:
        ValueError: an option is outside what it allows.
    """

    citation: ClassVar[str] = """@inproceedings{chen2022simple,
  title = {Simple Baselines for Image Restoration},
  author = {Chen, Liangyu and Chu, Xiaojie and Zhang, Xiangyu and Sun, Jian},
  booktitle = {European Conference on Computer Vision (ECCV)},
  year = {2022}
}"""
    origin: ClassVar[str] = (
        "arXiv:2204.04676; reference implementation megvii-research/NAFNet@2b4af71e (MIT), whose weights fit after "
        "renaming. Sizes that name a data set are published. Channel attention pools the whole image, in training and "
        "in test (no test-time local converter). Sizes small and tiny are our choices."
    )
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "w32_gopro": {"width": 32, "depths": (1, 1, 1, 28, 1, 1, 1, 1, 1)},
        "w64_gopro": {"width": 64, "depths": (1, 1, 1, 28, 1, 1, 1, 1, 1)},
        "w32_sidd": {"width": 32, "depths": (2, 2, 4, 8, 12, 2, 2, 2, 2)},
        "w64_sidd": {"width": 64, "depths": (2, 2, 4, 8, 12, 2, 2, 2, 2)},
        "small": {"width": 16, "depths": (2, 2, 4, 4, 2, 2, 2, 2, 2)},
        "tiny": {"width": 8, "depths": (1, 1, 1, 1, 1, 1, 1)},
    }
    pad_mode: ClassVar[Literal["reflect", "zeros"]] = "zeros"

    def __init__(self, width: int = 32, depths: tuple[int, ...] = (2, 2, 4, 8, 12, 2, 2, 2, 2)) -> None:
        super().__init__()
        check_positive("nafnet", width=width)
        check_depths("nafnet", depths)
        levels = len(depths) // 2
        channels = [width << level for level in range(levels + 1)]

        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.stages = nn.ModuleList(
            nn.Sequential(*[_Block(size) for _ in range(depth)])
            for size, depth in zip(channels + channels[-2::-1], depths, strict=True)
        )
        self.downs = nn.ModuleList(nn.Conv2d(size, 2 * size, 2, stride=2) for size in channels[:-1])
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * size, 4 * size, 1, bias=False), nn.PixelShuffle(2)) for size in channels[:-1]
        )

        self.out_channels = width
        self.multiple_of = 2**levels
        self.min_side = self.multiple_of

    def forward(self, image: Tensor) -> Tensor:
        """Features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        levels = len(self.downs)
        features = self.stem(image)
        skipped: list[Tensor] = []
        for level in range(levels):
            features = self.stages[level](features)
            skipped.append(features)
            features = self.downs[level](features)
        features = self.stages[levels](features)
        for level in reversed(range(levels)):
            features = self.ups[level](features) + skipped[level]
            features = self.stages[2 * levels - level](features)
        return features


class _Block(nn.Module):
    """Two residual halves: spatial mixing with channel attention, then channel mixing.

    Both are scaled by `beta` and `gamma`, which start at zero: a fresh block is the identity.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.spatial_expand = nn.Conv2d(channels, 2 * channels, 1)
        self.depthwise = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.attention = nn.Conv2d(channels, channels, 1)
        self.spatial_project = nn.Conv2d(channels, channels, 1)
        self.channel_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.channel_expand = nn.Conv2d(channels, 2 * channels, 1)
        self.channel_project = nn.Conv2d(channels, channels, 1)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        mixed = _simple_gate(self.depthwise(self.spatial_expand(self.spatial_norm(features))))
        mixed = mixed * self.attention(mixed.mean((2, 3), keepdim=True))
        features = torch.addcmul(features, self.spatial_project(mixed), self.beta)
        mixed = _simple_gate(self.channel_expand(self.channel_norm(features)))
        return torch.addcmul(features, self.channel_project(mixed), self.gamma)


def _simple_gate(features: Tensor) -> Tensor:
    first, second = features.chunk(2, dim=1)
    return first * second
