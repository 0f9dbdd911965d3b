"""CGNet (CascadedGaze): NAFNet's U, whose encoder sees wide surroundings through a cascade of small convolutions."""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Published
from backbones._folding import affine_before, scale_after, split_affine
from backbones._layers import ChannelLayerNorm, check_depths, check_positive
from backbones._naf_unet import (
    NAF_PARTS,
    NORM_EPS,
    NafBlock,
    SimpleGate,
    add_scaled,
    make_downs,
    make_renames,
    make_ups,
    run_through,
)

CASCADES = {2: ((3, 2), (3, 3)), 3: ((3, 2), (3, 3), (5, 4))}
"""Kernel size and stride of the convolutions of a cascade, by how many there are; none is padded."""
OFFICIAL_PARTS = {
    **NAF_PARTS,
    "project_out": "spatial_project",
    **{
        f"GCE.depthwise_separable_convs.{step}.{part}": f"cascade.{step}.{part}"
        for step in range(max(CASCADES))
        for part in ("depthwise", "pointwise")
    },
}


class CGNet(Backbone):
    """U-Net with global context in every block of the encoder (paper, section 3); middle and decoder are NAFNet's.

    A block of the encoder sums both halves of its channels, shrinks them step by step, and puts every step, enlarged by
    nearest neighbour, beside its own channels. Levels double in channels and halve in size; skip connections are added.
    Features are those before the output convolution, `width` channels.

    Options:
        width: channels at full resolution.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels.
        cascade: steps of the cascade in the blocks of each encoder level, 2 or 3. Every step of a cascade needs room:
            a side of 7 pixels for 2 steps and of 31 for 3, at its level.

    Raises:
        ValueError: an option is outside what it allows.
    """

    citation: ClassVar[str] = """@article{ghasemabadi2024cascadedgaze,
  title = {{CascadedGaze}: Efficiency in Global Context Extraction for Image Restoration},
  author = {Ghasemabadi, Amirhosein and Janjua, Muhammad Kamran and Salameh, Mohammad and Zhou, Chunhua and Sun, Fengyu
    and Niu, Di},
  journal = {Transactions on Machine Learning Research},
  year = {2024}
}"""
    origin: ClassVar[str] = (
        "arXiv:2401.15235; reference implementation Ascend-Research/CascadedGaze@0daa9844 (MIT), whose weights fit "
        "after renaming. The steps of a cascade are weighted and projected before they are enlarged, not after, which "
        "gives the same numbers with fewer multiply-adds. Size sidd is published; small and tiny are our choices."
    )
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "sidd": {"width": 60, "depths": (2, 2, 4, 6, 10, 2, 2, 2, 2), "cascade": (3, 3, 2, 2)},
        "small": {"width": 16, "depths": (1, 1, 2, 2, 1, 1, 1, 1, 1), "cascade": (3, 3, 2, 2)},
        "tiny": {"width": 6, "depths": (1, 1, 1, 1, 1, 1, 1), "cascade": (3, 2, 2)},
    }
    pad_mode: ClassVar[Literal["reflect", "zeros"]] = "zeros"
    published: ClassVar[Published | None] = Published(
        keys=partial(make_renames, parts=OFFICIAL_PARTS), head={"name": "residual", "padding": "zeros"}
    )

    def __init__(
        self,
        width: int = 60,
        depths: tuple[int, ...] = (2, 2, 4, 6, 10, 2, 2, 2, 2),
        cascade: tuple[int, ...] = (3, 3, 2, 2),
    ) -> None:
        super().__init__()
        _check_options(width, depths, cascade)
        levels = len(depths) // 2
        channels = [width << level for level in range(levels + 1)]

        def stage(index: int) -> nn.Sequential:
            size = channels[min(index, 2 * levels - index)]
            if index < levels:
                return nn.Sequential(*[_CascadeBlock(size, cascade[index]) for _ in range(depths[index])])
            return nn.Sequential(*[NafBlock(size, "naf", 2, window=None) for _ in range(depths[index])])

        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.stages = nn.ModuleList(map(stage, range(len(depths))))
        self.downs, self.ups = make_downs(channels), make_ups(channels)

        self.out_channels = width
        self.multiple_of = 2**levels
        least = max([1, *(_least_side(steps) << level for level, steps in enumerate(cascade))])
        self.min_side = -(-least // self.multiple_of) * self.multiple_of

    def forward(self, image: Tensor) -> Tensor:
        """Features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        return run_through(self.stem(image), self.stages, self.downs, self.ups)


class _CascadeBlock(nn.Module):
    """Two residual halves: spatial mixing with a cascade of contexts, then gated channel mixing.

    Both are scaled by `beta` and `gamma`, which start at zero: a fresh block is the identity. A folded block has
    neither, as they are in the projections.
    """

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        gathered = (2 + steps) * channels
        self.splits = [2 * channels, *[channels] * steps]
        self.spatial_norm: nn.Module = ChannelLayerNorm(channels, NORM_EPS)
        self.spatial_expand = nn.Conv2d(channels, 2 * channels, 1)
        self.depthwise = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.cascade = nn.ModuleList(_Step(channels, kernel, stride) for kernel, stride in CASCADES[steps])
        self.attention = nn.Conv2d(gathered, gathered, 1)
        self.spatial_project = nn.Conv2d(gathered, channels, 1)
        self.channel_norm: nn.Module = ChannelLayerNorm(channels, NORM_EPS)
        self.channel_expand = nn.Conv2d(channels, 2 * channels, 1)
        self.activation = SimpleGate()
        self.channel_project = nn.Conv2d(channels, channels, 1)
        self.beta: nn.Parameter | None = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma: nn.Parameter | None = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        mixed = F.gelu(self.depthwise(self.spatial_expand(self.spatial_norm(features))))
        features = add_scaled(features, self._fuse(mixed, self._contexts(mixed)), self.beta)
        mixed = self.channel_project(self.activation(self.channel_expand(self.channel_norm(features))))
        return add_scaled(features, mixed, self.gamma)

    def folded(self) -> nn.Module:
        """With what the norms scale and shift in the 1x1 convolutions behind them, the scales in the projections."""
        if self.beta is None or self.gamma is None:
            return self
        block = copy.deepcopy(self)
        block.spatial_norm, scale, shift = split_affine(self.spatial_norm)
        block.spatial_expand = affine_before(self.spatial_expand, scale, shift)
        block.spatial_project = scale_after(self.spatial_project, self.beta)
        block.channel_norm, scale, shift = split_affine(self.channel_norm)
        block.channel_expand = affine_before(self.channel_expand, scale, shift)
        block.channel_project = scale_after(self.channel_project, self.gamma)
        block.beta = block.gamma = None
        return block

    def _contexts(self, mixed: Tensor) -> list[Tensor]:
        first, second = mixed.chunk(2, dim=1)
        contexts = [first + second]
        for step in self.cascade:
            contexts.append(step(contexts[-1]))
        return contexts[1:]

    def _fuse(self, mixed: Tensor, contexts: list[Tensor]) -> Tensor:
        """Channel attention on, and projection of, the features and all contexts in their size (paper: range fusion).

        A 1x1 convolution and a weight per channel commute with nearest neighbour, so the contexts are enlarged last:
        the large tensor of all channels never exists.
        """
        sides = mixed.shape[-2:]
        means = [mixed.mean((2, 3), keepdim=True), *(_mean_when_enlarged(context, *sides) for context in contexts)]
        weights = self.attention(torch.cat(means, dim=1)).split(self.splits, dim=1)
        own, *others = self.spatial_project.weight.split(self.splits, dim=1)
        fused = F.conv2d(mixed * weights[0], own, self.spatial_project.bias)
        for context, weight, projection in zip(contexts, weights[1:], others, strict=True):
            fused = fused + F.interpolate(F.conv2d(context * weight, projection), size=sides, mode="nearest")
        return fused


class _Step(nn.Module):
    """One step of a cascade: a depthwise convolution with stride, a 1x1 convolution, GELU."""

    def __init__(self, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel_size, stride, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return F.gelu(self.pointwise(self.depthwise(features)))


def _mean_when_enlarged(features: Tensor, height: int, width: int) -> Tensor:
    """Mean `B C 1 1` that features would have if nearest neighbour enlarged them to the sides given."""
    rows, columns = (
        _shares(small, large, features) for small, large in zip(features.shape[-2:], (height, width), strict=True)
    )
    return (features * (rows[:, None] * columns)).sum((2, 3), keepdim=True)


def _shares(small: int, large: int, like: Tensor) -> Tensor:
    """Which share of `large` positions nearest neighbour gives to each of `small` ones; they differ by one position."""
    places = torch.arange(small, dtype=torch.float32, device=like.device).view(1, 1, small)
    # By the same kernel that enlarges the features: its indices are rounded.
    sources = F.interpolate(places, size=large, mode="nearest").view(large).long()
    counted = torch.ones(large, device=like.device)
    return torch.zeros(small, device=like.device).scatter_add(0, sources, counted) / large


def _least_side(steps: int) -> int:
    """Smallest side that leaves a cascade one pixel."""
    side = 1
    for kernel, stride in reversed(CASCADES[steps]):
        side = (side - 1) * stride + kernel
    return side


def _check_options(width: int, depths: tuple[int, ...], cascade: tuple[int, ...]) -> None:
    check_positive("cgnet", width=width)
    check_depths("cgnet", depths)
    levels = len(depths) // 2
    if len(cascade) != levels or not set(cascade) <= set(CASCADES):
        raise ValueError(
            f"cgnet: cascade is {list(cascade)}; depths has {levels} encoder levels, so it must hold {levels} times 2 "
            "or 3"
        )
