"""U-Net (Ronneberger et al., MICCAI 2015): the plain one, with two 3x3 convolutions per level.

Each level halves the size; skip connections are concatenated. Written from the paper: convolutions are padded, so that
the features are as large as the image, and normalisation, activation, downsampling and upsampling are options.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backbones import Backbone, Sizes
from backbones._layers import ConvNorm, check_max_width, check_positive, initialise_he
from backbones._unet import level_channels, unet_forward

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, 0.2, inplace=True),
    "gelu": nn.GELU,
}


class UNet(Backbone):
    """Encoder and decoder of two 3x3 convolutions per level, each with an activation (paper, figure 1).

    Levels double in channels and halve in size. The features are those before the output convolution, `width` channels.

    Args:
        width: channels at full resolution.
        levels: how often the size is halved.
        max_width: upper limit on the channels of a level; None for none.
        norm: batch normalisation after every 3x3 convolution, or none.
        activation: after every 3x3 convolution; leaky_relu has slope 0.2.
        down: how the size is halved: maximum of 2x2 pixels, or a learned 2x2 convolution of stride 2.
        up: how the size is doubled: a transposed 2x2 convolution (the same as a 1x1 convolution and pixel shuffle,
            except for its bias), or a 1x1 convolution and bilinear interpolation.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{ronneberger2015unet,
  title = {{U-Net}: Convolutional Networks for Biomedical Image Segmentation},
  author = {Ronneberger, Olaf and Fischer, Philipp and Brox, Thomas},
  booktitle = {Medical Image Computing and Computer-Assisted Intervention (MICCAI)},
  year = {2015}
}"""
    origin = (
        "arXiv:1505.04597; written from the paper. As is usual in restoration the convolutions are padded with zeros, "
        "so that the features are as large as the image (the paper's are not, and it crops the skip connections), and "
        "there is no dropout. Initialisation is the paper's (He). Size large has the paper's channels, 64 to 1024; all "
        "sizes are our choices, as are max_width, norm, and every activation, down and up but the first."
    )
    sizes: ClassVar[Sizes] = {
        "large": {"width": 64, "levels": 4},
        "small": {"width": 32, "levels": 4, "max_width": 128},
        "tiny": {"width": 12, "levels": 3, "max_width": 24},
    }

    def __init__(
        self,
        width: int = 32,
        levels: int = 4,
        max_width: int | None = None,
        norm: Literal["none", "batch"] = "none",
        activation: Literal["relu", "leaky_relu", "gelu"] = "relu",
        down: Literal["max_pool", "conv"] = "max_pool",
        up: Literal["transposed", "bilinear"] = "transposed",
    ) -> None:
        super().__init__()
        check_positive("unet", width=width, levels=levels)
        check_max_width("unet", max_width, width)
        channels = level_channels(width, levels, max_width)

        def stage(in_channels: int, out_channels: int) -> nn.Sequential:
            first, second = (_conv(size, out_channels, norm) for size in (in_channels, out_channels))
            return nn.Sequential(first, ACTIVATIONS[activation](), second, ACTIVATIONS[activation]())

        self.encoder = nn.ModuleList(stage(fine, coarse) for fine, coarse in pairwise([3, *channels]))
        self.downs = nn.ModuleList(
            nn.MaxPool2d(2) if down == "max_pool" else nn.Conv2d(size, size, 2, stride=2) for size in channels[:-1]
        )
        self.ups = nn.ModuleList(_up(up, coarse, fine) for fine, coarse in pairwise(channels))
        self.decoder = nn.ModuleList(stage(2 * size, size) for size in channels[:-1])
        initialise_he(self)

        self.out_channels = width
        self.multiple_of = 2**levels
        # Batch statistics need more than one pixel.
        self.min_side = self.multiple_of * (2 if norm == "batch" else 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        return unet_forward(
            image,
            [*self.encoder, *reversed(self.decoder)],
            down=lambda level, features: self.downs[level](features),
            join=lambda level, features, skipped: torch.cat((skipped, self.ups[level](features)), dim=1),
        )


def _conv(in_channels: int, out_channels: int, norm: str) -> nn.Module:
    if norm == "none":
        return nn.Conv2d(in_channels, out_channels, 3, padding=1)
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)  # the normalisation has a bias
    return ConvNorm(conv, nn.BatchNorm2d(out_channels))


def _up(name: str, coarse: int, fine: int) -> nn.Module:
    if name == "transposed":
        return nn.ConvTranspose2d(coarse, fine, 2, stride=2)
    # Both are linear and the convolution sees one pixel, so it can come first, at a quarter of the cost.
    return nn.Sequential(nn.Conv2d(coarse, fine, 1), nn.Upsample(scale_factor=2, mode="bilinear"))
