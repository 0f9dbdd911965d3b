"""Blend pyramid, after ABPN (Lei et al., CVPR 2022): a network at low resolution, and light modules up to full size.

The network sees a small image; every level above adds the detail of a Laplacian pyramid with two convolutions. Not a
re-implementation: features, not the paper's blend layer, go up the pyramid (see `origin`).
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Features, Sizes
from backbones._layers import ResidualBlock, check_depths, check_positive, initialise_zero
from backbones._unet import level_channels


class BlendPyramid(Backbone):
    """Encoder-decoder with a mask branch at 1/2^levels of the size, refined up a Laplacian pyramid of the image.

    The deep network runs on the small image; every level above adds the detail of the image at that size with two small
    convolutions. So the cost per pixel of a large image is nearly that of the finest of these modules. In training, the
    restored small image is returned as auxiliary image.

    Args:
        levels: how often the image is halved before the deep network.
        width: channels of the features on their way up, and of the returned features.
        low_width: channels of the deep network at the size of the small image; it doubles them with every halving.
        depths: residual blocks per stage of the deep network: encoder levels, middle, decoder levels; its odd length
            sets how often that network halves its input.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{lei2022abpn,
  title = {ABPN: Adaptive Blend Pyramid Network for Real-Time Local Retouching of Ultra High-Resolution Photo},
  author = {Lei, Biwen and Guo, Xiefan and Yang, Hongyu and Cui, Miaomiao and Xie, Xuansong and Huang, Di},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2022}
}"""
    origin = (
        "After an idea of the CVPR 2022 paper, not a re-implementation; no weights are published for it. From the "
        "paper: a network at low resolution with a mask branch that gates its decoder, and a blend layer refined up a "
        "Laplacian pyramid by light modules. Ours: features, not the blend layer itself, go up, and the head makes the "
        "blend at full size (head degradation: J = K*I + D + I, where the paper has a soft light); residual blocks; a "
        "mask learned from the images alone; all sizes."
    )
    sizes: ClassVar[Sizes] = {
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
        # The auxiliary image starts as the degraded one, like the image of heads that add a correction.
        initialise_zero(self.low_output)

        self.out_channels = width
        self.multiple_of = self.min_side = 2 ** (levels + len(depths) // 2)

    def forward(self, image: Tensor) -> Tensor | Features:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        small, details = _laplacian(image.contiguous(memory_format=torch.channels_last), len(self.refinements))
        low = self.low(small)
        features = self.entry(low)
        for refinement, detail in zip(self.refinements, reversed(details), strict=True):
            features = refinement(features, detail)
        if not self.training:
            return features
        # The loss compares it with every s-th pixel of the target, so it corrects those pixels, not their means.
        step = 2 ** len(self.refinements)
        return Features(features, (image[..., ::step, ::step] + self.low_output(low),))


class _LowNetwork(nn.Module):
    """U-Net whose decoder is gated at every level by a mask branch that finds where to retouch."""

    def __init__(self, width: int, depths: tuple[int, ...]) -> None:
        super().__init__()
        levels = len(depths) // 2
        channels = level_channels(width, levels)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.encoder = nn.ModuleList(map(_stage, channels[:-1], depths))
        self.downs = nn.ModuleList(nn.Conv2d(size, 2 * size, 2, stride=2) for size in channels[:-1])
        self.masks = nn.ModuleList(_MaskLevel(size, width) for size in channels)
        self.decoder = nn.ModuleList(map(_stage, channels, reversed(depths[levels:])))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(2 * size, size, 2, stride=2) for size in channels[:-1])

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W`."""
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
    """One level of the mask branch: joins encoder features with the coarser mask, and computes the decoder's gate."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 1)
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.gate = nn.Conv2d(width, channels, 1)

    def forward(self, features: Tensor, coarser: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return mask features `B width H W`, and a gate in (0, 1) for every value of `features` `B channels H W`."""
        entered = self.enter(features)
        mask = F.relu(self.mix(entered if coarser is None else entered + F.interpolate(coarser, scale_factor=2.0)))
        return mask, torch.sigmoid(self.gate(mask))


class _Refinement(nn.Module):
    """Step to the next finer level: enlarge the features and add a correction that sees the image's detail."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width + 3, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: Tensor, detail: Tensor) -> Tensor:
        enlarged = _double(features)
        return enlarged + self.second(F.relu(self.first(torch.cat((enlarged, detail), dim=1))))


def _stage(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*[ResidualBlock(channels, F.relu) for _ in range(depth)])


def _laplacian(image: Tensor, levels: int) -> tuple[Tensor, list[Tensor]]:
    """Return the image at 1/2^levels of its size, and the detail lost in every halving, finest first."""
    details: list[Tensor] = []
    for _ in range(levels):
        half = F.avg_pool2d(image, 2)
        details.append(image - _double(half))
        image = half
    return image, details


def _double(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
