"""Bilateral grid, after HDRNet (Gharbi et al., SIGGRAPH 2017): colour transforms computed on a small image.

A network sees the image at low resolution and predicts a coarse grid over place and brightness; each pixel of the full
image looks up its own affine transform there. What varies slowly, as light and exposure do, costs little; edges stay
sharp, because pixels of different brightness on both sides look up different transforms.
"""

from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones import Backbone, Sizes
from backbones._layers import ResidualBlock, check_option, check_positive

KNOTS = 4
"""Pieces of the curve that maps each colour to the guide."""
TERMS = 4
"""Of an affine transform of three colours: one factor each and a constant."""


class BilateralGrid(Backbone):
    """Affine transforms of the colours, looked up in a grid by place and by a learned guide.

    The features of a pixel are affine functions of its own colour alone: the network sees nothing smaller than a cell
    but by the guide, so it restores gains, not spots. Behind head degradation, K and D are read from these features.

    Args:
        width: affine functions per pixel, which are the channels of the features.
        low_width: channels of the first convolution on the small image; every later halving doubles them.
        depth: residual blocks at the size of the grid.
        bins: steps of the grid along the guide, from dark to bright.
        cell: pixels of the image per cell of the grid, along each side; `shrink` times a power of two.
        shrink: pixels of the image per pixel of the small image, along each side.

    Raises:
        ValueError: an option is outside its allowed range.
    """

    citation = """@article{gharbi2017deep,
  title = {Deep Bilateral Learning for Real-Time Image Enhancement},
  author = {Gharbi, Micha\\"el and Chen, Jiawen and Barron, Jonathan T. and Hasinoff, Samuel W. and Durand, Fr\\'edo},
  journal = {ACM Transactions on Graphics (SIGGRAPH)},
  volume = {36},
  number = {4},
  year = {2017}
}"""
    origin = (
        "arXiv:1707.02880; written from the paper, not from the authors' code; their weights do not fit. From the "
        "paper: local and global features of a small image, the grid, the guide made of curves of the colours, "
        "trilinear look-up. Ours: the small image is in proportion to the image instead of 256 x 256 pixels, so the "
        "grid grows with it; global features are a mean, so any size fits; residual blocks; the looked-up functions "
        "are features for the head, not the image; all sizes."
    )
    sizes: ClassVar[Sizes] = {
        "small": {"width": 12, "low_width": 64, "depth": 3},
        "tiny": {"width": 4, "low_width": 12, "depth": 2},
    }

    def __init__(
        self,
        width: int = 12,
        low_width: int = 64,
        depth: int = 3,
        bins: int = 8,
        cell: int = 16,
        shrink: int = 4,
    ) -> None:
        super().__init__()
        check_positive("bilateral_grid", width=width, low_width=low_width, depth=depth, bins=bins, shrink=shrink)
        halvings = max(cell // shrink, 1).bit_length() - 1
        check_option(
            *("bilateral_grid", "cell", cell, cell == shrink << halvings and halvings >= 1),
            requirement=f"it must be shrink ({shrink}) times 2, 4, 8, ...",
        )
        self.bins = bins
        self.cell = cell
        self.shrink = shrink
        channels = [3, *(low_width << step for step in range(halvings))]
        self.entry = nn.Sequential(
            *[
                layer
                for fine, coarse in pairwise(channels)
                for layer in (nn.Conv2d(fine, coarse, 3, stride=2, padding=1), nn.ReLU(inplace=True))
            ]
        )
        size = channels[-1]
        self.local = nn.Sequential(*[ResidualBlock(size, F.relu) for _ in range(depth)])
        self.around = nn.Sequential(nn.Conv2d(size, size, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.whole = nn.Sequential(nn.Conv2d(size, size, 1), nn.ReLU(inplace=True), nn.Conv2d(size, size, 1))
        self.grid = nn.Conv2d(size, bins * TERMS * width, 1)
        self.guide = _Guide()

        self.out_channels = width
        self.multiple_of = self.min_side = cell

    def forward(self, image: Tensor) -> Tensor:
        """Return features `B width H W` of an image `B 3 H W` in [0, 1]; H and W multiples of `multiple_of`."""
        small = F.avg_pool2d(image.contiguous(memory_format=torch.channels_last), self.shrink)
        entered = self.entry(small)
        whole = self.whole(self.around(entered).mean((2, 3), keepdim=True))
        grid = self.grid(F.relu(self.local(entered) + whole))
        return apply_affine(self.look_up(grid, self.guide(image)), image)

    def look_up(self, grid: Tensor, guide: Tensor) -> Tensor:
        """Return the value of a grid for each pixel, linear in place and guide; the border repeats the outermost cells.

        Args:
            grid: `B bins*C H/cell W/cell`, the channels of the darkest bin first.
            guide: `B 1 H W`, 0 for dark to 1 for bright; values beyond are clamped.

        Returns:
            `B C H W`.
        """
        position = (guide * self.bins - 0.5).clamp(0, self.bins - 1)
        planes = grid.chunk(self.bins, dim=1)
        values = torch.zeros_like(guide)
        for index, plane in enumerate(planes):
            # Bin by bin: all enlarged bins at once would need that many times the memory.
            enlarged = F.interpolate(plane, scale_factor=float(self.cell), mode="bilinear", align_corners=False)
            values = values + enlarged * F.relu(1 - (position - index).abs())
        return values


class _Guide(nn.Module):
    """Sum of a piecewise linear curve per colour, after a mix of colours; at first, the mean of the colours.

    As two 1x1 convolutions, which may leave that form in training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.curves = nn.Conv2d(3, 3 * KNOTS, 1)
        self.total = nn.Conv2d(3 * KNOTS, 1, 1)
        first_pieces = torch.arange(3 * KNOTS) % KNOTS == 0
        self.curves.weight.data = torch.eye(3).repeat_interleave(KNOTS, 0).view(3 * KNOTS, 3, 1, 1)
        self.curves.bias = nn.Parameter(-(torch.arange(KNOTS) / KNOTS).repeat(3))
        self.total.weight.data = first_pieces.view(1, -1, 1, 1) / 3
        self.total.bias = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> Tensor:
        """Return the guide `B 1 H W` of an image `B 3 H W`."""
        return self.total(F.relu(self.curves(image)))


def apply_affine(coefficients: Tensor, image: Tensor) -> Tensor:
    """Return affine functions of each pixel's colour.

    Args:
        coefficients: `B 4*C H W`: all factors of red, those of green, those of blue, then the constants.
        image: `B 3 H W`.

    Returns:
        `B C H W`.
    """
    *factors, constants = coefficients.chunk(TERMS, dim=1)
    for factor, colour in zip(factors, image.split(1, dim=1), strict=True):
        constants = torch.addcmul(constants, factor, colour)
    return constants
