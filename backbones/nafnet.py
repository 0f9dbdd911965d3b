"""NAFNet (Chen et al., ECCV 2022): a U-Net without nonlinear activations.

Two halves of the channels multiply each other instead. Options add the paper's baseline block and test-time local
conversion (TLC; Chu et al., ECCV 2022, arXiv:2112.04491): in training, channel attention pools over a patch; at test
time it keeps these statistics if it takes, for each pixel, the mean of about as many pixels around it. The network is
that of the authors' code with other names of weights; the means of TLC are computed one direction at a time, in
float32, so that they keep their digits on large images and in half precision.
"""

from functools import partial
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Published, Sizes
from backbones._layers import ChannelLayerNorm, are_numbers, check_depths, check_option, check_positive
from backbones._naf_unet import NORM_EPS, MixingBlock, NafUNet, SimpleGate, make_renames

TLC_WINDOW = 1.5
"""Side of the window of test-time local conversion, in sides of the training patch."""
NAF_PARTS = {
    "norm1": "spatial_norm",
    "conv1": "spatial_expand",
    "conv2": "depthwise",
    "sca.1": "attention",
    "se.1": "attention.0",
    "se.3": "attention.2",
    "conv3": "spatial_project",
    "norm2": "channel_norm",
    "conv4": "channel_expand",
    "conv5": "channel_project",
    "beta": "beta",
    "gamma": "gamma",
}
"""Names of the parts of a block: in the reference implementation, and here."""
GOPRO, SIDD = (1, 1, 1, 28, 1, 1, 1, 1, 1), (2, 2, 4, 8, 12, 2, 2, 2, 2)


class NAFNet(NafUNet):
    """U-Net of nonlinear-activation-free blocks (paper, section 3 and figure 3c), or of the paper's baseline blocks.

    Levels double in channels and halve in size; skip connections are added. The features are those before the output
    convolution, `width` channels.

    Args:
        width: channels at full resolution.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels.
        block: "naf", or "baseline" (figure 3b) with GELU instead of the product of two halves of the channels, and with
            channel attention that has a bottleneck, ReLU and sigmoid.
        depthwise_expansion: channels of the depthwise convolution, as a multiple of its block's.
        tlc_train_size: side in pixels of the patches that the network was trained on, for test-time local conversion.
            In eval mode, channel attention then takes the mean of a window of 1.5 times that side around each pixel;
            smaller images are pooled whole. None pools every image whole, as training does.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@inproceedings{chen2022simple,
  title = {Simple Baselines for Image Restoration},
  author = {Chen, Liangyu and Chu, Xiaojie and Zhang, Xiangyu and Sun, Jian},
  booktitle = {European Conference on Computer Vision (ECCV)},
  year = {2022}
}"""
    origin = (
        "arXiv:2204.04676; reference implementation megvii-research/NAFNet@2b4af71e (MIT), whose weights fit after "
        "renaming. Sizes that name a data set are published, those of the baseline with its blocks. The published "
        "GoPro scores are with tlc_train_size 256, which no size sets: it goes with the patches of the training. Sizes "
        "small and tiny are our choices. The published network for REDS is w64_gopro; stereo super-resolution (NAFSSR) "
        "is left out."
    )
    sizes: ClassVar[Sizes] = {
        "w32_gopro": {"width": 32, "depths": GOPRO},
        "w64_gopro": {"width": 64, "depths": GOPRO},
        "w32_sidd": {"width": 32, "depths": SIDD},
        "w64_sidd": {"width": 64, "depths": SIDD},
        "baseline_w32_gopro": {"width": 32, "depths": GOPRO, "block": "baseline", "depthwise_expansion": 1},
        "baseline_w64_gopro": {"width": 64, "depths": GOPRO, "block": "baseline"},
        "baseline_w32_sidd": {"width": 32, "depths": SIDD, "block": "baseline", "depthwise_expansion": 1},
        "baseline_w64_sidd": {"width": 64, "depths": SIDD, "block": "baseline"},
        "small": {"width": 16, "depths": (2, 2, 4, 4, 2, 2, 2, 2, 2)},
        "tiny": {"width": 8, "depths": (1, 1, 1, 1, 1, 1, 1)},
    }
    published = Published(keys=partial(make_renames, parts=NAF_PARTS), head={"name": "residual", "padding": "zeros"})

    def __init__(
        self,
        width: int = 32,
        depths: tuple[int, ...] = SIDD,
        block: Literal["naf", "baseline"] = "naf",
        depthwise_expansion: int = 2,
        tlc_train_size: int | None = None,
    ) -> None:
        check_positive("nafnet", width=width, depthwise_expansion=depthwise_expansion, tlc_train_size=tlc_train_size)
        check_depths("nafnet", depths)
        check_option(
            *("nafnet", "depthwise_expansion", depthwise_expansion, width * depthwise_expansion % 2 == 0),
            requirement=f"times width ({width}) it must be even, as it is halved",
        )
        levels = len(depths) // 2

        def make_block(stage: int, channels: int) -> nn.Module:
            level = min(stage, 2 * levels - stage)
            window = None if tlc_train_size is None else window_side(tlc_train_size, 2**levels, level)
            return NafBlock(channels, block, depthwise_expansion, window)

        super().__init__(width, depths, make_block)


class NafBlock(MixingBlock):
    """Block of NAFNet: depthwise convolution and channel attention, then channel mixing (paper, figures 3b and 3c).

    Args:
        channels: channels of the block.
        kind: "naf" or "baseline".
        expansion: channels of the depthwise convolution, as a multiple of `channels`.
        window: side in pixels of the windows over which attention pools in eval mode; None pools the whole image.
    """

    def __init__(self, channels: int, kind: str, expansion: int, window: int | None) -> None:
        super().__init__()
        hidden = expansion * channels
        gated = hidden // 2 if kind == "naf" else hidden
        self.window = window
        self.spatial_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.spatial_expand = nn.Conv2d(channels, hidden, 1)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        if kind == "naf":
            self.attention: nn.Module = nn.Conv2d(gated, gated, 1)
        else:
            squeeze, excite = nn.Conv2d(gated, gated // 2, 1), nn.Conv2d(gated // 2, gated, 1)
            self.attention = nn.Sequential(squeeze, nn.ReLU(inplace=True), excite, nn.Sigmoid())
        self.spatial_project = nn.Conv2d(gated, channels, 1)
        self.add_channel_mixing(channels, 2 * channels, SimpleGate() if kind == "naf" else nn.GELU())

    def mix_pixels(self, normed: Tensor) -> Tensor:
        """Return what the spatial half adds to the features, from the normalised features, both `B C H W`."""
        mixed = self.activation(self.depthwise(self.spatial_expand(normed)))
        if self.window is None or self.training:
            weights = self.attention(mixed.mean((2, 3), keepdim=True))
        else:
            # Attention runs before the values at the border are repeated: there are fewer windows than pixels.
            weights = spread(self.attention(local_mean(mixed, self.window)), mixed)
        return self.spatial_project(mixed * weights)


def window_side(train_size: int, multiple_of: int, level: int) -> int:
    """Return the side of the TLC window, in pixels of features at 1 / 2^`level` of the image size.

    Args:
        train_size: side of the training patches in pixels.
        multiple_of: the network pads patches to a multiple of this.
        level: how often the features were halved.
    """
    side = -(-train_size // multiple_of) * multiple_of >> level
    return side * int(TLC_WINDOW * train_size) // train_size


def local_mean(features: Tensor, window: int) -> Tensor:
    """Return the means of all windows that lie within the features.

    Args:
        features: `B C H W`.
        window: side of the windows in pixels. Where a side of the features is shorter, windows span that side.

    Returns:
        `B C H-h+1 W-w+1` for windows of h x w pixels; `B C 1 1` where a window is the whole image.
    """
    height, width = features.shape[-2:]
    if are_numbers(height, width) and window >= max(height, width):
        return features.mean((2, 3), keepdim=True)
    # min() would branch on a symbol; see `are_numbers`.
    rows, columns = (cast(int, torch.sym_min(window, side)) for side in (height, width))
    # One direction at a time: differences of sums over the whole image would lose digits, as would half precision.
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    sums = _sliding_sum(_sliding_sum(exact, 2, rows), 3, columns)
    return (sums / (rows * columns)).to(features.dtype)


def spread(values: Tensor, features: Tensor) -> Tensor:
    """Return the values of windows as one value per pixel of `features`; the border repeats the outermost windows.

    An odd number of missing pixels puts one more to the right and the bottom. A single value `B C 1 1` is returned
    unchanged, to be broadcast.
    """
    rows, columns = values.shape[-2:]
    if are_numbers(rows, columns) and rows == columns == 1:
        return values
    down, right = features.shape[-2] - rows, features.shape[-1] - columns
    return F.pad(values, (right // 2, right - right // 2, down // 2, down - down // 2), mode="replicate")


def _sliding_sum(features: Tensor, dimension: int, length: int) -> Tensor:
    """Sum all runs of `length` neighbours along a dimension, 2 or 3, which becomes shorter by length - 1."""
    sums = F.pad(features.cumsum(dimension), (0, 0, 1, 0) if dimension == 2 else (1, 0))
    count = features.shape[dimension] - length + 1
    return sums.narrow(dimension, length, count) - sums.narrow(dimension, 0, count)
