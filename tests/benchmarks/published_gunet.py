"""gUNet as its authors wrote it, operation for operation: what our training step is timed against.

Follows IDKiro/gUNet@defba832 (MIT): reflecting padding in every convolution, even where it pads nothing, and fusion by
a softmax over the concatenated inputs. Written anew; blocks, fusion and names of its own are as plain as there.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn


class PublishedGUNet(nn.Module):
    """gUNet-T: restored image `B 3 H W` of a degraded one; H and W multiples of 8."""

    def __init__(self, width: int = 24, depths: tuple[int, ...] = (2, 2, 2, 4, 2, 2, 2)) -> None:
        super().__init__()
        channels = [width << level for level in range(len(depths) // 2 + 1)]
        steps = list(pairwise(channels))
        self.stem = _reflecting(3, width, 3, padding=1)
        self.stages = nn.ModuleList(
            nn.Sequential(*[_Block(size) for _ in range(depth)])
            for size, depth in zip(channels + channels[-2::-1], depths, strict=True)
        )
        self.skips = nn.ModuleList(nn.Conv2d(fine, fine, 1) for fine, _ in steps)
        self.downs = nn.ModuleList(_reflecting(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.ups = nn.ModuleList(
            nn.Sequential(_reflecting(coarse, 4 * fine, 1), nn.PixelShuffle(2)) for fine, coarse in steps
        )
        self.fusions = nn.ModuleList(_Fusion(fine) for fine, _ in steps)
        self.out = _reflecting(width, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the restored image `B 3 H W` of a degraded one."""
        levels = len(self.downs)
        features, skipped = self.stem(image), list[Tensor]()
        for level in range(levels):
            features = self.stages[level](features)
            skipped.append(self.skips[level](features))
            features = self.downs[level](features)
        features = self.stages[levels](features)
        for level in reversed(range(levels)):
            features = self.fusions[level]([self.ups[level](features), skipped[level]])
            features = self.stages[2 * levels - level](features)
        return self.out(features) + image


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        depthwise = _reflecting(channels, channels, 5, padding=2, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.value = nn.Sequential(nn.Conv2d(channels, channels, 1), depthwise)
        self.gate = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.Sigmoid())
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        normed = self.norm(features)
        return features + self.project(self.value(normed) * self.gate(normed))


class _Fusion(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 8, 4)
        self.logits = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(hidden, 2 * channels, 1, bias=False),
        )

    def forward(self, inputs: list[Tensor]) -> Tensor:
        stacked = torch.cat(inputs, dim=1).unflatten(1, (2, -1))
        weights = self.logits(stacked.sum(1)).unflatten(1, (2, -1)).softmax(1)
        return (stacked * weights).sum(1)


def _reflecting(
    inputs: int, outputs: int, side: int, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, stride, padding, groups=groups, padding_mode="reflect")
