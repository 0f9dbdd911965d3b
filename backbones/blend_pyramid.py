"""Blend pyramid: a network that looks at a small image, and light modules that carry its features up to full size."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Features
from backbones._layers import check_depths, check_positive


class BlendPyramid(Backbone):
    """Encoder-decoder with a mask branch at 1/2^levels of the size, refined up a Laplacian pyramid of the image.

    What has to be understood is decided on the small image; every level above adds the detail which the image has there
    with two small convolutions. So the cost per pixel of a large image is nearly that of the finest of these modules.
    In training the small image restored by itself comes with the features as auxiliary image.

    Options:
        levels: how often the image is halved before the network that understands it.
        width: channels of the features on their way up, and of those given.
        low_width: channels of the small image's network at its own full size; they double with every halving in it.
        depths: residual blocks per stage of that network: encoder levels, middle, decoder levels; its odd length sets
            how often it halves.

    Raises:
        ValueError: an option is outside what it allows.
    """

    citation: ClassVar[str] = """@inproceedings{lei2022abpn,
  title = {ABPN: Adaptive Blend Pyramid Network for Real-Time Local Retouching of Ultra High-Resolution Photo},
  author = {Lei, Biwen and Guo, Xiefan and Yang, Hongyu and Cui, Miaomiao and Xie, Xuansong and Huang, Di},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2022}
}"""
    origin: ClassVar[str] = (
        "After an idea of the CVPR 2022 paper, not a re-implementation; no weights are published for it. From the "
        "paper: a network at low resolution with a mask branch that gates its decoder, and a blend layer refined up a "
        "Laplacian pyramid by light modules. Ours: features, not the blend layer itself, go up, and the head makes the "
        "blend at full size (head degradation: J = K*I + D + I, where the paper has a soft light); residual blocks; a "
        "mask learned from the images alone; all sizes."
    )
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "small": {"levels": 2, "width": 8, "low_width": 24, "depths": (2, 2, 4, 2, 2)},
        "tiny": {"levels": 2, "width": 4, "low_width": 8, "depths": (1, 1, 1)},
    }

    def __init__(
        self, levels: int = 2, width: int = 8, low_width: int = 24, depths: tuple[int, ...] = (2, 2, 4, 2, 2)
    ) -> None:
        super().__init__()
        check_positive("blend_pyramid", levels=levels, width=width, low_width=low_width)
        check_depths("blend_pyramid", depths)
        self.low = _LowNetwork(low_width, depths)
        self.entry = nn.Conv2d(low_width, width, 3, padding=1)
        self.low_output = nn.Conv2d(low_width, 3, 3, padding=1)
        self.refinements = nn.ModuleList(_Refinement(width) for _ in range(levels))
        # The image restored on the way begins as the degraded one, as the heads that add a correction do.
        nn.init.zeros_(self.low_output.weight)
        nn.init.zeros_(self.low_output.bias)  # pyright: ignore[reportArgumentType]

        self.out_channels = width
        self.multiple_of = 2 ** (levels + len(depths) // 2)
        self.min_side = self.multiple_of

    def forward(self, image: Tensor) -> Tensor | Features:
        """Features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        small, details = _laplacian(image.contiguous(memory_format=torch.channels_last), len(self.refinements))
        low = self.low(small)
        features = self.entry(low)
        for refinement, detail in zip(self.refinements, reversed(details), strict=True):
            features = refinement(features, detail)
        return Features(features, (self._restored_low(image, low),)) if self.training else features

    def _restored_low(self, image: Tensor, low: Tensor) -> Tensor:
        # Compared with every s-th pixel of the target: the correction belongs to those of the image, not to its means.
        step = 2 ** len(self.refinements)
        return image[..., ::step, ::step] + self.low_output(low)


class _LowNetwork(nn.Module):
    """U-Net whose decoder is gated, at every level, by what a mask branch says of where to retouch."""

    def __init__(self, width: int, depths: tuple[int, ...]) -> None:
        super().__init__()
        levels = len(depths) // 2
        channels = [width << level for level in range(levels + 1)]
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.encoder = nn.ModuleList(map(_stage, channels[:-1], depths))
        self.downs = nn.ModuleList(nn.Conv2d(size, 2 * size, 2, stride=2) for size in channels[:-1])
        self.masks = nn.ModuleList(_MaskLevel(size, width) for size in channels)
        self.decoder = nn.ModuleList(map(_stage, channels, reversed(depths[levels:])))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * size, size, 2, stride=2) for size in channels[:-1])

    def forward(self, image: Tensor) -> Tensor:
        """Features `B width H W` of an image `B 3 H W`."""
        features, skipped = self.stem(image), []
        for stage, down in zip(self.encoder, self.downs, strict=True):
            skipped.append(stage(features))
            features = down(skipped[-1])
        mask, gate = self.masks[-1](features, None)
        features = self.decoder[-1](features * gate)
        for level in reversed(range(len(self.downs))):
            mask, gate = self.masks[level](skipped[level], mask)
            features = self.decoder[level]((self.ups[level](features) + skipped[level]) * gate)
        return features


class _MaskLevel(nn.Module):
    """One level of the mask branch: its features from the encoder's and the coarser mask's, and the decoder's gate."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.gate = nn.Conv2d(width, channels, 1)

    def forward(self, features: Tensor, coarser: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mask features `B width H W`; a gate in (0, 1) for every value of `features` `B channels H W`."""
        entered = self.enter(features)
        mask = F.relu(self.mix(entered if coarser is None else entered + F.interpolate(coarser, scale_factor=2.0)))
        return mask, torch.sigmoid(self.gate(mask))


class _Refinement(nn.Module):
    """Features of the next finer level: the coarser ones enlarged, and a correction that sees the image's detail."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width + 3, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor, detail: Tensor) -> Tensor:
        enlarged = _double(features)
        return enlarged + self.second(F.relu(self.first(torch.cat((enlarged, detail), dim=1))))


class _Block(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(F.relu(self.first(features)))


def _stage(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*[_Block(channels) for _ in range(depth)])


def _laplacian(image: Tensor, levels: int) -> tuple[Tensor, list[Tensor]]:
    """The image at 1/2^levels of its size, and what is lost in every halving, the finest first."""
    details: list[Tensor] = []
    for _ in range(levels):
        half = F.avg_pool2d(image, 2)
        details.append(image - _double(half))
        image = half
    return image, details


def _double(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
