"""A network prepared for inference: the restored image alone, for images of one size on one device."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.model import Restorer
from benchmark.model.restorer import to_image, to_tensor
from heads import Restoration
from reports.schema import Dtype


class ImageNetwork(nn.Module):
    """A Restorer for inference: returns the restored image alone, without maps, clamped to [0, 1].

    Holds a copy of the restorer, in eval mode and without gradients, with weights and features in `dtype`.
    """

    def __init__(self, restorer: Restorer, dtype: Dtype = "float32") -> None:
        """Copy a restorer; it stays as it is."""
        super().__init__()
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.restorer = copy.deepcopy(restorer).requires_grad_(False).to(self.dtype)
        self.eval()

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image of a degraded one, both `B 3 H W` float32 in [0, 1]."""
        return self.restorer(degraded.to(self.dtype)).image.float().clamp(0, 1)


class LevelsNetwork(ImageNetwork):
    """A Restorer for inference on images as files hold them: 8-bit levels, the channels of a pixel side by side."""

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image of a degraded one, both `B H W 3` uint8."""
        unit = super().forward(degraded.permute(0, 3, 1, 2).float() / 255)
        return (unit * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


AnyImage = NDArray[np.uint8] | NDArray[np.float32]
"""`H W 3`, RGB: 8-bit levels, or float32 in [0, 1]."""


@dataclass(frozen=True)
class PreparedNetwork:
    """A network that a runtime prepared for images of one size on one device, in its three steps."""

    to_input: Callable[[AnyImage], Any]
    """From an image on the host, `H W 3`, to the input of the network, on its device. Raises ValueError for an image of
    another size."""
    network: Callable[[Any], Any]
    """The network alone. On a GPU it may return before it is done. The next call may overwrite its output."""
    to_restored: Callable[[Any], Tensor]
    """From the output to the restored image `1 3 H W` in [0, 1], on any device."""

    def to_image(self, output: Any) -> NDArray[np.uint8]:
        """Return the output of the network as an image on the host, clamped and rounded to 8 bits."""
        return output_image(self.to_restored(output))

    def restore(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the restored image of a degraded one, both `H W 3` uint8 on the host."""
        return self.to_image(self.network(self.to_input(image)))

    def restore_unit(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the restored image of a degraded one, both `H W 3` float32 in [0, 1] on the host."""
        restored = self.to_restored(self.network(self.to_input(image)))
        with torch.inference_mode():
            # A copy where the tensor is on the host already: the next call may overwrite the output of a runtime.
            return restored[0].float().clamp(0, 1).permute(1, 2, 0).cpu().numpy().copy()


@torch.inference_mode()
def input_tensor(image: AnyImage, size: tuple[int, int], device: torch.device) -> Tensor:
    """Return an image as `1 3 H W` float32 in [0, 1].

    Raises:
        ValueError: The image is not `H W 3` with `size` as H and W.
    """
    if image.shape != (*size, 3):
        raise ValueError(f"an image of shape {image.shape}; the network was prepared for {(*size, 3)}")
    # torch would warn of read-only memory, e.g. that of an image just decoded.
    return to_tensor(image if image.flags.writeable else image.copy(), device)


@torch.inference_mode()
def output_image(restored: Tensor) -> NDArray[np.uint8]:
    """Return a restored image `1 3 H W` as `H W 3` uint8 on the host."""
    return to_image(Restoration(restored, {}))
