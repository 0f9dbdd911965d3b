"""SPAN (Wan et al., CVPRW 2024): a swift, parameter-free attention network, made for fast super-resolution.

Few 3x3 convolutions at full resolution; the attention is a function of the features without weights of its own. For
training, each 3x3 convolution is the sum and the chain of smaller ones. Unlike the authors' network, ours restores an
image of the same size, without upsampling, and multiplies the kernels of a chain before it filters, in training too.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Sizes
from backbones._layers import RGB_MEAN, check_positive, without_autocast

BLOCK_CONVS = 3
"""Convolutions of a block."""
CHAIN_PARTS = {"sk": "skip", r"conv\.0": "first", r"conv\.1": "middle", r"conv\.2": "last"}
"""Patterns of the convolutions of a chain in the reference implementation, and their names here."""


class SPAN(Backbone):
    """Blocks of three convolutions, whose result gates itself, all at full resolution (paper, section 3 and figure 3).

    The features are a 1x1 convolution of the first features, those after the first block, within the last block and
    after all blocks, `width` channels. The published network ends in a convolution and a pixel shuffle to a larger
    image; here it restores an image of the same size, without an outer skip.

    Folding leaves one 3x3 convolution of each chain. The network computes the same before, at nearly the same cost:
    the chain is in its weights.

    Args:
        width: channels.
        depth: blocks.
        expansion: channels within a chain, as a multiple of those at its ends. It adds weights for training; the folded
            network is as large with any value.
        img_range: factor on the values of the image, less the mean colour.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{wan2024swift,
  title = {Swift Parameter-free Attention Network for Efficient Super-Resolution},
  author = {Wan, Cheng and Yu, Hongyuan and Li, Zhiqi and Chen, Yihang and Zou, Yajun and Liu, Yuqing and Yin, Xuanwu
    and Zuo, Kunlong},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition Workshops (CVPRW)},
  year = {2024}
}"""
    origin = (
        "arXiv:2311.12770; reference implementation hongyuanyu/SPAN@c77a5917 (Apache-2.0), whose weights fit after "
        "renaming where they were trained at upscale 1. Sizes c48 and c52 are the published trunks, without their "
        "upsampler; small and tiny are our choices. The authors filter with each convolution of a chain in training "
        "and with the product of their kernels at inference; ours filters with the product always."
    )
    sizes: ClassVar[Sizes] = {
        "c48": {"width": 48},
        "c52": {"width": 52},
        "small": {"width": 32},
        "tiny": {"width": 16, "expansion": 1},
    }
    published = Published(
        keys=(
            *(
                (rf"{conv}\.{theirs}\.(\w+)", rf"backbone.{name}.{ours}.\1")
                for conv, name in (("conv_1", "stem"), ("conv_2", "end"))
                for theirs, ours in CHAIN_PARTS.items()
            ),
            (r"conv_cat\.(\w+)", r"backbone.join.\1"),
            (r"upsampler\.0\.(\w+)", r"head.conv.\1"),
            # The official blocks and their convolutions count from 1.
            *(
                (
                    rf"block_{block + 1}\.c{conv + 1}_r\.{theirs}\.(\w+)",
                    rf"backbone.blocks.{block}.convs.{conv}.{ours}.\1",
                )
                for block in range(32)
                for conv in range(BLOCK_CONVS)
                for theirs, ours in CHAIN_PARTS.items()
            ),
        ),
        head={"name": "rgb", "padding": "zeros"},
        recomputed=(r".*\.eval_conv\.(weight|bias)",),
    )

    def __init__(self, width: int = 48, depth: int = 6, expansion: int = 2, img_range: float = 255.0) -> None:
        super().__init__()
        check_positive("span", width=width, depth=depth, expansion=expansion, img_range=img_range)
        self.img_range = img_range
        self.mean = nn.Buffer(torch.tensor(RGB_MEAN).view(1, 3, 1, 1), persistent=False)
        self.stem = ConvChain(3, width, expansion)
        self.blocks = nn.ModuleList(_Block(width, expansion) for _ in range(depth))
        self.end = ConvChain(width, width, expansion)
        self.join = nn.Conv2d(4 * width, width, 1)

        self.out_channels = width

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]."""
        first = features = self.stem((image - self.mean) * self.img_range)
        after_first_block = inner = features
        for index, block in enumerate(self.blocks):
            features, inner = block(features)
            if index == 0:
                after_first_block = features
        return self.join(torch.cat((first, self.end(features), after_first_block, inner), dim=1))


class _Block(nn.Module):
    """Three convolutions; the attention is an odd function of their result, so that strong features stay strong."""

    def __init__(self, width: int, expansion: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(ConvChain(width, width, expansion) for _ in range(BLOCK_CONVS))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the result, and the features after the first convolution and its activation."""
        inner = F.silu(self.convs[0](features))
        result = self.convs[2](F.silu(self.convs[1](inner)))
        return (result + features) * (torch.sigmoid(result) - 0.5), inner


class ConvChain(nn.Module):
    """A 3x3 convolution, written for training as a chain of 1x1, 3x3 and 1x1 convolutions beside a 1x1 one.

    There is no activation between them, so their kernels can be multiplied. The features are padded with zeros before
    the whole chain, so the product is exact at the border too.

    Args:
        in_channels: channels of the features.
        out_channels: channels of the result.
        expansion: channels within the chain, as a multiple of `in_channels` before and `out_channels` after its 3x3
            convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, expansion: int) -> None:
        super().__init__()
        before, after = expansion * in_channels, expansion * out_channels
        self.skip = nn.Conv2d(in_channels, out_channels, 1)
        self.first = nn.Conv2d(in_channels, before, 1)
        self.middle = nn.Conv2d(before, after, 3)
        self.last = nn.Conv2d(after, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features `B out_channels H W` of features `B in_channels H W`."""
        weight, bias = self.product()
        return F.conv2d(features, weight, bias, padding=1)

    def product(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the 3x3 convolution that the chain and its skip amount to."""
        dtype = self.skip.weight.dtype
        # Half precision would round each of the products.
        exact = {key: value.to(torch.promote_types(dtype, torch.float32)) for key, value in self.named_parameters()}
        with without_autocast(self.skip.weight):
            first, middle, last = exact["first.weight"][:, :, 0, 0], exact["middle.weight"], exact["last.weight"]
            weight = torch.einsum("oa,abyx,bi->oiyx", last[:, :, 0, 0], middle, first)
            weight = weight + F.pad(exact["skip.weight"], (1, 1, 1, 1))
            shift = middle.sum((2, 3)) @ exact["first.bias"] + exact["middle.bias"]
            bias = last[:, :, 0, 0] @ shift + exact["last.bias"] + exact["skip.bias"]
        return weight.to(dtype), bias.to(dtype)

    def folded(self) -> nn.Conv2d:
        """Return the one convolution that computes what the chain and its skip compute."""
        weight, bias = (tensor.detach() for tensor in self.product())
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device="meta")
        conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(bias)
        return conv
