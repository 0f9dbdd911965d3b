"""The encoder-decoder that the U-Nets share: its forward pass, its channels, its upsampling, its fusion of features."""

import copy
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones._folding import difference_of_halves


def unet_forward(
    features: Tensor,
    stages: Sequence[Callable[[Tensor], Tensor]] | nn.ModuleList,
    down: Callable[[int, Tensor], Tensor],
    join: Callable[[int, Tensor, Tensor], Tensor],
) -> Tensor:
    """Run an encoder, a middle stage and a decoder with one skip connection per level.

    Args:
        features: input of the first stage, `B C H W`.
        stages: in the order in which they run: encoder levels, finest first; the middle; decoder levels, coarsest
            first. Their number is odd.
        down: maps a level and the features of its encoder stage to the input of the next coarser stage.
        join: maps a level, the features of the next coarser stage and the skipped features of this level's encoder
            stage to the input of this level's decoder stage.

    Returns:
        Features of the last stage, at the size of the input.
    """
    levels = len(stages) // 2
    skipped: list[Tensor] = []
    for level in range(levels):
        features = stages[level](features)
        skipped.append(features)
        features = down(level, features)
    features = stages[levels](features)
    for level in reversed(range(levels)):
        features = stages[2 * levels - level](join(level, features, skipped.pop()))
    return features


def level_channels(width: int, levels: int, max_width: int | None = None) -> list[int]:
    """Return the channels of `levels` + 1 levels, finest first: `width`, doubled per level, at most `max_width`."""
    return [min(width << level, max_width or width << level) for level in range(levels + 1)]


def pixel_shuffle_up(in_channels: int, out_channels: int, ratio: int = 2, bias: bool = True) -> nn.Sequential:
    """Return a 1x1 convolution and a pixel shuffle: `B in_channels H W` to `B out_channels ratio*H ratio*W`."""
    return nn.Sequential(nn.Conv2d(in_channels, ratio**2 * out_channels, 1, bias=bias), nn.PixelShuffle(ratio))


class SelectiveKernel(nn.Module):
    """Blend of decoder features and skipped features, one weight per channel ("SK fusion" of DehazeFormer and gUNet).

    The weights come from the pooled sum of both inputs. The paper's softmax over two logits is a sigmoid of their
    difference, so the blend is a linear interpolation that needs no concatenation. `select` keeps the logits of both
    inputs, the decoder's first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 8, 4)
        self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)
        self.select = nn.Conv2d(hidden, 2 * channels, 1, bias=False)

    def forward(self, features: Tensor, skipped: Tensor) -> Tensor:
        """Return the blend of decoder features and skipped features, all `B C H W`."""
        of_features, of_skipped = self.select(_squeezed(self.squeeze, features, skipped)).chunk(2, dim=1)
        return torch.lerp(skipped, features, torch.sigmoid(of_features - of_skipped))

    def folded(self) -> nn.Module:
        """Return the same fusion with the difference of the two rows of logits precomputed."""
        return _FoldedSelectiveKernel(self)


class _FoldedSelectiveKernel(nn.Module):
    def __init__(self, fusion: SelectiveKernel) -> None:
        super().__init__()
        self.squeeze = copy.deepcopy(fusion.squeeze)
        self.difference = difference_of_halves(fusion.select)

    def forward(self, features: Tensor, skipped: Tensor) -> Tensor:
        logits = self.difference(_squeezed(self.squeeze, features, skipped))
        return torch.lerp(skipped, features, torch.sigmoid(logits))


def _squeezed(squeeze: nn.Conv2d, features: Tensor, skipped: Tensor) -> Tensor:
    return F.relu(squeeze(features.mean((2, 3), keepdim=True) + skipped.mean((2, 3), keepdim=True)))
