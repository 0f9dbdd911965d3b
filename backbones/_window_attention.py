"""Attention among the pixels of each window of an image, on `B H W C`."""

import torch
from torch import Tensor, nn

INITIAL_STD = 0.02
"""Of linear layers and of the bias per offset."""
_OUTSIDE = -100.0
"""Added to the score of two pixels that must not see each other."""


class WindowAttention(nn.Module):
    """Multi-head attention within windows, with a learned bias per offset between two pixels (Swin: Liu et al., 2021).

    With a shift the image moves up and left, what leaves it comes in at the other side, and pixels from opposite sides
    do not see each other. Only the last row and the last column of windows hold such pixels. Query, key and value are
    the subclass's.
    """

    seen_offset: Tensor
    apart_in_last_row: Tensor
    apart_in_last_column: Tensor

    def __init__(self, channels: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shift = shift
        self.project = linear(channels, channels)
        self.offset_bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.offset_bias, std=INITIAL_STD)
        row, column = torch.arange(window**2) // window, torch.arange(window**2) % window
        offsets = (_differences(row) + window - 1) * (2 * window - 1) + _differences(column) + window - 1
        self.register_buffer("seen_offset", offsets.flatten(), persistent=False)
        # The same for an image of any size, so nothing is made or kept per size.
        for name, position in (("apart_in_last_row", row), ("apart_in_last_column", column)):
            is_moved = (position >= window - shift).float()
            self.register_buffer(name, _OUTSIDE * _differences(is_moved).abs(), persistent=False)

    def moved(self, features: Tensor) -> Tensor:
        """The image up and left by the shift."""
        return features.roll((-self.shift, -self.shift), (1, 2)) if self.shift else features

    def moved_back(self, features: Tensor) -> Tensor:
        return features.roll((self.shift, self.shift), (1, 2)) if self.shift else features

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Features `B H W C` of the same; H and W multiples of the window."""
        queries, keys, values = (self._windows(features) for features in (query, key, value))
        scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-2, -1) + self._bias()
        if self.shift:
            # In place: the last row and column are a small part of all windows.
            scores[:, -1] += self.apart_in_last_row
            scores[:, :, -1] += self.apart_in_last_column
        return self.project(self._image(scores.softmax(dim=-1) @ values, query))

    def _bias(self) -> Tensor:
        pixels = self.window**2
        return self.offset_bias[self.seen_offset].view(pixels, pixels, self.heads).permute(2, 0, 1)

    def _windows(self, features: Tensor) -> Tensor:
        """`B H W C` as `B rows columns heads window^2 C/heads`."""
        batch, height, width, channels = features.shape
        side = self.window
        cut = features.reshape(batch, height // side, side, width // side, side, self.heads, channels // self.heads)
        return cut.permute(0, 1, 3, 5, 2, 4, 6).flatten(4, 5)

    def _image(self, windows: Tensor, like: Tensor) -> Tensor:
        """`B rows columns heads window^2 C/heads` as `B H W C`, the shape of `like`."""
        cut = windows.unflatten(4, (self.window, self.window))
        return cut.permute(0, 1, 4, 2, 5, 3, 6).reshape(like.shape)


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with the small weights that transformers begin with."""
    layer = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(layer.weight, std=INITIAL_STD)
    nn.init.zeros_(layer.bias)
    return layer


def _differences(positions: Tensor) -> Tensor:
    """`N N`: position of the first minus that of the second."""
    return positions[:, None] - positions[None, :]
