"""Parameters, multiply-adds and file size of a network."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.model import Restorer
from benchmark.model.weight_files import weight_bytes
from reports.schema import ModelCost

REFERENCE_IMAGE = (256, 256)
"""Height and width for which multiply-adds are reported, as is the custom of the field."""


def cost(restorer: Restorer) -> ModelCost:
    """Return what a network costs, unrounded; without the names and citations of its components.

    File sizes are those of safetensors. The network stays as it is.
    """
    return ModelCost(
        params=parameters(restorer),
        macs=macs(restorer, REFERENCE_IMAGE),
        macs_shape=(1, 3, *REFERENCE_IMAGE),
        weight_bytes={dtype: len(weight_bytes(restorer, getattr(torch, dtype))) for dtype in ("float32", "float16")},
    )


def parameters(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def macs(restorer: Restorer, image: tuple[int, int]) -> int:
    """Return the multiply-adds of convolutions and matrix products for one image (height, width).

    They are counted at ATen level on the meta device, so attention products count and nothing is computed; norms,
    activations and resizing do not count. The counter counts two operations for each multiply-add.
    """
    on_meta = copy.deepcopy(restorer).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        on_meta(torch.empty(1, 3, *image, device="meta"))
    return counter.get_total_flops() // 2
