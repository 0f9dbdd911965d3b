"""ConvIR (Cui et al., TPAMI 2024): a U-Net with the image at three sizes, whose filters adapt to the image.

The layout is that of MIMO-UNet. The last block of every stage filters its features at three smaller sizes with squares
and strips that it makes for each image. Unlike the authors' code, ours trains on batches of one image, too.
"""

from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Features, Published, Sizes
from backbones._image_filters import filter_images
from backbones._layers import ConvNorm, check_max_width, check_option, check_positive, without_autocast
from backbones._unet import level_channels

LEVELS = 3
"""Number of image sizes: full, 1/2 and 1/4."""
POOLS = (8, 4, 2)
"""Factors by which a block makes its features smaller before it filters them, coarsest first."""
GROUPS = 8
"""Filters that a block makes of each shape: neighbouring channels share one."""
MULTIPLE = POOLS[0] << (LEVELS - 1)
FILTER_PARTS = {"inside_all": "inside", "lamb_l": "low", "lamb_h": "high"}
"""Names of the weights of a filter: in the reference implementation, and here."""


def _block_renames(theirs: str, ours: str) -> list[tuple[str, str]]:
    """Return the rules of renaming a stage, from patterns of its names in the reference implementation and here."""
    block, new = rf"{theirs}\.layers\.(\d+)\.main", rf"backbone.{ours}.\1"
    scale, new_scale = rf"{block}\.1\.dynas\.(\d)", rf"{new}.filters.shapes.\2"
    shapes = (
        (r"square_att", "square"),
        (r"strip_att\.H_spatial_att", "row"),
        (r"strip_att\.W_spatial_att", "column"),
    )
    return [
        (rf"{block}\.0\.main\.0\.(\w+)", rf"{new}.first.\2"),
        (rf"{block}\.2\.main\.0\.(\w+)", rf"{new}.second.\2"),
        (rf"{block}\.1\.convs\.(\d)\.weight", rf"{new}.filters.convs.\2.weight"),
        (rf"{block}\.1\.conv_sum\.weight", rf"{new}.filters.join.weight"),
        (rf"{scale}\.square_att\.conv\.weight", rf"{new_scale}.square.predict.conv.weight"),
        (rf"{scale}\.square_att\.bn\.(\w+)", rf"{new_scale}.square.predict.norm.\3"),
        (rf"{scale}\.strip_att\.(beta|gamma)", rf"{new_scale}.\3"),
        *((rf"{scale}\.{shape}\.conv\.weight", rf"{new_scale}.{name}.predict.weight") for shape, name in shapes[1:]),
        *(
            (rf"{scale}\.{shape}\.{part}", rf"{new_scale}.{name}.{part_name}")
            for shape, name in shapes
            for part, part_name in FILTER_PARTS.items()
        ),
    ]


class ConvIR(Backbone):
    """U-Net with smaller images as input and, in training, as output, and with filters made for each image.

    Levels double in channels and halve in size. The smaller images enter the encoder through shallow features and a
    convolution; skip connections are concatenated. In training, the images restored at 1/4 and 1/2, in this order, are
    returned as auxiliary images. The features are those before the output convolution of the full size, `width`
    channels (paper, section 3 and figure 2).

    Args:
        width: channels at full resolution, a multiple of 8.
        depth: residual blocks per stage, in the encoder and again in the decoder; the last of each stage filters.
        dilations: distances of the pixels that the filters weight, at 1/8, 1/4 and 1/2 of the features. The paper has
            7, 9, 11; for deraining 3, 7, 9. Images are padded to at least 32 (d + 1) for the first, 16 (d + 1) for the
            second and 8 (d + 1) for the third: 256 and 128 pixels.
        max_width: upper limit on the channels of a level, a multiple of 8; null for none.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@article{cui2024revitalizing,
  title = {Revitalizing Convolutional Network for Image Restoration},
  author = {Cui, Yuning and Ren, Wenqi and Cao, Xiaochun and Knoll, Alois},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume = {46},
  number = {12},
  pages = {9423--9438},
  year = {2024}
}"""
    origin = (
        "ieeexplore.ieee.org/document/10571568; reference implementation c-yn/ConvIR@05dcbffa (MIT), whose weights fit "
        "after renaming. Sizes convir_s, convir_b and convir_l are published; networks for deraining have dilations 3, "
        "7, 9 and weights of the same shapes. Sizes small and tiny are our choices. The normalisation of what makes "
        "the square filters has one value per image; in training on a single image ours takes the running statistics, "
        "where the authors' code fails. The smaller outputs are computed in training only; their convolutions count "
        "as parameters, not as multiply-adds."
    )
    sizes: ClassVar[Sizes] = {
        "convir_s": {"width": 32, "depth": 4},
        "convir_b": {"width": 32, "depth": 8},
        "convir_l": {"width": 32, "depth": 16},
        "small": {"width": 16, "depth": 8},
        "tiny": {"width": 8, "depth": 2, "dilations": (1, 3, 7), "max_width": 8},
    }
    # Official names of the decoder, and of layers that see a smaller image, count from the coarsest level; ours count
    # from the finest.
    published = Published(
        keys=(
            (r"feat_extract\.0\.main\.0\.(\w+)", r"backbone.stem.\1"),
            (r"feat_extract\.1\.main\.0\.(\w+)", r"backbone.downs.0.\1"),
            (r"feat_extract\.2\.main\.0\.(\w+)", r"backbone.downs.1.\1"),
            (r"feat_extract\.3\.main\.0\.(\w+)", r"backbone.ups.1.\1"),
            (r"feat_extract\.4\.main\.0\.(\w+)", r"backbone.ups.0.\1"),
            (r"feat_extract\.5\.main\.0\.(\w+)", r"head.conv.\1"),
            *(
                rule
                for level in range(LEVELS)
                for theirs, ours in ((rf"Encoder\.{level}", "encoder"), (rf"Decoder\.{LEVELS - 1 - level}", "decoder"))
                for rule in _block_renames(theirs, f"{ours}.{level}")
            ),
            (r"SCM2\.main\.(\d)\.main\.0\.(\w+)", r"backbone.shallow.0.convs.\1.\2"),
            (r"SCM1\.main\.(\d)\.main\.0\.(\w+)", r"backbone.shallow.1.convs.\1.\2"),
            (r"SCM2\.main\.4\.(\w+)", r"backbone.shallow.0.norm.\1"),
            (r"SCM1\.main\.4\.(\w+)", r"backbone.shallow.1.norm.\1"),
            (r"FAM2\.merge\.main\.0\.(\w+)", r"backbone.merges.0.\1"),
            (r"FAM1\.merge\.main\.0\.(\w+)", r"backbone.merges.1.\1"),
            (r"Convs\.0\.main\.0\.(\w+)", r"backbone.reductions.1.\1"),
            (r"Convs\.1\.main\.0\.(\w+)", r"backbone.reductions.0.\1"),
            (r"ConvsOut\.0\.main\.0\.(\w+)", r"backbone.outputs.1.\1"),
            (r"ConvsOut\.1\.main\.0\.(\w+)", r"backbone.outputs.0.\1"),
        ),
        head={"name": "residual", "padding": "zeros"},
    )

    def __init__(
        self,
        width: int = 32,
        depth: int = 4,
        dilations: tuple[int, int, int] = (7, 9, 11),
        max_width: int | None = None,
    ) -> None:
        super().__init__()
        check_positive("convir", width=width, depth=depth)
        for name, channels in (("width", width), ("max_width", max_width or width)):
            check_option("convir", name, channels, channels % GROUPS == 0, f"it must be a multiple of {GROUPS}")
        check_max_width("convir", max_width, width)
        check_option("convir", "dilations", dilations, min(dilations) >= 1, "they must be at least 1")
        channels = level_channels(width, LEVELS - 1, max_width)
        steps = list(pairwise(channels))

        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in steps)
        self.shallow = nn.ModuleList(_Shallow(size) for size in channels[1:])
        self.merges = nn.ModuleList(nn.Conv2d(2 * size, size, 3, padding=1) for size in channels[1:])
        self.encoder = nn.ModuleList(_stage(size, depth, dilations) for size in channels)
        self.decoder = nn.ModuleList(_stage(size, depth, dilations) for size in channels)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 4, stride=2, padding=1) for fine, coarse in steps)
        self.reductions = nn.ModuleList(nn.Conv2d(2 * size, size, 1) for size in channels[:-1])
        self.outputs = nn.ModuleList(nn.Conv2d(size, 3, 3, padding=1) for size in channels[1:])

        self.out_channels = width
        self.multiple_of = MULTIPLE
        # A reflection lies within the smallest features that are padded by it.
        least = max(pool * (dilation + 1) for pool, dilation in zip(POOLS, dilations, strict=True)) << (LEVELS - 1)
        self.min_side = -(-least // MULTIPLE) * MULTIPLE

    def forward(self, image: Tensor) -> Tensor | Features:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        images = [image[..., :: 1 << level, :: 1 << level] for level in range(LEVELS)]
        encoded = self._encode(images)
        features = encoded[-1]
        auxiliary: list[Tensor] = []
        for level in reversed(range(LEVELS)):
            if level < LEVELS - 1:
                features = torch.cat((F.gelu(self.ups[level](features)), encoded[level]), dim=1)
                features = F.gelu(self.reductions[level](features))
            features = self.decoder[level](features)
            if self.training and level > 0:
                auxiliary.append(images[level] + self.outputs[level - 1](features))
        return Features(features, tuple(auxiliary)) if self.training else features

    def _encode(self, images: list[Tensor]) -> list[Tensor]:
        """Return the features of every level, finest first, from images of every size."""
        encoded = [self.encoder[0](F.gelu(self.stem(images[0])))]
        for level in range(1, LEVELS):
            features = F.gelu(self.downs[level - 1](encoded[-1]))
            shallow = self.shallow[level - 1](images[level])
            features = self.merges[level - 1](torch.cat((features, shallow), dim=1))
            encoded.append(self.encoder[level](features))
        return encoded


class _Shallow(nn.Module):
    """Shallow features of a smaller image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter, half = channels // 4, channels // 2
        self.convs = nn.ModuleList(
            (
                nn.Conv2d(3, quarter, 3, padding=1),
                nn.Conv2d(quarter, half, 1),
                nn.Conv2d(half, half, 3, padding=1),
                nn.Conv2d(half, channels, 1),
            )
        )
        self.norm = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, image: Tensor) -> Tensor:
        features = image
        for conv in self.convs[:-1]:
            features = F.gelu(conv(features))
        return self.norm(self.convs[-1](features))


class _Block(nn.Module):
    """Two 3x3 convolutions with GELU and perhaps filters between them, added to the input."""

    def __init__(self, channels: int, dilations: tuple[int, ...] | None) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.filters = nn.Identity() if dilations is None else _Filters(channels, dilations)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(self.filters(F.gelu(self.first(features))))


class _Filters(nn.Module):
    """Filter features at three smaller sizes, coarsest first, and add the results to them (multi-scale module)."""

    def __init__(self, channels: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in POOLS)
        self.shapes = nn.ModuleList(_Shapes(channels, dilation) for dilation in dilations)
        self.join = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        total, coarser = features, None
        for pool, conv, shapes in zip(POOLS, self.convs, self.shapes, strict=True):
            pooled = F.avg_pool2d(features, pool)
            coarser = shapes(conv(pooled if coarser is None else pooled + _resize(coarser, pooled)))
            total = total + _resize(coarser, features)
        return self.join(F.gelu(total))


class _Shapes(nn.Module):
    """Sum of a square filter, of two strips one after the other, and of the features (multi-shape module)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.square = _Filter(channels, (3, 3), dilation)
        self.row = _Filter(channels, (1, 3), dilation)
        self.column = _Filter(channels, (3, 1), dilation)
        self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.ones(1, channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        strips = self.column(self.row(features))
        return self.square(features) + self.gamma * strips + self.beta * features


class _Filter(nn.Module):
    """Filter features by weights that their mean gives, and weight low and high frequencies anew.

    A new filter is the identity. What it takes for the mean spans the same directions as its shape.
    """

    def __init__(self, channels: int, sides: tuple[int, int], dilation: int) -> None:
        super().__init__()
        rows, columns = self.sides = sides
        conv = nn.Conv2d(channels, GROUPS * rows * columns, 1, bias=False)
        is_square = rows == columns
        self.predict = ConvNorm(conv, _ImageNorm(conv.out_channels)) if is_square else conv
        self.inside, self.low, self.high = (nn.Parameter(torch.zeros(1, channels, 1, 1)) for _ in range(3))
        self.dilation = dilation
        self.padding = (dilation * (columns // 2),) * 2 + (dilation * (rows // 2),) * 2
        self.mean_over = tuple(dimension for dimension, side in ((2, rows), (3, columns)) if side > 1)

    def forward(self, features: Tensor) -> Tensor:
        # Normalisation over a batch enlarges small differences of the means, which half precision would lose.
        mean = features.float().mean((2, 3), keepdim=True).to(self.low.dtype)
        with without_autocast(features):
            filters = torch.tanh(self.predict(mean)).to(features.dtype)
        filters = filters.flatten(1).unflatten(1, (GROUPS, *self.sides))
        filtered = filter_images(F.pad(features, self.padding, "reflect"), filters, dilation=self.dilation)
        low = filtered * (1 + self.inside) - self.inside * features.mean(self.mean_over, keepdim=True)
        return self.low * low + (1 + self.high) * features


class _ImageNorm(nn.BatchNorm2d):
    """Batch normalisation of one value per image and channel; a single image has no variance."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and len(input) == 1:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)


def _stage(channels: int, depth: int, dilations: tuple[int, ...]) -> nn.Sequential:
    plain = [_Block(channels, None) for _ in range(depth - 1)]
    return nn.Sequential(*plain, _Block(channels, dilations))


def _resize(features: Tensor, like: Tensor) -> Tensor:
    """Return features in the height and width of others."""
    return F.interpolate(features, like.shape[2:], mode="bilinear", align_corners=True)
