"""Parameters, multiply-adds and file size of a network."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.model import Restorer
from benchmark.model.weight_files import weight_bytes

REFERENCE_IMAGE = (256, 256)
"""Height and width for which multiply-adds are reported; the field's custom."""


@dataclass(frozen=True)
class Cost:
    """Integers, unrounded. `macs` are for one image of `macs_shape`; bytes are of the safetensors file."""

    params: int
    macs: int
    macs_shape: tuple[int, int, int, int]
    float32_bytes: int
    float16_bytes: int


def cost(restorer: Restorer) -> Cost:
    return Cost(
        params=parameters(restorer),
        macs=macs(restorer, REFERENCE_IMAGE),
        macs_shape=(1, 3, *REFERENCE_IMAGE),
        float32_bytes=len(weight_bytes(restorer, torch.float32)),
        float16_bytes=len(weight_bytes(restorer, torch.float16)),
    )


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def macs(restorer: Restorer, image: tuple[int, int]) -> int:
    """Multiply-adds of convolutions and matrix products for one image (height, width).

    Counted at ATen level on the meta device, so attention products count and nothing is computed; norms, activations
    and resizing do not count. The counter counts two operations for each multiply-add.
    """
    on_meta = copy.deepcopy(restorer).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        on_meta(torch.empty(1, 3, *image, device="meta"))
    return counter.get_total_flops() // 2
