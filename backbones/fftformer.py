"""FFTformer (Kong et al., CVPR 2023): a U-Net whose attention and feed-forward parts multiply spectra of patches.

The attention compares a patch with itself at all shifts, by the product of two spectra, at the cost of its transforms.
The parts that come from Restormer are written from that paper, not from code.
"""

import copy
import math
import re
from typing import ClassVar

import torch
from torch import Tensor, nn

from backbones import Backbone, Published, Renames, Sizes
from backbones._folding import sum_of_halves
from backbones._layers import ChannelLayerNorm, check_option, check_positive, without_autocast
from backbones._restormer_unet import NORM_EPS, GatedFeedForward
from backbones._unet import level_channels, unet_forward

PATCH = 8
"""Side in pixels of the patches that are transformed."""
FUSION_EXPANSION = 2.66
"""Hidden channels of the feed-forward part of a fusion, as a multiple of its channels."""
OFFICIAL_LEVELS = 3
OFFICIAL_PARTS = {
    "norm1.body": "attention_norm",
    "attn.to_hidden": "attention.expand",
    "attn.to_hidden_dw": "attention.depthwise",
    "attn.norm.body": "attention.norm",
    "attn.project_out": "attention.project",
    "norm2.body": "feed_forward_norm",
    "ffn.fft": "feed_forward.factors",
    "ffn.project_in": "feed_forward.expand",
    "ffn.dwconv": "feed_forward.depthwise",
    "ffn.project_out": "feed_forward.project",
}
"""Names of the parts of a block: in the reference implementation, and here."""


def _renames() -> Renames:
    """Return the rules that rename the official keys; official names count levels from 1, ours from 0."""
    stages = {r"refinement\.(\d+)": r"refinement.\1"}
    for level in range(OFFICIAL_LEVELS):
        stages |= {rf"{part}_level{level + 1}\.(\d+)": rf"{part}.{level}.\1" for part in ("encoder", "decoder")}
        stages[rf"(fuse{level + 1})\.att_channel"] = f"fusions.{level}"
    return (
        (r"patch_embed\.proj\.(\w+)", r"backbone.stem.\1"),
        (r"output\.(\w+)", r"head.conv.\1"),
        *(
            rename
            for level in range(OFFICIAL_LEVELS - 1)
            for rename in (
                (rf"down{level + 1}_{level + 2}\.body\.1\.(\w+)", rf"backbone.downs.{level}.1.\1"),
                (rf"up{level + 2}_{level + 1}\.body\.1\.(\w+)", rf"backbone.ups.{level}.1.\1"),
                (rf"fuse{level + 1}\.conv\.(\w+)", rf"backbone.fusions.{level}.join.\1"),
                (rf"fuse{level + 1}\.conv2\.(\w+)", rf"backbone.fusions.{level}.project.\1"),
            )
        ),
        *(
            (rf"{theirs}\.{re.escape(part)}(|\.\w+)", rf"backbone.{ours}.{name}\2")
            for theirs, ours in stages.items()
            for part, name in OFFICIAL_PARTS.items()
        ),
    )


class FFTformer(Backbone):
    """U-Net of frequency-domain attention and feed-forward parts (paper: FSAS and DFFN).

    Levels double in channels and halve in size. Encoder blocks have no attention. A skip connection is a fusion of both
    features, with a feed-forward part of its own. The features are those before the output convolution, `width`
    channels.

    Args:
        width: channels at full resolution, even.
        depths: blocks per level, in the encoder and again in the decoder, the coarsest level last; its length, at least
            2, sets the number of levels.
        refinement: blocks after the decoder, at full resolution.
        expansion: hidden channels of the feed-forward parts, as a multiple of their channels.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{kong2023efficient,
  title = {Efficient Frequency Domain-based Transformers for High-Quality Image Deblurring},
  author = {Kong, Lingshun and Dong, Jiangxin and Ge, Jianjun and Li, Mingqiang and Pan, Jinshan},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2023}
}"""
    origin = (
        "arXiv:2211.12250; reference implementation kkkls/FFTformer@01306b5d (MIT), whose weights fit after renaming. "
        "The gated feed-forward part is Restormer's and written from that paper. A weight of the authors that their "
        "network never uses (reduce_chan_level2) is left out, and so is a bias in the blocks, which no published "
        "network has. Transforms are matrix products, in float32 always, and count as multiply-adds here, 160 per "
        "pixel for a channel that is transformed to and fro. Size fftformer is published; small and tiny are our "
        "choices."
    )
    sizes: ClassVar[Sizes] = {
        "fftformer": {"width": 48, "depths": (6, 6, 12), "refinement": 4},
        "small": {"width": 16, "depths": (2, 3, 6), "refinement": 2},
        "tiny": {"width": 6, "depths": (1, 1, 1), "refinement": 0, "expansion": 2.0},
    }
    published = Published(
        keys=_renames(),
        head={"name": "residual", "padding": "zeros"},
        zeros=("head.conv.bias",),
        recomputed=(r"reduce_chan_level2\.weight",),
    )

    def __init__(
        self, width: int = 48, depths: tuple[int, ...] = (6, 6, 12), refinement: int = 4, expansion: float = 3.0
    ) -> None:
        super().__init__()
        check_option("fftformer", "width", width, width >= 2 and width % 2 == 0, "it must be even and at least 2")
        check_option(
            *("fftformer", "depths", depths, len(depths) >= 2 and min(depths) >= 1),
            requirement="it must hold at least 2 integers of at least 1",
        )
        check_option("fftformer", "refinement", refinement, refinement >= 0, "it must be at least 0")
        check_positive("fftformer", expansion=expansion)
        hidden = int(width * expansion)
        check_option(
            *("fftformer", "expansion", expansion, hidden >= 1),
            requirement=f"times width ({width}) it must be at least 1",
        )
        levels = len(depths) - 1
        channels = level_channels(width, levels)

        def stage(size: int, depth: int, attends: bool) -> nn.Sequential:
            return nn.Sequential(*[_Block(size, int(size * expansion), attends) for _ in range(depth)])

        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(stage(*level, attends=False) for level in zip(channels, depths, strict=True))
        self.downs = nn.ModuleList(
            nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(size, 2 * size, 3, padding=1, bias=False))
            for size in channels[:-1]
        )
        self.decoder = nn.ModuleList(stage(*level, attends=True) for level in zip(channels, depths, strict=True))
        self.ups = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=False),
                nn.Conv2d(2 * size, size, 3, padding=1, bias=False),
            )
            for size in channels[:-1]
        )
        self.fusions = nn.ModuleList(_Fusion(size) for size in channels[:-1])
        self.refinement = stage(width, refinement, attends=True)

        self.out_channels = width
        self.multiple_of = self.min_side = PATCH << levels

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        # The norms work on pixels: in any other memory layout each norm and each sum would copy its input.
        shallow = self.stem(image).contiguous(memory_format=torch.channels_last)
        middle = nn.Sequential(self.encoder[-1], self.decoder[-1])
        features = unet_forward(
            shallow,
            [*list(self.encoder)[:-1], middle, *list(self.decoder)[-2::-1]],
            down=lambda level, features: self.downs[level](features),
            join=lambda level, features, skipped: self.fusions[level](self.ups[level](features), skipped),
        )
        return self.refinement(features)


class _Block(nn.Module):
    """Residual attention, if any, then a residual feed-forward part."""

    def __init__(self, channels: int, hidden: int, attends: bool) -> None:
        super().__init__()
        self.attention_norm = ChannelLayerNorm(channels, NORM_EPS) if attends else None
        self.attention = _SpectralAttention(channels) if attends else None
        self.feed_forward_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.feed_forward = _SpectralFeedForward(channels, hidden)

    def forward(self, features: Tensor) -> Tensor:
        if self.attention is not None and self.attention_norm is not None:
            features = features + self.attention(self.attention_norm(features))
        return features + self.feed_forward(self.feed_forward_norm(features))


class _SpectralAttention(nn.Module):
    """Values weighted by the normalised product of the spectra of query and key (paper: FSAS)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, 6 * channels, 1, bias=False)
        self.depthwise = nn.Conv2d(6 * channels, 6 * channels, 3, padding=1, groups=6 * channels, bias=False)
        self.transform = _Transform()
        self.norm = ChannelLayerNorm(2 * channels, NORM_EPS)
        self.project = nn.Conv2d(2 * channels, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, `B C H W`; H and W multiples of the patch."""
        query, key, value = self.depthwise(self.expand(features)).chunk(3, dim=1)
        spectra = self.transform(torch.cat((query, key), dim=1))
        (real, imaginary), (key_real, key_imaginary) = (half.unbind(3) for half in spectra.chunk(2, dim=-1))
        # The plain product, as in the authors' code: a circular convolution, not a correlation.
        product = (real * key_real - imaginary * key_imaginary, real * key_imaginary + imaginary * key_real)
        similarity = self.transform.inverse(torch.stack(product, dim=3)).to(value.dtype)
        return self.project(value * self.norm(similarity))


class _SpectralFeedForward(GatedFeedForward):
    """Gated feed-forward part with a learned factor per channel and frequency (paper: DFFN)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__(channels, hidden, bias=False)
        self.transform = _Transform()
        self.factors = nn.Parameter(torch.ones(2 * hidden, PATCH, PATCH // 2 + 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape, `B C H W`; H and W multiples of the patch."""
        expanded = self.expand(features)
        spectra = self.transform(expanded)
        weighed = spectra * self.factors.flatten(1).transpose(0, 1).to(spectra.dtype)
        return self.gate(self.transform.inverse(weighed).to(expanded.dtype))


class _Transform(nn.Module):
    """Fourier transform of all patches and its inverse, as matrix products in float32 at least.

    For patches of 8 x 8 px they take half the time of a fast transform on a CPU, and every runtime has them.
    """

    def __init__(self) -> None:
        super().__init__()
        places = torch.arange(PATCH, dtype=torch.float64)
        frequencies = places[: PATCH // 2 + 1]
        by_row = torch.outer(places, places)[:, None, :, None]
        by_column = torch.outer(frequencies, places)[None, :, None, :]
        angles = 2 * math.pi / PATCH * (by_row + by_column).flatten(2).flatten(0, 1)
        forward = torch.cat((angles.cos(), -angles.sin()))
        # All frequencies but the first and the last of a row stand for their mirror images too.
        counts = torch.where((frequencies == 0) | (frequencies == PATCH // 2), 1.0, 2.0)
        inverse = forward.transpose(0, 1) * counts.repeat(2 * PATCH) / PATCH**2
        self.matrix = nn.Buffer(forward.float(), persistent=False)
        self.inverse_matrix = nn.Buffer(inverse.float(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return the spectra of features `B C H W`: `B H/8 W/8 2 40 C`, real and imaginary parts of 8 x 5 each."""
        height, width = features.shape[-2:]
        by_column = features.permute(0, 2, 3, 1).unflatten(2, (width // PATCH, PATCH))
        patches = by_column.unflatten(1, (height // PATCH, PATCH)).transpose(2, 3).flatten(3, 4)
        exact = patches.to(torch.promote_types(patches.dtype, torch.float32))
        with without_autocast(exact):
            return (self.matrix.to(exact.dtype) @ exact).unflatten(3, (2, -1))

    def inverse(self, spectra: Tensor) -> Tensor:
        """Return features `B C H W`, in channels_last, of spectra `B H/8 W/8 2 40 C`."""
        with without_autocast(spectra):
            patches = self.inverse_matrix.to(spectra.dtype) @ spectra.flatten(3, 4)
        places = patches.unflatten(3, (PATCH, PATCH)).transpose(2, 3)
        return places.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


class _Fusion(nn.Module):
    """Fusion of decoder features and skipped features by a feed-forward part over both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        doubled = 2 * channels
        self.join = nn.Conv2d(doubled, doubled, 1)
        self.feed_forward_norm = ChannelLayerNorm(doubled, NORM_EPS)
        self.feed_forward = _SpectralFeedForward(doubled, int(doubled * FUSION_EXPANSION))
        self.project = nn.Conv2d(doubled, doubled, 1)
        self.adds_halves = True

    def forward(self, features: Tensor, skipped: Tensor) -> Tensor:
        """Return the fusion of decoder features and skipped features, all `B C H W`."""
        joined = self.join(torch.cat((features, skipped), dim=1))
        projected = self.project(joined + self.feed_forward(self.feed_forward_norm(joined)))
        if not self.adds_halves:
            return projected
        first, second = projected.chunk(2, dim=1)
        return first + second

    def folded(self) -> nn.Module:
        """Return the same fusion whose projection computes the sum of its halves."""
        if not self.adds_halves:
            return self
        fusion = copy.deepcopy(self)
        fusion.project = sum_of_halves(self.project)
        fusion.adds_halves = False
        return fusion
