"""Restormer at any size (Zamir et al., CVPR 2022): a U-Net of transformer blocks with attention across channels.

Attention compares channels instead of pixels, so its cost grows linearly with the image. Written from the paper, not
from the authors' code; their weights fit after renaming.
"""

import copy
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from backbones import Published, Sizes
from backbones._folding import affine_before
from backbones._layers import ChannelLayerNorm, check_positive
from backbones._restormer_unet import (
    NORM_EPS,
    GatedFeedForward,
    RestormerUNet,
    TransposedAttention,
    check_layout,
    make_renames,
)

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
PUBLISHED = {"width": 48, "depths": (4, 6, 6, 8), "refinement": 4, "heads": (1, 2, 4, 8), "expansion": 2.66}


class RestormerLite(RestormerUNet):
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
        bias: whether the convolutions of the blocks and those after concatenations have a bias.
        dual_pixel: for two views of a dual-pixel sensor, one after the other in 6 channels, with head rgb: the network
            computes the whole image. No data of this project has 6 channels: for import and use from Python.

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
        "(and so are weights trained with it). Sizes restormer (deblurring, deraining), restormer_denoise and "
        "restormer_dual_pixel (defocus deblurring) are published, for colour; small and tiny are our choices. The "
        "published denoisers of grey images are left out."
    )
    sizes: ClassVar[Sizes] = {
        "restormer": {**PUBLISHED, "norm": "with_bias"},
        "restormer_denoise": {**PUBLISHED, "norm": "bias_free"},
        "restormer_dual_pixel": {**PUBLISHED, "norm": "with_bias", "dual_pixel": True},
        "small": {"width": 16, "depths": (2, 3, 3, 4), "refinement": 2, "heads": (1, 2, 4, 8)},
        "tiny": {"width": 4, "depths": (1, 1, 2, 2), "refinement": 0, "heads": (1, 1, 2, 4), "expansion": 2.0},
    }
    published = Published(
        keys=make_renames(OFFICIAL_PARTS),
        head={"name": "residual", "padding": "zeros"},
        other_heads={"dual_pixel": {"name": "rgb", "padding": "zeros"}},
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
        bias: bool = False,
        dual_pixel: bool = False,
    ) -> None:
        check_layout("restormer_lite", width, depths, refinement, heads)
        check_positive("restormer_lite", expansion=expansion)

        def make_block(level: int, channels: int) -> nn.Module:
            return _Block(channels, heads[level], expansion, norm, bias)

        super().__init__(width, depths, refinement, make_block, bias, dual_pixel)


class _Block(nn.Module):
    """Residual attention, then residual feed-forward."""

    def __init__(self, channels: int, heads: int, expansion: float, norm: str, bias: bool) -> None:
        super().__init__()
        self.attention_norm = _norm(norm, channels)
        self.attention = TransposedAttention(channels, heads, bias)
        self.feed_forward_norm = _norm(norm, channels)
        self.feed_forward = GatedFeedForward(channels, int(channels * expansion), bias)

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.attention(self.attention_norm(features))
        return features + self.feed_forward(self.feed_forward_norm(features))

    def folded(self) -> nn.Module:
        """Return a block with the weights of bias-free norms in the 1x1 convolutions that follow them.

        The weights of `with_bias` norms stay. The published convolutions have no bias to take the shift, and a new bias
        for their many channels would need more weights than the norm has and would not be faster.
        """
        block = copy.deepcopy(self)
        for norm, layer in ((block.attention_norm, block.attention), (block.feed_forward_norm, block.feed_forward)):
            if isinstance(norm, _BiasFreeNorm) and norm.weight is not None:
                layer.expand = affine_before(layer.expand, norm.weight)
                norm.weight = None
        return block


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
