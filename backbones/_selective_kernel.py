"""The fusion by which gUNet and DehazeFormer join their decoder with a skip connection."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones._folding import difference_of_halves


class SelectiveKernel(nn.Module):
    """Per-channel blend of two inputs, chosen from their pooled sum ("SK fusion" of DehazeFormer and gUNet).

    A softmax over two logits is a sigmoid of their difference, so the blend is a linear interpolation: neither
    concatenation nor stack. `select` keeps both rows of logits, the decoder's first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 8, 4)
        self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)
        self.select = nn.Conv2d(hidden, 2 * channels, 1, bias=False)

    def forward(self, features: Tensor, skipped: Tensor) -> Tensor:
        pooled = features.mean((2, 3), keepdim=True) + skipped.mean((2, 3), keepdim=True)
        of_features, of_skipped = self.select(F.relu(self.squeeze(pooled))).chunk(2, dim=1)
        return torch.lerp(skipped, features, torch.sigmoid(of_features - of_skipped))

    def folded(self) -> nn.Module:
        """With the difference of the two rows precomputed."""
        return _Folded(self)


class _Folded(nn.Module):
    def __init__(self, fusion: SelectiveKernel) -> None:
        super().__init__()
        self.squeeze = copy.deepcopy(fusion.squeeze)
        self.difference = difference_of_halves(fusion.select)

    def forward(self, features: Tensor, skipped: Tensor) -> Tensor:
        pooled = features.mean((2, 3), keepdim=True) + skipped.mean((2, 3), keepdim=True)
        weight = torch.sigmoid(self.difference(F.relu(self.squeeze(pooled))))
        return torch.lerp(skipped, features, weight)
