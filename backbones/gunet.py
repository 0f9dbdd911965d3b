"""gUNet (Song et al., 2022): a U-Net of gated depthwise convolutions.

Each block multiplies the values of a depthwise convolution by a gate. Beyond the authors' code, options add a limit on
the channels and smaller images as further inputs, after the description of an "improved gUNet" for face retouching.
"""

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published, Sizes
from backbones._depthwise import DepthwiseConv2d
from backbones._folding import affine_before, split_affine
from backbones._layers import (
    ChannelLayerNorm,
    check_depths,
    check_max_width,
    check_option,
    check_positive,
    initialise_xavier,
)
from backbones._unet import SelectiveKernel, level_channels, pixel_shuffle_up, unet_forward

NORM_EPS = 1e-5
GATES = {"sigmoid": nn.Sigmoid, "hard_sigmoid": nn.Hardsigmoid, "tanh": nn.Tanh, "identity": nn.Identity}
"""Activations of a gate."""


class GUNet(Backbone):
    """U-Net whose blocks are one normalisation, a depthwise convolution and a gate (paper, section 3).

    The features are those before the output convolution, `width` channels.

    Args:
        width: channels at full resolution; doubled at every level.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels.
        max_width: upper limit on the channels of a level; None for none.
        input_scales: number of image sizes that enter the encoder: 1 (full), 2 (and 1/2), 3 (and 1/4).
        fusion: how the decoder joins its features with the skip connection.
        gate: activation of the gate that multiplies the values; "identity" for a gate without one; "none" and
            "none_relu" for the paper's blocks without gate, which have GELU or ReLU after the depthwise convolution,
            and a 1x1 convolution beside it.
        norm: normalisation of the input of a block.
        kernel_size: side of the depthwise convolutions, odd.
        padding: how the depthwise convolutions pad.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@article{song2022rethinking,
  title = {Rethinking Performance Gains in Image Dehazing Networks},
  author = {Song, Yuda and Zhou, Yang and Qian, Hui and Du, Xin},
  journal = {arXiv preprint arXiv:2209.11448},
  year = {2022}
}"""
    origin = (
        "arXiv:2209.11448; reference implementation IDKiro/gUNet@defba832 (MIT), whose weights fit after renaming. "
        "Sizes t, s, b and d are published. max_width and input_scales are not in the paper: they follow a description "
        "of a retouching solution ('deeper down-sampling, three-scale input') that published no code. Our reading of "
        "three-scale input: the image, area-averaged to 1/2 and 1/4, goes through a 3x3 convolution each and is added "
        "to the encoder's features of that size. Sizes small, retouch and tiny are our choices. Of the paper's "
        "ablations, instance and ghost batch normalisation, no normalisation, and channel attention (SE, ECA) are left "
        "out."
    )
    sizes: ClassVar[Sizes] = {
        "t": {"width": 24, "depths": (2, 2, 2, 4, 2, 2, 2)},
        "s": {"width": 24, "depths": (4, 4, 4, 8, 4, 4, 4)},
        "b": {"width": 24, "depths": (8, 8, 8, 16, 8, 8, 8)},
        "d": {"width": 24, "depths": (16, 16, 16, 32, 16, 16, 16)},
        "small": {"width": 24, "depths": (8, 8, 8, 13, 8, 8, 8)},
        "retouch": {"width": 24, "depths": (2, 2, 4, 4, 4, 4, 4, 2, 2), "max_width": 192, "input_scales": 3},
        "tiny": {"width": 8, "depths": (1, 1, 1, 1, 1, 1, 1, 1, 1), "max_width": 44, "input_scales": 3},
    }
    input_range = (-1.0, 1.0)
    published = Published(
        keys=(
            (r"inconv\.proj\.(\w+)", r"backbone.stem.\1"),
            (r"outconv\.proj\.0\.(\w+)", r"head.conv.\1"),
            (r"layers\.(\d+)\.blocks\.(\d+)\.norm\.(\w+)", r"backbone.stages.\1.\2.norm.\3"),
            (r"layers\.(\d+)\.blocks\.(\d+)\.conv\.Wv\.0\.(\w+)", r"backbone.stages.\1.\2.value.\3"),
            (r"layers\.(\d+)\.blocks\.(\d+)\.conv\.Wv\.1\.(\w+)", r"backbone.stages.\1.\2.depthwise.\3"),
            (r"layers\.(\d+)\.blocks\.(\d+)\.conv\.Wg\.0\.(\w+)", r"backbone.stages.\1.\2.gate.0.\3"),
            (r"layers\.(\d+)\.blocks\.(\d+)\.conv\.proj\.(\w+)", r"backbone.stages.\1.\2.project.\3"),
            (r"layers\.(\d+)\.blocks\.(\d+)\.conv\.proj1\.0\.(\w+)", r"backbone.stages.\1.\2.value.\3"),
            (r"layers\.(\d+)\.blocks\.(\d+)\.conv\.proj1\.1\.(\w+)", r"backbone.stages.\1.\2.depthwise.\3"),
            (r"layers\.(\d+)\.blocks\.(\d+)\.conv\.proj1\.3\.(\w+)", r"backbone.stages.\1.\2.project.\3"),
            (r"layers\.(\d+)\.blocks\.(\d+)\.conv\.proj2\.(\w+)", r"backbone.stages.\1.\2.direct.\3"),
            (r"skips\.(\d+)\.(\w+)", r"backbone.skips.\1.\2"),
            (r"downs\.(\d+)\.proj\.(\w+)", r"backbone.downs.\1.\2"),
            (r"ups\.(\d+)\.proj\.0\.(\w+)", r"backbone.ups.\1.0.\2"),
            (r"fusions\.(\d+)\.mlp\.1\.(\w+)", r"backbone.fusions.\1.squeeze.\2"),
            (r"fusions\.(\d+)\.mlp\.3\.(\w+)", r"backbone.fusions.\1.select.\2"),
            (r"fusions\.(\d+)\.conv\.(\w+)", r"backbone.fusions.\1.conv.\2"),
        ),
        head={"name": "residual", "padding": "reflect"},
    )

    def __init__(
        self,
        width: int = 24,
        depths: tuple[int, ...] = (2, 2, 2, 4, 2, 2, 2),
        max_width: int | None = None,
        input_scales: int = 1,
        fusion: Literal["selective_kernel", "concatenation", "sum"] = "selective_kernel",
        gate: Literal["sigmoid", "hard_sigmoid", "tanh", "identity", "none", "none_relu"] = "sigmoid",
        norm: Literal["batch", "layer"] = "batch",
        kernel_size: int = 5,
        padding: Literal["reflect", "zeros"] = "reflect",
    ) -> None:
        super().__init__()
        levels = len(depths) // 2
        check_positive("gunet", width=width)
        check_depths("gunet", depths)
        check_max_width("gunet", max_width, width)
        most_scales = min(3, levels + 1)
        check_option(
            *("gunet", "input_scales", input_scales, 1 <= input_scales <= most_scales),
            requirement=f"depths allow 1 to {most_scales}",
        )
        check_option(
            *("gunet", "kernel_size", kernel_size, kernel_size >= 1 and kernel_size % 2 == 1),
            requirement="it must be odd and at least 1",
        )
        channels = level_channels(width, levels, max_width)
        gain = (8 * sum(depths)) ** -0.25

        self.stem = nn.Conv2d(3, width, 3, padding=1, padding_mode="reflect")
        self.scale_stems = nn.ModuleList(
            nn.Conv2d(3, channels[scale], 3, padding=1, padding_mode="reflect") for scale in range(1, input_scales)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*[_Block(size, gate, norm, kernel_size, padding, gain) for _ in range(depth)])
            for size, depth in zip(channels + channels[-2::-1], depths, strict=True)
        )
        self.skips = nn.ModuleList(nn.Conv2d(size, size, 1) for size in channels[:-1])
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(channels))
        self.ups = nn.ModuleList(pixel_shuffle_up(coarse, fine) for fine, coarse in pairwise(channels))
        self.fusions = nn.ModuleList(FUSIONS[fusion](size) for size in channels[:-1])

        self.out_channels = width
        self.multiple_of = 2**levels
        # The coarsest level: reflection needs more pixels than it adds, batch statistics more than one.
        self.min_side = self.multiple_of * (max(2, kernel_size // 2 + 1) if padding == "reflect" else 2)

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [-1, 1]; H and W multiples of `multiple_of`."""

        def down(level: int, features: Tensor) -> Tensor:
            features = self.downs[level](features)
            if level < len(self.scale_stems):
                features = features + self.scale_stems[level](F.avg_pool2d(image, 2 << level))
            return features

        def join(level: int, features: Tensor, skipped: Tensor) -> Tensor:
            return self.fusions[level](self.ups[level](features), self.skips[level](skipped))

        return unet_forward(self.stem(image), self.stages, down, join)


class _Block(nn.Module):
    """Residual block: x + project(depthwise(value(n)) * gate(n)) of n = norm(x).

    Without gate: x + project(activation(depthwise(value(n)))) + direct(n).
    """

    def __init__(
        self, channels: int, gate: str, norm: str, kernel_size: int, padding: Literal["reflect", "zeros"], gain: float
    ) -> None:
        super().__init__()
        self.norm: nn.Module = (
            nn.BatchNorm2d(channels, NORM_EPS) if norm == "batch" else ChannelLayerNorm(channels, NORM_EPS)
        )
        self.value = nn.Conv2d(channels, channels, 1)
        self.depthwise = DepthwiseConv2d(channels, kernel_size, padding)
        self.gate = nn.Sequential(nn.Conv2d(channels, channels, 1), GATES[gate]()) if gate in GATES else None
        self.project = nn.Conv2d(channels, channels, 1)
        if self.gate is None:
            self.activation = nn.GELU() if gate == "none" else nn.ReLU(inplace=True)
            self.direct = nn.Conv2d(channels, channels, 1)
        initialise_xavier(self, gain)

    def forward(self, features: Tensor) -> Tensor:
        normed = self.norm(features)
        values = self.depthwise(self.value(normed))
        if self.gate is None:
            return features + self.project(self.activation(values)) + self.direct(normed)
        return features + self.project(values * self.gate(normed))

    def folded(self) -> nn.Module:
        """Return a block with scale and shift of the normalisation in the 1x1 convolutions that see its result.

        It is exact at the border: both convolutions see one pixel, and only their output is padded.
        """
        if not getattr(self.norm, "affine", False):
            return self
        block = copy.deepcopy(self)
        block.norm, scale, shift = split_affine(self.norm)
        block.value = affine_before(self.value, scale, shift)
        if self.gate is None:
            block.direct = affine_before(self.direct, scale, shift)
        else:
            # Values and gate stay two convolutions: splitting the result of one costs more than it saves, above all in
            # channels_last, where the two halves of a pixel are far apart.
            block.gate = nn.Sequential(affine_before(self.gate[0], scale, shift), self.gate[1])
        return block


class _Concatenation(nn.Module):
    """1x1 convolution of both inputs, the decoder's first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, features: Tensor, skipped: Tensor) -> Tensor:
        return self.conv(torch.cat((features, skipped), dim=1))


class _Sum(nn.Module):
    def forward(self, features: Tensor, skipped: Tensor) -> Tensor:
        return features + skipped


FUSIONS: dict[str, Callable[[int], nn.Module]] = {
    "selective_kernel": SelectiveKernel,
    "concatenation": _Concatenation,
    "sum": lambda _: _Sum(),
}
"""Joins decoder features and skipped features of so many channels."""
