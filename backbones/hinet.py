"""HINet (Chen et al., CVPRW 2021): two U-Nets in sequence, with half of the channels instance-normalised.

The second network sees the image and the features of the first, weighted by a supervised attention module. Ours is the
authors' network with other names of weights.
"""

import re
from collections.abc import Collection, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Features, Published, Renames, Sizes
from backbones._layers import check_option, check_positive
from backbones._unet import level_channels

SLOPE = 0.2
"""Slope of the leaky ReLU for negative values."""


def _renames(official: Collection[str]) -> Renames:
    """Return the rules of renaming: official decoders count from the coarsest level, ours from the finest."""
    levels = sum(re.fullmatch(r"skip_conv_1\.\d+\.weight", key) is not None for key in official)
    networks = [(net + 1, f"backbone.networks.{net}") for net in range(2)]
    return (
        (r"conv_01\.(\w+)", r"backbone.stems.0.\1"),
        (r"conv_02\.(\w+)", r"backbone.stems.1.\1"),
        *(
            rename
            for net, ours in networks
            for rename in (
                (rf"down_path_{net}\.(\d+)\.downsample\.(\w+)", rf"{ours}.downs.\1.\2"),
                (rf"down_path_{net}\.(\d+)\.csff_enc\.(\w+)", r"backbone.from_encoder.\1.\2"),
                (rf"down_path_{net}\.(\d+)\.csff_dec\.(\w+)", r"backbone.from_decoder.\1.\2"),
                (rf"down_path_{net}\.(\d+)\.(\w+)\.(\w+)", rf"{ours}.encoder.\1.\2.\3"),
            )
        ),
        *(
            rename
            for net, ours in networks
            for level in range(levels)
            for rename in (
                (rf"up_path_{net}\.{levels - 1 - level}\.up\.(\w+)", rf"{ours}.ups.{level}.\1"),
                (
                    rf"up_path_{net}\.{levels - 1 - level}\.conv_block\.(\w+)\.(\w+)",
                    rf"{ours}.decoder.{level}.\1.\2",
                ),
                (rf"skip_conv_{net}\.{levels - 1 - level}\.(\w+)", rf"{ours}.skips.{level}.\1"),
            )
        ),
        (r"sam12\.conv1\.(\w+)", r"backbone.supervised.project.\1"),
        (r"sam12\.conv2\.(\w+)", r"backbone.supervised.output.\1"),
        (r"sam12\.conv3\.(\w+)", r"backbone.supervised.gate.\1"),
        (r"cat12\.(\w+)", r"backbone.join.\1"),
        (r"last\.(\w+)", r"head.conv.\1"),
    )


class HINet(Backbone):
    """Two U-Nets of residual blocks; the second sees the features and the image of the first (paper, figure 2).

    Levels double in channels and halve in size. In training, the image that the first network restores is returned as
    auxiliary image. The features are those before the output convolution, `width` channels.

    Args:
        width: channels at full resolution, even.
        depth: levels of each U-Net.
        normalised: first and last level, from 0 at full resolution, whose encoder blocks instance-normalise half of
            their channels; no level does if the last is below the first.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{chen2021hinet,
  title = {{HINet}: Half Instance Normalization Network for Image Restoration},
  author = {Chen, Liangyu and Lu, Xin and Zhang, Jie and Chu, Xiaojie and Chen, Chengpeng},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops (CVPRW)},
  year = {2021}
}"""
    origin = (
        "arXiv:2105.06086; reference implementation megvii-model/HINet@4e723154 (MIT), whose weights fit after "
        "renaming. Sizes that name a data set are published; sidd_half is its 0.5x. Instance normalisation takes the "
        "statistics of the whole image, so a network trained on patches sees others in full images. Sizes small and "
        "tiny are our choices. The published network for Rain13k is sidd, that for REDS is gopro."
    )
    sizes: ClassVar[Sizes] = {
        "sidd": {"width": 64, "depth": 5},
        "sidd_half": {"width": 32, "depth": 5},
        "gopro": {"width": 64, "depth": 5, "normalised": (3, 4)},
        "small": {"width": 16, "depth": 4},
        "tiny": {"width": 6, "depth": 3},
    }
    published = Published(keys=_renames, head={"name": "residual", "padding": "zeros"})

    def __init__(self, width: int = 64, depth: int = 5, normalised: tuple[int, int] = (0, 4)) -> None:
        super().__init__()
        check_positive("hinet", width=width, depth=depth)
        check_option("hinet", "width", width, width % 2 == 0, "it must be even, as half of it is normalised")
        check_option("hinet", "depth", depth, depth >= 2, "a U-Net has at least 2 levels")
        channels = level_channels(width, depth - 1)

        self.stems = nn.ModuleList(nn.Conv2d(3, width, 3, padding=1) for _ in range(2))
        self.networks = nn.ModuleList(_UNet(channels, normalised) for _ in range(2))
        self.from_encoder = nn.ModuleList(nn.Conv2d(size, size, 3, padding=1) for size in channels[:-1])
        self.from_decoder = nn.ModuleList(nn.Conv2d(size, size, 3, padding=1) for size in channels[:-1])
        self.supervised = _Supervised(width)
        self.join = nn.Conv2d(2 * width, width, 1)

        self.out_channels = width
        self.multiple_of = 2 ** (depth - 1)
        self.min_side = 2 * self.multiple_of  # statistics need more than one pixel

    def forward(self, image: Tensor) -> Tensor | Features:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        encoded, decoded = self.networks[0](self.stems[0](image), None)
        features, restored = self.supervised(decoded[0], image)
        passed = [
            from_encoder(of_encoder) + from_decoder(of_decoder)
            for from_encoder, of_encoder, from_decoder, of_decoder in zip(
                self.from_encoder, encoded, self.from_decoder, decoded, strict=True
            )
        ]
        joined = self.join(torch.cat((self.stems[1](image), features), dim=1))
        _, decoded = self.networks[1](joined, passed)
        return Features(decoded[0], (restored,)) if self.training else decoded[0]


class _UNet(nn.Module):
    """One of the two networks; its layers are listed from the finest level."""

    def __init__(self, channels: Sequence[int], normalised: tuple[int, int]) -> None:
        super().__init__()
        finer, first, last = channels[:-1], *normalised
        self.encoder = nn.ModuleList(
            _Block(channels[max(level - 1, 0)], size, is_normalised=first <= level <= last)
            for level, size in enumerate(channels)
        )
        self.downs = nn.ModuleList(nn.Conv2d(size, size, 4, 2, 1, bias=False) for size in finer)
        self.skips = nn.ModuleList(nn.Conv2d(size, size, 3, padding=1) for size in finer)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * size, size, 2, stride=2) for size in finer)
        self.decoder = nn.ModuleList(_Block(2 * size, size, is_normalised=False) for size in finer)

    def forward(self, features: Tensor, passed: Sequence[Tensor] | None) -> tuple[list[Tensor], list[Tensor]]:
        """Return the features of encoder and decoder at all levels but the coarsest, finest first.

        Args:
            features: input at full resolution, `B C H W`.
            passed: features of the first network, added to those of the encoder at each level; None in the first one.
        """
        levels = len(self.downs)
        encoded: list[Tensor] = []
        for level in range(levels):
            features = self.encoder[level](features)
            features = features if passed is None else features + passed[level]
            encoded.append(features)
            features = self.downs[level](features)
        features = self.encoder[levels](features)
        decoded: list[Tensor] = []
        for level in reversed(range(levels)):
            features = torch.cat((self.ups[level](features), self.skips[level](encoded[level])), dim=1)
            features = self.decoder[level](features)
            decoded.insert(0, features)
        return encoded, decoded


class _Block(nn.Module):
    """Two 3x3 convolutions beside a 1x1 one; after the first, half of the channels may be normalised (figure 3)."""

    def __init__(self, in_channels: int, channels: int, *, is_normalised: bool) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.norm = nn.InstanceNorm2d(channels // 2, affine=True) if is_normalised else None
        self.conv_2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.identity = nn.Conv2d(in_channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        inner = self.conv_1(features)
        if self.norm is not None:
            first, second = inner.chunk(2, dim=1)
            inner = torch.cat((self.norm(first), second), dim=1)
        inner = F.leaky_relu(self.conv_2(F.leaky_relu(inner, SLOPE)), SLOPE)
        return inner + self.identity(features)


class _Supervised(nn.Module):
    """Supervised attention module: the first network's image, and its features gated by that image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(channels, channels, 3, padding=1)
        self.output = nn.Conv2d(channels, 3, 3, padding=1)
        self.gate = nn.Conv2d(3, channels, 3, padding=1)

    def forward(self, features: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        restored = image + self.output(features)
        return features + self.project(features) * torch.sigmoid(self.gate(restored)), restored
