"""Attention among the pixels of each window, on `B H W C`: what SwinIR, Uformer, DehazeFormer and in part ESC share."""

import torch
from torch import Tensor, nn

INITIAL_STD = 0.02
"""Deviation of the initial weights of linear layers and of the bias per offset."""
_MASKED_SCORE = -100.0
"""Added to the score of two pixels that must not attend to each other."""


class WindowAttention(nn.Module):
    """Multi-head attention within windows, with a learned bias per offset between two pixels (Swin: Liu et al., 2021).

    With a shift, the image rolls up and left; pixels that come from opposite sides of it do not attend to each other.
    Only the last row and the last column of windows hold such pixels. Subclasses make query, key and value.

    Args:
        channels: channels of the features; a multiple of `heads`.
        heads: attention heads.
        window: side of the windows in pixels.
        shift: by how many pixels the grid of windows is shifted; 0 for none.
    """

    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shift = shift
        self.project = linear(channels, channels)
        self.offset_bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.offset_bias, std=INITIAL_STD)
        row, column = _positions(window)
        self.offset_index = nn.Buffer(offset_index(window).flatten(), persistent=False)
        # The masks do not depend on the size of the image.
        self.mask_of_last_row, self.mask_of_last_column = (
            nn.Buffer(_MASKED_SCORE * _differences((position >= window - shift).float()).abs(), persistent=False)
            for position in (row, column)
        )

    def shifted(self, features: Tensor) -> Tensor:
        """Return the image `B H W C`, rolled up and left by the shift."""
        return features.roll((-self.shift, -self.shift), (1, 2)) if self.shift else features

    def shifted_back(self, features: Tensor) -> Tensor:
        """Undo `shifted`."""
        return features.roll((self.shift, self.shift), (1, 2)) if self.shift else features

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Return attended features from query, key and value, all `B H W C`; H and W multiples of the window."""
        queries, keys, values = (split_windows(tensor, self.window, self.heads) for tensor in (query, key, value))
        pixels = self.window**2
        bias = self.offset_bias[self.offset_index].view(pixels, pixels, self.heads).permute(2, 0, 1)
        scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-2, -1) + bias
        if self.shift:
            # In place, because the last row and column are a small part of all windows.
            scores[:, -1] += self.mask_of_last_row
            scores[:, :, -1] += self.mask_of_last_column
        return self.project(merge_windows(scores.softmax(dim=-1) @ values, self.window))


def offset_index(side: int) -> Tensor:
    """Return the number of the offset of each pixel of a window from each other one, `side^2 side^2` integers.

    Offsets count from 0 along the rows: from -(side - 1), -(side - 1) to side - 1, side - 1.
    """
    row, column = _positions(side)
    return (_differences(row) + side - 1) * (2 * side - 1) + _differences(column) + side - 1


def split_windows(features: Tensor, side: int, heads: int) -> Tensor:
    """Return features `B H W C` as windows `B rows columns heads side^2 C/heads`; H and W multiples of `side`."""
    batch, height, width, channels = features.shape
    windows = features.reshape(batch, height // side, side, width // side, side, heads, channels // heads)
    return windows.permute(0, 1, 3, 5, 2, 4, 6).flatten(4, 5)


def merge_windows(windows: Tensor, side: int) -> Tensor:
    """Undo `split_windows`: return `B rows columns heads side^2 C/heads` as `B H W C`."""
    pixels = windows.unflatten(4, (side, side)).permute(0, 1, 4, 2, 5, 3, 6)
    return pixels.flatten(5).flatten(3, 4).flatten(1, 2)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer with the small initial weights of transformers, and zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(layer.weight, std=INITIAL_STD)
    nn.init.zeros_(layer.bias)
    return layer


def _positions(side: int) -> tuple[Tensor, Tensor]:
    """Return row and column of each pixel of a window, counted along its rows."""
    pixels = torch.arange(side**2)
    return pixels // side, pixels % side


def _differences(positions: Tensor) -> Tensor:
    """Return the differences `N N`: position of the first minus position of the second."""
    return positions[:, None] - positions[None, :]
