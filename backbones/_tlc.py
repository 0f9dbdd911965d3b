"""Means over windows instead of the whole image: test-time local conversion (TLC) of channel attention.

A network that pools sees statistics of a patch in training. At test time it keeps to them when it takes, for each
pixel, the mean of about as many pixels around it (Chu et al., ECCV 2022, arXiv:2112.04491).
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 1.5
"""Side of the window, in sides of the training patch."""


def window_side(train_size: int, multiple_of: int, level: int) -> int:
    """Side of the window, in pixels of features at 1/2^level of the size.

    `train_size`: side of the training patches in pixels, which the network pads to `multiple_of`.
    """
    side = -(-train_size // multiple_of) * multiple_of >> level
    return side * int(WINDOW * train_size) // train_size


def local_mean(features: Tensor, window: int) -> Tensor:
    """Means `B C H-h+1 W-w+1` of all windows within features `B C H W`.

    h and w are `window`, or the whole side where that is shorter; if both are, it is the mean of the image.
    """
    height, width = features.shape[-2:]
    if _known(height, width) and window >= max(height, width):
        return features.mean((2, 3), keepdim=True)
    high, wide = _shorter(window, height), _shorter(window, width)
    # One side at a time: differences of sums over the whole image would lose digits, as would half precision.
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    sums = _sliding_sum(_sliding_sum(exact, 2, high), 3, wide)
    return (sums / (high * wide)).to(features.dtype)


def spread(values: Tensor, features: Tensor) -> Tensor:
    """Values of windows as one for each pixel of `features`; pixels near the border have those of the outermost window.

    Of an odd number of pixels left over, the right and the bottom get one more. A single value stays as it is, to be
    broadcast.
    """
    rows, columns = values.shape[-2:]
    if _known(rows, columns) and rows == columns == 1:
        return values
    down, right = features.shape[-2] - rows, features.shape[-1] - columns
    return F.pad(values, (right // 2, right - right // 2, down // 2, down - down // 2), mode="replicate")


def _sliding_sum(features: Tensor, dimension: int, length: int) -> Tensor:
    """Sums of all `length` neighbours along a dimension, 2 or 3, which becomes shorter by length - 1."""
    sums = F.pad(features.cumsum(dimension), (0, 0, 1, 0) if dimension == 2 else (1, 0))
    count = features.shape[dimension] - length + 1
    return sums.narrow(dimension, length, count) - sums.narrow(dimension, 0, count)


def _shorter(window: int, side: int) -> int:
    return cast(int, torch.sym_min(window, side))  # min() would compare, which is a branch; see `_known`


def _known(*sides: int) -> bool:
    """Whether sides are numbers: in an export for images of any size they are symbols, on which nothing may branch."""
    return all(type(side) is int for side in sides)
