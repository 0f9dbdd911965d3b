"""The whole way of an image: 8 bits in, 8 bits out."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.model.restorer import Restorer
from heads import Restoration


@torch.inference_mode()
def restore_image(restorer: Restorer, degraded: NDArray[np.uint8], device: torch.device) -> NDArray[np.uint8]:
    """The restored image, `H W 3` uint8, of a degraded one: clamped to [0, 1] and rounded to 8 bits."""
    return to_image(restorer(to_tensor(degraded, device)))


@torch.inference_mode()
def restore_with_maps(
    restorer: Restorer, degraded: NDArray[np.uint8], device: torch.device
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.float32]]]:
    """What `restore_image` gives, and the maps that were predicted on the way, float32 `H W C` by name."""
    restoration = restorer(to_tensor(degraded, device))
    maps = {name: value[0].float().permute(1, 2, 0).cpu().numpy() for name, value in restoration.maps.items()}
    return to_image(restoration), maps


def to_tensor(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """`1 3 H W` float32 in [0, 1] of an image `H W 3` uint8. The bytes cross to the device, not the floats."""
    channels_first = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)
    return channels_first.float().div_(255).unsqueeze(0).contiguous()


def to_image(restoration: Restoration) -> NDArray[np.uint8]:
    """The first restored image of a batch as `H W 3` uint8."""
    levels = restoration.image[0].float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()
