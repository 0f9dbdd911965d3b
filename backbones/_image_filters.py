"""Filters that a network makes for each image: every image of a batch is filtered with weights of its own."""

from itertools import product

import torch
from torch import Tensor


def filter_images(padded: Tensor, filters: Tensor, dilation: int = 1) -> Tensor:
    """Filter every channel of every image by sums of weighted, shifted features.

    A grouped convolution would do the same in about the same time on a CPU, but its number of groups fixes the batch in
    an export, and not every runtime takes weights that are computed.

    Args:
        padded: features with what lies beyond their border, `B C H' W'`.
        filters: `B G rows columns`; G divides C. Each filter serves C / G neighbouring channels.
        dilation: distance in pixels of the neighbours that a filter weights.

    Returns:
        `B C H W`, smaller than the padded features by what the filters span.
    """
    rows, columns = filters.shape[2:]
    height, width = (
        side - dilation * (taps - 1) for side, taps in zip(padded.shape[2:], filters.shape[2:], strict=True)
    )
    weights = filters.repeat_interleave(padded.shape[1] // filters.shape[1], dim=1)
    filtered = torch.zeros((), dtype=padded.dtype, device=padded.device)
    for row, column in product(range(rows), range(columns)):
        top, left = row * dilation, column * dilation
        shifted = padded[..., top : top + height, left : left + width]
        filtered = torch.addcmul(filtered, shifted, weights[:, :, row, column, None, None])
    return filtered
