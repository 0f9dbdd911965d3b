"""Restormer at any size: a U-Net of transformer blocks whose attention runs across channels, not pixels."""

import copy
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Renames
from backbones._folding import affine_before
from backbones._layers import ChannelLayerNorm, check_positive

NORM_EPS = 1e-5
OFFICIAL_LEVELS = 4
OFFICIAL_PARTS = {
    "norm1.body": "attention_norm",
    "norm2.body": "feed_forward_norm",
    "attn.temperature": "attention.temperature",
    "attn.qkv": "attention.expand",
    "attn.qkv_dwconv": "attention.depthwise",
    "attn.project_out": "attention.project",
    "ffn.project_in": "feed_forward.expand",
    "ffn.dwconv": "feed_forward.depthwise",
    "ffn.project_out": "feed_forward.project",
}
"""What the parts of a block are called in published weights, and here."""
PUBLISHED = {"width": 48, "depths": (4, 6, 6, 8), "refinement": 4, "heads": (1, 2, 4, 8), "expansion": 2.66}


def _renames() -> Renames:
    """The official names count levels from 1; ours count from 0 and keep each kind of layer in one list."""
    stages = {"latent": "latent", "refinement": "refinement"}
    renames = [(r"patch_embed\.proj\.(\w+)", r"backbone.stem.\1"), (r"output\.(\w+)", r"head.conv.\1")]
    for level in range(OFFICIAL_LEVELS - 1):
        stages |= {f"{part}_level{level + 1}": f"{part}.{level}" for part in ("encoder", "decoder")}
        renames += [
            (rf"down{level + 1}_{level + 2}\.body\.0\.(\w+)", rf"backbone.downs.{level}.0.\1"),
            (rf"up{level + 2}_{level + 1}\.body\.0\.(\w+)", rf"backbone.ups.{level}.0.\1"),
            (rf"reduce_chan_level{level + 2}\.(\w+)", rf"backbone.reductions.{level}.\1"),
        ]
    renames += [
        (rf"{theirs}\.(\d+)\.{re.escape(part)}(|\.\w+)", rf"backbone.{ours}.\1.{name}\2")
        for theirs, ours in stages.items()
        for part, name in OFFICIAL_PARTS.items()
    ]
    return tuple(renames)


class RestormerLite(Backbone):
    """U-Net of transposed attention and gated feed-forward blocks (paper, section 3).

    Levels double in channels and halve in size. Skip connections are concatenated; a 1x1 convolution halves the
    channels again, except at full resolution, where decoder and refinement run at 2 * `width`. Features are those
    before the output convolution, 2 * `width` channels.

    Options:
        width: channels at full resolution in the encoder, even.
        depths: blocks per level, in the encoder and again in the decoder, the middle last; its length, at least 2,
            sets the number of levels.
        refinement: blocks after the decoder, at full resolution.
        heads: attention heads per level; as many entries as `depths`.
        expansion: hidden channels of the feed-forward part, as a multiple of its channels.
        norm: LayerNorm over channels, or the bias-free form that divides by the deviation without removing the mean.

    Raises:
        ValueError: an option is outside what it allows.
    """

    citation: ClassVar[str] = """@inproceedings{zamir2022restormer,
  title = {Restormer: Efficient Transformer for High-Resolution Image Restoration},
  author = {Zamir, Syed Waqas and Arora, Aditya and Khan, Salman and Hayat, Munawar and Khan, Fahad Shahbaz
            and Yang, Ming-Hsuan},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2022}
}"""
    origin: ClassVar[str] = (
        "arXiv:2111.09881; written from the paper, not from the authors' code, which is under a non-commercial licence "
        "(and so are weights trained with it). Sizes restormer (deblurring, deraining) and restormer_denoise are "
        "published; small and tiny are our choices."
    )
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "restormer": {**PUBLISHED, "norm": "with_bias"},
        "restormer_denoise": {**PUBLISHED, "norm": "bias_free"},
        "small": {"width": 16, "depths": (2, 3, 3, 4), "refinement": 2, "heads": (1, 2, 4, 8)},
        "tiny": {"width": 4, "depths": (1, 1, 2, 2), "refinement": 0, "heads": (1, 1, 2, 4), "expansion": 2.0},
    }
    pad_mode: ClassVar[Literal["reflect", "zeros"]] = "reflect"
    published: ClassVar[Published | None] = Published(
        keys=_renames(),
        head={"name": "residual", "padding": "zeros"},
        zeros=("head.conv.bias",),
    )

    def __init__(
        self,
        width: int = 16,
        depths: tuple[int, ...] = (2, 3, 3, 4),
        refinement: int = 2,
        heads: tuple[int, ...] = (1, 2, 4, 8),
        expansion: float = 2.66,
        norm: Literal["with_bias", "bias_free"] = "with_bias",
    ) -> None:
        super().__init__()
        _check_options(width, depths, refinement, heads, expansion)
        levels = len(depths) - 1
        channels = [width << level for level in range(levels + 1)]
        decoder_channels = [2 * width, *channels[1:levels]]

        def stage(size: int, depth: int, head_count: int) -> nn.Sequential:
            return nn.Sequential(*[_Block(size, head_count, expansion, norm) for _ in range(depth)])

        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(map(stage, channels[:-1], depths, heads))
        self.downs = nn.ModuleList(_down(size) for size in channels[:-1])
        self.latent = stage(channels[-1], depths[-1], heads[-1])
        self.ups = nn.ModuleList(_up(size) for size in channels[1:])
        self.reductions = nn.ModuleList(nn.Conv2d(2 * size, size, 1, bias=False) for size in channels[1:levels])
        self.decoder = nn.ModuleList(map(stage, decoder_channels, depths, heads))
        self.refinement = stage(2 * width, refinement, heads[0])

        self.out_channels = 2 * width
        self.multiple_of = 2**levels
        self.min_side = self.multiple_of

    def forward(self, image: Tensor) -> Tensor:
        """Features `B 2*width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        levels = len(self.downs)
        # The norms work on pixels: in any other layout they would copy what they read, or sums what they add to.
        features = self.stem(image).contiguous(memory_format=torch.channels_last)
        skipped: list[Tensor] = []
        for level in range(levels):
            features = self.encoder[level](features)
            skipped.append(features)
            features = self.downs[level](features)
        features = self.latent(features)
        for level in reversed(range(levels)):
            features = torch.cat((self.ups[level](features), skipped[level]), dim=1)
            if level > 0:
                features = self.reductions[level - 1](features)
            features = self.decoder[level](features)
        return self.refinement(features)


class _Block(nn.Module):
    """Residual attention, then residual feed-forward."""

    def __init__(self, channels: int, heads: int, expansion: float, norm: str) -> None:
        super().__init__()
        self.attention_norm = _norm(norm, channels)
        self.attention = _TransposedAttention(channels, heads)
        self.feed_forward_norm = _norm(norm, channels)
        self.feed_forward = _GatedFeedForward(channels, int(channels * expansion))

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.attention(self.attention_norm(features))
        return features + self.feed_forward(self.feed_forward_norm(features))

    def folded(self) -> nn.Module:
        """With the weights of bias-free norms in the 1x1 convolutions behind them.

        Those of `with_bias` stay: the convolutions have no bias to take the shift, and one for each of their many
        channels would be more weights than the norm has, without being faster.
        """
        block = copy.deepcopy(self)
        for norm, layer in ((block.attention_norm, block.attention), (block.feed_forward_norm, block.feed_forward)):
            if isinstance(norm, _BiasFreeNorm) and norm.weight is not None:
                layer.expand = affine_before(layer.expand, norm.weight)
                norm.weight = None
        return block


class _TransposedAttention(nn.Module):
    """Attention between the channels of a head, over all pixels (paper: MDTA, equation 1)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.expand = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.depthwise = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        weights, value = _attend(self.depthwise(self.expand(features)), self.temperature)
        return self.project((weights @ value).flatten(1, 2).unflatten(2, features.shape[2:]))

    def folded(self) -> nn.Module:
        """With the projection multiplied into the attention weights, which are few, not into all pixels."""
        return _FoldedAttention(self)


class _FoldedAttention(nn.Module):
    """Transposed attention in one product with the values of all pixels instead of two."""

    def __init__(self, attention: _TransposedAttention) -> None:
        super().__init__()
        self.temperature = nn.Parameter(attention.temperature.detach().clone())
        self.expand = copy.deepcopy(attention.expand)
        self.depthwise = copy.deepcopy(attention.depthwise)
        by_head = attention.project.weight.detach().flatten(1).unflatten(1, (attention.heads, -1))
        self.project = nn.Parameter(by_head.transpose(0, 1).clone())

    def forward(self, features: Tensor) -> Tensor:
        weights, value = _attend(self.depthwise(self.expand(features)), self.temperature)
        projected = (self.project @ weights).transpose(1, 2).flatten(2)
        # Pixels before channels: the result is in channels_last like what it will be added to.
        mixed = value.flatten(1, 2).transpose(1, 2) @ projected.transpose(1, 2)
        return mixed.transpose(1, 2).unflatten(2, features.shape[2:])


def _attend(joint: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """Weights `B heads C C` between the channels of a head, and values `B heads C HW`, of query, key, value in one."""
    query, key, value = joint.unflatten(1, (3, len(temperature), -1)).flatten(4).unbind(1)
    similarity = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-2, -1)
    return (similarity * temperature).softmax(dim=-1), value


class _GatedFeedForward(nn.Module):
    """One half of the hidden channels, through GELU, gates the other (paper: GDFN, equation 2)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        gate, value = self.depthwise(self.expand(features)).chunk(2, dim=1)
        return self.project(F.gelu(gate) * value)


class _BiasFreeNorm(nn.Module):
    """Divides every pixel by the (biased, centred) deviation of its channels; the mean stays.

    Then a scale per channel, which is None where it has been folded into what comes next.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight: nn.Parameter | None = nn.Parameter(torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        # Half precision cannot hold the squares of large features; mean() is far faster than var() along channels.
        exact = features.to(torch.promote_types(features.dtype, torch.float32))
        variance = (exact - exact.mean(1, keepdim=True)).square().mean(1, keepdim=True)
        scale = torch.rsqrt(variance + NORM_EPS).to(features.dtype)
        normed = features * scale
        return normed if self.weight is None else normed * self.weight.view(-1, 1, 1)


def _norm(name: str, channels: int) -> nn.Module:
    return ChannelLayerNorm(channels, NORM_EPS) if name == "with_bias" else _BiasFreeNorm(channels)


def _down(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))


def _up(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.PixelShuffle(2))


def _check_options(
    width: int, depths: tuple[int, ...], refinement: int, heads: tuple[int, ...], expansion: float
) -> None:
    if width < 2 or width % 2:
        raise ValueError(f"restormer_lite: width is {width}; it must be even and at least 2")
    if len(depths) < 2 or min(depths) < 1:
        raise ValueError(f"restormer_lite: depths is {list(depths)}; it must hold at least 2 integers of at least 1")
    if len(heads) != len(depths):
        raise ValueError(f"restormer_lite: heads is {list(heads)}; depths has {len(depths)} levels, so must heads")
    for level, count in enumerate(heads):
        if count < 1 or (width << level) % count:
            raise ValueError(
                f"restormer_lite: heads[{level}] is {count}; it must divide the level's {width << level} channels"
            )
    if refinement < 0:
        raise ValueError(f"restormer_lite: refinement is {refinement}; it must be at least 0")
    check_positive("restormer_lite", expansion=expansion)
