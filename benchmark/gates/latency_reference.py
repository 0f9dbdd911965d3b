"""The reference network: the same everywhere, so that its time says how fast a machine is, and how busy."""

import torch
from torch import nn

from backbones import Backbone
from benchmark.model import Restorer
from heads.residual import Residual

REFERENCE_SIZE = (256, 256)
"""Height and width of the reference network's images, whatever the size of the others, so that it takes little time."""


class _Convolutions(Backbone):
    citation = ""
    origin = "ours: nothing but convolutions, so that no version of a library makes it another network"

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = 16
        layers = [nn.Conv2d(3, 16, 3, padding=1), *(nn.Conv2d(16, 16, 3, padding=1) for _ in range(3))]
        self.layers = nn.Sequential(*(module for layer in layers for module in (layer, nn.ReLU())))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image)


def make_reference() -> Restorer:
    """Return the reference network: the same weights everywhere; half a billion multiply-adds an image."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Restorer(_Convolutions(), Residual(16)).eval()
