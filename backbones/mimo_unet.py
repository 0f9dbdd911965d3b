"""MIMO-UNet (Cho et al., ICCV 2021): one U-Net with the image at three sizes as input and, in training, as output.

Smaller images enter the encoder through feature attention, and skip connections fuse all levels. Written from the
paper, not from the authors' code; their weights fit after renaming.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Features, Published, Sizes
from backbones._layers import check_option, check_positive
from backbones._unet import level_channels

LEVELS = 3
"""Number of image sizes: full, 1/2 and 1/4."""


class MimoUNet(Backbone):
    """U-Net of residual blocks with an image at every level, in both directions (paper, section 3 and figure 3).

    Levels double in channels and halve in size. The smaller images enter the encoder through feature attention; each
    skip connection but the coarsest is a fusion of all levels of the encoder. In training, the images restored at 1/4
    and 1/2, in this order, are returned as auxiliary images. The features are those before the output convolution of
    the full size, `width` channels.

    Args:
        width: channels at full resolution, even.
        depth: residual blocks per stage, in the encoder and again in the decoder.
        dropout: share of the channels of a fused skip connection that is set to zero in training.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{cho2021rethinking,
  title = {Rethinking Coarse-to-Fine Approach in Single Image Deblurring},
  author = {Cho, Sung-Jin and Ji, Seo-Won and Hong, Jun-Pyo and Jung, Seung-Won and Ko, Sung-Jea},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  year = {2021}
}"""
    origin = (
        "arXiv:2108.05054; written from the paper, not from the authors' code, which has no licence. Their weights fit "
        "after renaming. Sizes mimo_unet and mimo_unet_plus are published (MIMO-UNet++ is the latter on mirrored and "
        "turned images); small and tiny are our choices. Images and features are resized by nearest neighbour, as in "
        "the authors' outputs. The smaller outputs are computed in training only; their convolutions count as "
        "parameters, not as multiply-adds."
    )
    sizes: ClassVar[Sizes] = {
        "mimo_unet": {"width": 32, "depth": 8},
        "mimo_unet_plus": {"width": 32, "depth": 20, "dropout": 0.1},
        "small": {"width": 16, "depth": 8},
        "tiny": {"width": 6, "depth": 2},
    }
    # Official names of the decoder, and of layers that see a smaller image, count from the coarsest level; ours count
    # from the finest.
    published = Published(
        keys=(
            (r"feat_extract\.0\.main\.(0\..+)", r"backbone.stem.\1"),
            (r"feat_extract\.1\.main\.(0\..+)", r"backbone.downs.0.\1"),
            (r"feat_extract\.2\.main\.(0\..+)", r"backbone.downs.1.\1"),
            (r"feat_extract\.3\.main\.(0\..+)", r"backbone.ups.1.\1"),
            (r"feat_extract\.4\.main\.(0\..+)", r"backbone.ups.0.\1"),
            (r"feat_extract\.5\.main\.0\.(.+)", r"head.conv.\1"),
            (r"Encoder\.(\d)\.layers\.(\d+)\.main\.0\.main\.(0\..+)", r"backbone.encoder.\1.\2.first.\3"),
            (r"Encoder\.(\d)\.layers\.(\d+)\.main\.1\.main\.0\.(.+)", r"backbone.encoder.\1.\2.second.\3"),
            *(
                (
                    rf"Decoder\.{2 - level}\.layers\.(\d+)\.main\.{theirs}",
                    rf"backbone.decoder.{level}.\1.{ours}.\2",
                )
                for level in range(LEVELS)
                for theirs, ours in ((r"0\.main\.(0\..+)", "first"), (r"1\.main\.0\.(.+)", "second"))
            ),
            (r"SCM2\.main\.(\d)\.main\.(0\..+)", r"backbone.shallow.0.body.\1.\2"),
            (r"SCM1\.main\.(\d)\.main\.(0\..+)", r"backbone.shallow.1.body.\1.\2"),
            (r"SCM2\.conv\.main\.0\.(.+)", r"backbone.shallow.0.project.\1"),
            (r"SCM1\.conv\.main\.0\.(.+)", r"backbone.shallow.1.project.\1"),
            (r"FAM2\.merge\.main\.0\.(.+)", r"backbone.attentions.0.\1"),
            (r"FAM1\.merge\.main\.0\.(.+)", r"backbone.attentions.1.\1"),
            (r"AFFs\.(\d)\.conv\.0\.main\.(0\..+)", r"backbone.fusions.\1.0.\2"),
            (r"AFFs\.(\d)\.conv\.1\.main\.0\.(.+)", r"backbone.fusions.\1.1.\2"),
            (r"Convs\.0\.main\.(0\..+)", r"backbone.reductions.1.\1"),
            (r"Convs\.1\.main\.(0\..+)", r"backbone.reductions.0.\1"),
            (r"ConvsOut\.0\.main\.0\.(.+)", r"backbone.outputs.1.\1"),
            (r"ConvsOut\.1\.main\.0\.(.+)", r"backbone.outputs.0.\1"),
        ),
        head={"name": "residual", "padding": "zeros"},
    )

    def __init__(self, width: int = 32, depth: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        check_option("mimo_unet", "width", width, width >= 2 and width % 2 == 0, "it must be even and at least 2")
        check_positive("mimo_unet", depth=depth)
        check_option("mimo_unet", "dropout", dropout, 0 <= dropout < 1, "it must be at least 0 and below 1")
        channels = level_channels(width, LEVELS - 1)

        self.stem = _activated(nn.Conv2d(3, width, 3, padding=1))
        self.downs = nn.ModuleList(_activated(nn.Conv2d(size, 2 * size, 3, 2, 1)) for size in channels[:-1])
        self.shallow = nn.ModuleList(_Shallow(size) for size in channels[1:])
        self.attentions = nn.ModuleList(nn.Conv2d(size, size, 3, padding=1) for size in channels[1:])
        self.encoder = nn.ModuleList(_stage(size, depth) for size in channels)
        # Each skip connection fuses the features of all levels (paper: asymmetric feature fusion).
        self.fusions = nn.ModuleList(
            nn.Sequential(
                _activated(nn.Conv2d(sum(channels), size, 1)),
                nn.Conv2d(size, size, 3, padding=1),
            )
            for size in channels[:-1]
        )
        self.dropout = nn.Dropout2d(dropout)
        self.decoder = nn.ModuleList(_stage(size, depth) for size in channels)
        self.ups = nn.ModuleList(
            _activated(nn.ConvTranspose2d(2 * size, size, 4, stride=2, padding=1)) for size in channels[:-1]
        )
        self.reductions = nn.ModuleList(_activated(nn.Conv2d(2 * size, size, 1)) for size in channels[:-1])
        self.outputs = nn.ModuleList(nn.Conv2d(size, 3, 3, padding=1) for size in channels[1:])

        self.out_channels = width
        self.multiple_of = self.min_side = 2 ** (LEVELS - 1)

    def forward(self, image: Tensor) -> Tensor | Features:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        images = [_resize(image, 0.5**level) for level in range(LEVELS)]
        encoded = self._encode(images)
        features = encoded[-1]
        auxiliary: list[Tensor] = []
        for level in reversed(range(LEVELS)):
            if level < LEVELS - 1:
                resized = [_resize(fine, 2.0 ** (other - level)) for other, fine in enumerate(encoded)]
                skipped = self.dropout(self.fusions[level](torch.cat(resized, dim=1)))
                features = self.reductions[level](torch.cat((self.ups[level](features), skipped), dim=1))
            features = self.decoder[level](features)
            if self.training and level > 0:
                auxiliary.append(images[level] + self.outputs[level - 1](features))
        return Features(features, tuple(auxiliary)) if self.training else features

    def _encode(self, images: list[Tensor]) -> list[Tensor]:
        """Return the features of every level, finest first, from images of every size."""
        encoded = [self.encoder[0](self.stem(images[0]))]
        for level in range(1, LEVELS):
            features = self.downs[level - 1](encoded[-1])
            shallow = self.shallow[level - 1](images[level])
            features = features + self.attentions[level - 1](features * shallow)
            encoded.append(self.encoder[level](features))
        return encoded


class _Shallow(nn.Module):
    """Shallow features of a smaller image (paper: shallow convolutional module)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _activated(nn.Conv2d(3, channels // 4, 3, padding=1)),
            _activated(nn.Conv2d(channels // 4, channels // 2, 1)),
            _activated(nn.Conv2d(channels // 2, channels // 2, 3, padding=1)),
            _activated(nn.Conv2d(channels // 2, channels - 3, 1)),
        )
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.project(torch.cat((image, self.body(image)), dim=1))


class _Block(nn.Module):
    """Two 3x3 convolutions with a ReLU between them, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _activated(nn.Conv2d(channels, channels, 3, padding=1))
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(self.first(features))


def _activated(convolution: nn.Module) -> nn.Sequential:
    return nn.Sequential(convolution, nn.ReLU(inplace=True))


def _stage(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*[_Block(channels) for _ in range(depth)])


def _resize(features: Tensor, scale: float) -> Tensor:
    return features if scale == 1 else F.interpolate(features, scale_factor=scale, mode="nearest")
