"""CGNet, or CascadedGaze (Ghasemabadi et al., TMLR 2024): NAFNet's U-Net with wide context in its encoder.

Each block of the encoder shrinks its features through a cascade of small strided convolutions, so that it sees wide
surroundings at low cost. Unlike the authors' code, ours weights and projects the steps of a cascade before it enlarges
them, which gives the same numbers with fewer multiply-adds.
"""

from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Published, Sizes
from backbones._layers import ChannelLayerNorm, check_depths, check_option, check_positive
from backbones._naf_unet import NORM_EPS, MixingBlock, NafUNet, SimpleGate, make_renames
from backbones.nafnet import NAF_PARTS, NafBlock

CASCADES = {2: ((3, 2), (3, 3)), 3: ((3, 2), (3, 3), (5, 4))}
"""Kernel size and stride of the convolutions of a cascade, by their number; none is padded."""
OFFICIAL_PARTS = {
    **NAF_PARTS,
    "project_out": "spatial_project",
    **{
        f"GCE.depthwise_separable_convs.{step}.{part}": f"cascade.{step}.{part}"
        for step in range(max(CASCADES))
        for part in ("depthwise", "pointwise")
    },
}
"""Names of the parts of a block: in the reference implementation, and here."""


class CGNet(NafUNet):
    """U-Net with global context in every block of the encoder (paper, section 3); middle and decoder are NAFNet's.

    A block of the encoder sums the two halves of its channels, shrinks the sum step by step, enlarges every step by
    nearest neighbour and puts it beside its own channels. Levels double in channels and halve in size; skip connections
    are added. The features are those before the output convolution, `width` channels.

    Args:
        width: channels at full resolution.
        depths: blocks per stage: encoder levels, middle, decoder levels; its odd length sets the number of levels.
        cascade: steps of the cascade in the blocks of each encoder level, 2 or 3. A cascade of 2 steps needs a side of
            at least 7 pixels at its level, one of 3 steps at least 31.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@article{ghasemabadi2024cascadedgaze,
  title = {{CascadedGaze}: Efficiency in Global Context Extraction for Image Restoration},
  author = {Ghasemabadi, Amirhosein and Janjua, Muhammad Kamran and Salameh, Mohammad and Zhou, Chunhua and Sun, Fengyu
    and Niu, Di},
  journal = {Transactions on Machine Learning Research},
  year = {2024}
}"""
    origin = (
        "arXiv:2401.15235; reference implementation Ascend-Research/CascadedGaze@0daa9844 (MIT), whose weights fit "
        "after renaming. The steps of a cascade are weighted and projected before they are enlarged, not after, which "
        "gives the same numbers with fewer multiply-adds. Size sidd is published; small and tiny are our choices. Left "
        "out are the authors' larger network for Gaussian noise (cascades of up to 4 steps) and the one with several "
        "outputs for GoPro."
    )
    sizes: ClassVar[Sizes] = {
        "sidd": {"width": 60, "depths": (2, 2, 4, 6, 10, 2, 2, 2, 2), "cascade": (3, 3, 2, 2)},
        "small": {"width": 16, "depths": (1, 1, 2, 2, 1, 1, 1, 1, 1), "cascade": (3, 3, 2, 2)},
        "tiny": {"width": 6, "depths": (1, 1, 1, 1, 1, 1, 1), "cascade": (3, 2, 2)},
    }
    published = Published(
        keys=partial(make_renames, parts=OFFICIAL_PARTS), head={"name": "residual", "padding": "zeros"}
    )

    def __init__(
        self,
        width: int = 60,
        depths: tuple[int, ...] = (2, 2, 4, 6, 10, 2, 2, 2, 2),
        cascade: tuple[int, ...] = (3, 3, 2, 2),
    ) -> None:
        check_positive("cgnet", width=width)
        check_depths("cgnet", depths)
        levels = len(depths) // 2
        check_option(
            *("cgnet", "cascade", cascade, len(cascade) == levels and set(cascade) <= set(CASCADES)),
            requirement=f"depths has {levels} encoder levels, so it must hold {levels} times 2 or 3",
        )

        def make_block(stage: int, channels: int) -> nn.Module:
            in_encoder = stage < len(cascade)
            return _CascadeBlock(channels, cascade[stage]) if in_encoder else NafBlock(channels, "naf", 2, window=None)

        super().__init__(width, depths, make_block)
        least = max([1, *(_least_side(steps) << level for level, steps in enumerate(cascade))])
        self.min_side = -(-least // self.multiple_of) * self.multiple_of


class _CascadeBlock(MixingBlock):
    """Block of the encoder: a cascade of contexts with channel attention, then channel mixing."""

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        gathered = (2 + steps) * channels
        self.splits = [2 * channels, *[channels] * steps]
        self.spatial_norm = ChannelLayerNorm(channels, NORM_EPS)
        self.spatial_expand = nn.Conv2d(channels, 2 * channels, 1)
        self.depthwise = nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2 * channels)
        self.cascade = nn.ModuleList(_Step(channels, kernel, stride) for kernel, stride in CASCADES[steps])
        self.attention = nn.Conv2d(gathered, gathered, 1)
        self.spatial_project = nn.Conv2d(gathered, channels, 1)
        self.add_channel_mixing(channels, 2 * channels, SimpleGate())

    def mix_pixels(self, normed: Tensor) -> Tensor:
        mixed = F.gelu(self.depthwise(self.spatial_expand(normed)))
        first, second = mixed.chunk(2, dim=1)
        contexts = [first + second]
        for step in self.cascade:
            contexts.append(step(contexts[-1]))
        return self._fuse(mixed, contexts[1:])

    def _fuse(self, mixed: Tensor, contexts: list[Tensor]) -> Tensor:
        """Apply channel attention and projection to the features and all contexts (paper: range fusion).

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
    """Step of a cascade: a strided depthwise convolution, a 1x1 convolution, GELU."""

    def __init__(self, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel_size, stride, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return F.gelu(self.pointwise(self.depthwise(features)))


def _mean_when_enlarged(features: Tensor, height: int, width: int) -> Tensor:
    """Return the mean `B C 1 1` of features after enlargement by nearest neighbour to `height` x `width`."""
    rows, columns = (
        _shares(small, large, features) for small, large in zip(features.shape[-2:], (height, width), strict=True)
    )
    # In float32 like the shares; a network in half precision goes on in half precision.
    return (features * (rows[:, None] * columns)).sum((2, 3), keepdim=True).to(features.dtype)


def _shares(small: int, large: int, like: Tensor) -> Tensor:
    """Return the share of `large` positions that nearest neighbour fills from each of `small` positions."""
    positions = torch.arange(small, dtype=torch.float32, device=like.device).view(1, 1, small)
    # Counted with the kernel that enlarges the features, because its indices are rounded.
    sources = F.interpolate(positions, size=large, mode="nearest").view(large).long()
    counts = torch.ones(large, device=like.device)
    return torch.zeros(small, device=like.device).scatter_add(0, sources, counts) / large


def _least_side(steps: int) -> int:
    """Return the smallest side in pixels that leaves the last step of a cascade one pixel."""
    side = 1
    for kernel, stride in reversed(CASCADES[steps]):
        side = (side - 1) * stride + kernel
    return side
