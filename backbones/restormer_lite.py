"""Restormer at any size (Zamir et al., CVPR 2022): a U-Net of transformer blocks with attention across channels.

Attention compares channels instead of pixels, so its cost grows linearly with the image. Written from the paper, not
from the authors' code; their weights fit after renaming.
"""

import copy
import re
from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Sizes
from backbones._folding import affine_before
from backbones._layers import ChannelLayerNorm, check_option, check_positive
from backbones._unet import level_channels, unet_forward

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
"""Names of the parts of a block: in published weights, and here."""
OFFICIAL_STAGES = {
    "latent": "latent",
    "refinement": "refinement",
    **{
        f"{part}_level{level + 1}": f"{part}.{level}"
        for part in ("encoder", "decoder")
        for level in range(OFFICIAL_LEVELS - 1)
    },
}
"""Names of the stages: in published weights, and here."""
PUBLISHED = {"width": 48, "depths": (4, 6, 6, 8), "refinement": 4, "heads": (1, 2, 4, 8), "expansion": 2.66}


class RestormerLite(Backbone):
    """U-Net of transposed attention and gated feed-forward blocks (paper, section 3).

    Levels double in channels and halve in size. Skip connections are concatenated; a 1x1 convolution halves the
    channels again, except at full resolution, where decoder and refinement run at 2 * `width`. The features are those
    before the output convolution, 2 * `width` channels.

    Args:
        width: channels at full resolution in the encoder, even.
        depths: blocks per level, in the encoder and again in the decoder, the middle last; its length, at least 2,
            sets the number of levels.
        refinement: blocks after the decoder, at full resolution.
        heads: attention heads per level; as many entries as `depths`.
        expansion: hidden channels of the feed-forward part, as a multiple of its channels.
        norm: LayerNorm over channels, or its bias-free form, which divides by the deviation and keeps the mean.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{zamir2022restormer,
  title = {Restormer: Efficient Transformer for High-Resolution Image Restoration},
  author = {Zamir, Syed Waqas and Arora, Aditya and Khan, Salman and Hayat, Munawar and Khan, Fahad Shahbaz
            and Yang, Ming-Hsuan},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year = {2022}
}"""
    origin = (
        "arXiv:2111.09881; written from the paper, not from the authors' code, which is under a non-commercial licence "
        "(and so are weights trained with it). Sizes restormer (deblurring, deraining) and restormer_denoise are "
        "published; small and tiny are our choices."
    )
    sizes: ClassVar[Sizes] = {
        "restormer": {**PUBLISHED, "norm": "with_bias"},
        "restormer_denoise": {**PUBLISHED, "norm": "bias_free"},
        "small": {"width": 16, "depths": (2, 3, 3, 4), "refinement": 2, "heads": (1, 2, 4, 8)},
        "tiny": {"width": 4, "depths": (1, 1, 2, 2), "refinement": 0, "heads": (1, 1, 2, 4), "expansion": 2.0},
    }
    published = Published(
        # Official names count levels from 1; ours count from 0, with one list per kind of layer.
        keys=(
            (r"patch_embed\.proj\.(\w+)", r"backbone.stem.\1"),
            (r"output\.(\w+)", r"head.conv.\1"),
            *(
                rename
                for level in range(OFFICIAL_LEVELS - 1)
                for rename in (
                    (rf"down{level + 1}_{level + 2}\.body\.0\.(\w+)", rf"backbone.downs.{level}.0.\1"),
                    (rf"up{level + 2}_{level + 1}\.body\.0\.(\w+)", rf"backbone.ups.{level}.0.\1"),
                    (rf"reduce_chan_level{level + 2}\.(\w+)", rf"backbone.reductions.{level}.\1"),
                )
            ),
            *(
                (rf"{theirs}\.(\d+)\.{re.escape(part)}(|\.\w+)", rf"backbone.{ours}.\1.{name}\2")
                for theirs, ours in OFFICIAL_STAGES.items()
                for part, name in OFFICIAL_PARTS.items()
            ),
        ),
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
        channels = level_channels(width, levels)
        decoder_channels = [2 * width, *channels[1:levels]]

        def stage(size: int, depth: int, head_count: int) -> nn.Sequential:
            return nn.Sequential(*[_Block(size, head_count, expansion, norm) for _ in range(depth)])

        self.stem = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.encoder = nn.ModuleList(map(stage, channels[:-1], depths, heads))
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(size, size // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))
            for size in channels[:-1]
        )
        self.latent = stage(channels[-1], depths[-1], heads[-1])
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(size, 2 * size, 3, padding=1, bias=False), nn.PixelShuffle(2))
            for size in channels[1:]
        )
        self.reductions = nn.ModuleList(nn.Conv2d(2 * size, size, 1, bias=False) for size in channels[1:levels])
        self.decoder = nn.ModuleList(map(stage, decoder_channels, depths, heads))
        self.refinement = stage(2 * width, refinement, heads[0])

        self.out_channels = 2 * width
        self.multiple_of = self.min_side = 2**levels

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B 2*width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""

        def join(level: int, features: Tensor, skipped: Tensor) -> Tensor:
            features = torch.cat((self.ups[level](features), skipped), dim=1)
            return self.reductions[level - 1](features) if level > 0 else features

        # The norms work on pixels: in any other memory layout each norm and each sum would copy its input.
        features = self.stem(image).contiguous(memory_format=torch.channels_last)
        stages = [*self.encoder, self.latent, *reversed(self.decoder)]
        return self.refinement(
            unet_forward(features, stages, lambda level, features: self.downs[level](features), join)
        )


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
        """Return a block with the weights of bias-free norms in the 1x1 convolutions that follow them.

        The weights of `with_bias` norms stay. The convolutions have no bias to take the shift, and a new bias for their
        many channels would need more weights than the norm has and would not be faster.
        """
        block = copy.deepcopy(self)
        for norm, layer in ((block.attention_norm, block.attention), (block.feed_forward_norm, block.feed_forward)):
            if isinstance(norm, _BiasFreeNorm) and norm.weight is not None:
                layer.expand = affine_before(layer.expand, norm.weight)
                norm.weight = None
        return block


class _TransposedAttention(nn.Module):
    """Attention between the channels of each head, over all pixels (paper: MDTA, equation 1)."""

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
        """Return attention that multiplies its projection into the few attention weights instead of into all pixels."""
        return _FoldedAttention(self)


class _FoldedAttention(nn.Module):
    """Transposed attention with one product over the values of all pixels instead of two."""

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
        # Pixels come before channels: the result is in channels_last, like the features it is added to.
        mixed = value.flatten(1, 2).transpose(1, 2) @ projected.transpose(1, 2)
        return mixed.transpose(1, 2).unflatten(2, features.shape[2:])


def _attend(joint: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights `B heads C C` between the channels of a head, and values `B heads C HW`.

    Args:
        joint: query, key and value side by side, `B 3*heads*C H W`.
        temperature: factor of the similarities, `heads 1 1`.
    """
    query, key, value = joint.unflatten(1, (3, len(temperature), -1)).flatten(4).unbind(1)
    similarity = F.normalize(query, dim=-1) @ F.normalize(key, dim=-1).transpose(-2, -1)
    return (similarity * temperature).softmax(dim=-1), value


class _GatedFeedForward(nn.Module):
    """Feed-forward part in which GELU of one half of the hidden channels gates the other (paper: GDFN, equation 2)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        gate, value = self.depthwise(self.expand(features)).chunk(2, dim=1)
        return self.project(F.gelu(gate) * value)


class _BiasFreeNorm(nn.Module):
    """Divide every pixel by the (biased, centred) deviation of its channels, keep the mean, then scale each channel.

    The scale is None where it has been folded into the next convolution.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight: nn.Parameter | None = nn.Parameter(torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        # Half precision cannot hold the squares of large features; along channels, mean() is far faster than var().
        exact = features.to(torch.promote_types(features.dtype, torch.float32))
        variance = (exact - exact.mean(1, keepdim=True)).square().mean(1, keepdim=True)
        scale = torch.rsqrt(variance + NORM_EPS).to(features.dtype)
        normed = features * scale
        return normed if self.weight is None else normed * self.weight.view(-1, 1, 1)


def _norm(name: str, channels: int) -> nn.Module:
    return ChannelLayerNorm(channels, NORM_EPS) if name == "with_bias" else _BiasFreeNorm(channels)


def _check_options(
    width: int, depths: tuple[int, ...], refinement: int, heads: tuple[int, ...], expansion: float
) -> None:
    check = partial(check_option, "restormer_lite")
    check("width", width, width >= 2 and width % 2 == 0, "it must be even and at least 2")
    check("depths", depths, len(depths) >= 2 and min(depths) >= 1, "it must hold at least 2 integers of at least 1")
    check("heads", heads, len(heads) == len(depths), f"depths has {len(depths)} levels, so must heads")
    for level, (count, channels) in enumerate(zip(heads, level_channels(width, len(depths) - 1), strict=True)):
        valid = count >= 1 and channels % count == 0
        check(f"heads[{level}]", count, valid, f"it must divide the level's {channels} channels")
    check("refinement", refinement, refinement >= 0, "it must be at least 0")
    check_positive("restormer_lite", expansion=expansion)
