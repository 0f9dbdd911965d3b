"""ErasE-UNet, after EraseNet (Liu et al., IEEE TIP 2020): a coarse U-Net, and a second one that refines its image.

The coarse network restores at three sizes; the refining one has attention over channels, places and all pixels. Written
from the description of a contest solution: no authors' code, no published weights.
"""

from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Features, Sizes
from backbones._layers import check_max_width, check_option, check_positive, initialise_he, initialise_zero
from backbones._unet import level_channels

COARSE_SCALES = 3
"""Number of sizes at which the coarse network restores: full, 1/2 and 1/4."""
SPATIAL_KERNEL = 7
"""Side in pixels of the convolution of spatial attention."""
SQUEEZE = 4
"""Factor by which channel attention narrows its channels."""


class EraseUNet(Backbone):
    """Two U-Nets, coarse to fine: the second sees the degraded image and the image that the first restored.

    The coarse network adds a correction to the image at full size and, in training, at 1/4 and 1/2. The refining
    network weights its residual branches by channel and by place; at its coarsest level every pixel attends to the
    whole image. Levels double in channels and halve in size; skip connections are added. In training, the coarse images
    at 1/4, 1/2 and full size, in this order, are returned as auxiliary images. The features are those before the output
    convolution of the refining network, `width` channels.

    Args:
        width: channels of both networks at full resolution.
        levels: how often the size is halved, at least 2.
        max_width: upper limit on the channels of a level; None for none.
        depth: residual blocks per stage.
        attention: weights of the residual branches of the refining network: per channel, per place, both (mixed) or
            none.
        non_local: whether the coarsest level of the refining network has self-attention.
        pool: side in pixels of the squares that self-attention averages for keys and values; queries stay per pixel.
            The cost falls with the square of it.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@article{liu2020erasenet,
  title = {{EraseNet}: End-to-End Text Removal in the Wild},
  author = {Liu, Chongyu and Liu, Yuliang and Jin, Lianwen and Zhang, Shuaitao and Luo, Canjie and Wang, Yongpan},
  journal = {IEEE Transactions on Image Processing},
  volume = {29},
  pages = {8760--8775},
  year = {2020}
}"""
    origin = (
        "The family of a solution of the face-retouching contest (dowdyboy/bdpan_face, sixth): the generator of "
        "EraseNet, a U-Net that refines, a non-local block (arXiv:1711.07971) and mixed attention (channels, then "
        "places, as in arXiv:1807.06521). Written from this description alone: layout, sizes and starting values are "
        "our choices, no published weights fit, and there are no discriminator and no mask branch."
    )
    sizes: ClassVar[Sizes] = {
        "small": {"width": 16, "levels": 4, "max_width": 112},
        "tiny": {"width": 6, "levels": 2, "max_width": 24},
    }

    def __init__(
        self,
        width: int = 16,
        levels: int = 4,
        max_width: int | None = 128,
        depth: int = 1,
        attention: Literal["mixed", "channel", "spatial", "none"] = "mixed",
        non_local: bool = True,
        pool: int = 4,
    ) -> None:
        super().__init__()
        check_positive("erase_unet", width=width, depth=depth, pool=pool)
        check_option(
            "erase_unet", "levels", levels, levels > COARSE_SCALES - 2, f"it must be at least {COARSE_SCALES - 1}"
        )
        check_max_width("erase_unet", max_width, width)
        channels = level_channels(width, levels, max_width)

        self.coarse = _UNet(3, channels, depth, "none", nn.Identity())
        self.outputs = nn.ModuleList(nn.Conv2d(size, 3, 3, padding=1) for size in channels[:COARSE_SCALES])
        middle = _NonLocal(channels[-1], pool) if non_local else nn.Identity()
        self.refinement = _UNet(6, channels, depth, attention, middle)
        initialise_he(self)
        for module in self.modules():
            if isinstance(module, _Block | _NonLocal):
                initialise_zero(module.last)  # a new branch adds nothing
        initialise_zero(self.outputs)  # the first coarse image is the degraded one

        self.out_channels = width
        self.multiple_of = self.min_side = 2**levels

    def forward(self, image: Tensor) -> Tensor | Features:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        decoded = self.coarse(image)
        coarse = image + self.outputs[0](decoded[0])
        features = self.refinement(torch.cat((image, coarse), dim=1))[0]
        if not self.training:
            return features
        smaller = [
            image[..., :: 2**level, :: 2**level] + self.outputs[level](decoded[level])
            for level in range(1, COARSE_SCALES)
        ]
        return Features(features, (*reversed(smaller), coarse))


class _UNet(nn.Module):
    """Encoder and decoder of residual blocks; returns the features of every stage of the decoder, finest first."""

    def __init__(self, in_channels: int, channels: list[int], depth: int, attention: str, middle: nn.Module) -> None:
        super().__init__()

        def stage(size: int) -> nn.Sequential:
            return nn.Sequential(*[_Block(size, attention) for _ in range(depth)])

        self.stem = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self.encoder = nn.ModuleList(map(stage, channels))
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(channels))
        self.middle = middle
        self.ups = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairwise(channels))
        self.decoder = nn.ModuleList(map(stage, channels[:-1]))

    def forward(self, image: Tensor) -> list[Tensor]:
        levels = len(self.downs)
        skipped = [self.encoder[0](self.stem(image))]
        for level in range(levels):
            skipped.append(self.encoder[level + 1](self.downs[level](skipped[-1])))
        decoded = [self.middle(skipped[-1])]
        for level in reversed(range(levels)):
            decoded.append(self.decoder[level](self.ups[level](decoded[-1]) + skipped[level]))
        return decoded[::-1]


class _Block(nn.Module):
    """Two 3x3 convolutions, attention on their result, and a skip connection."""

    def __init__(self, channels: int, attention: str) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.ReLU(inplace=True)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        self.attention = nn.Sequential(
            *([_ChannelAttention(channels)] if attention in ("mixed", "channel") else []),
            *([_SpatialAttention()] if attention in ("mixed", "spatial") else []),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.attention(self.last(self.activation(self.first(features))))


class _ChannelAttention(nn.Module):
    """Scale every channel by a weight in (0, 1), computed from the means of all channels over the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // SQUEEZE, 1)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        pooled = features.mean((2, 3), keepdim=True)
        return features * torch.sigmoid(self.excite(F.relu(self.squeeze(pooled))))


class _SpatialAttention(nn.Module):
    """Scale every pixel by a weight in (0, 1), computed from mean and maximum of the channels around it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2)

    def forward(self, features: Tensor) -> Tensor:
        pooled = torch.cat((features.mean(1, keepdim=True), features.amax(1, keepdim=True)), dim=1)
        return features * torch.sigmoid(self.conv(pooled))


class _NonLocal(nn.Module):
    """Self-attention of every pixel to the means of squares of pixels, with a skip connection."""

    def __init__(self, channels: int, pool: int) -> None:
        super().__init__()
        inner = max(channels // 2, 1)
        self.pool = pool
        self.query = nn.Conv2d(channels, inner, 1)
        self.key = nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, inner, 1)
        self.last = nn.Conv2d(inner, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[-2:]
        # The last row and column are repeated, so that the squares at the border are complete.
        padded = F.pad(features, (0, -width % self.pool, 0, -height % self.pool), mode="replicate")
        squares = F.avg_pool2d(padded, self.pool)
        query, key, value = (
            # `B C H W` as one head of attention, `B 1 HW C`.
            tensor.flatten(2).transpose(1, 2).unsqueeze(1)
            for tensor in (self.query(features), self.key(squares), self.value(squares))
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        return features + self.last(attended.squeeze(1).transpose(1, 2).unflatten(2, (height, width)))
