"""What all runtimes give: a network made ready for images of one size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.model.restorer import to_image, to_tensor
from heads import Restoration


@dataclass(frozen=True)
class Runner:
    """A network made ready for images of one size on one device.

    `to_input`: image on the host, `H W 3` uint8, to what the network takes, where it takes it. Raises ValueError for an
    image of another size. `network`: the network alone; on a GPU it may return before it is done, and its answer may
    lie where the next call writes its own. `to_image`: its answer to the restored image on the host, clamped and
    rounded to 8 bits. `synchronise`: waits for the device; on the CPU there is nothing to wait for.
    """

    runtime: str
    to_input: Callable[[NDArray[np.uint8]], Any]
    network: Callable[[Any], Any]
    to_image: Callable[[Any], NDArray[np.uint8]]
    synchronise: Callable[[], None]

    def restore(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The restored image of a degraded one, both `H W 3` uint8 on the host."""
        return self.to_image(self.network(self.to_input(image)))


def input_tensor(image: NDArray[np.uint8], size: tuple[int, int], device: torch.device) -> Tensor:
    """`1 3 H W` float32 in [0, 1]. Raises ValueError unless the image is `H W 3` with `size` as H and W."""
    if image.shape != (*size, 3):
        raise ValueError(f"an image of shape {image.shape}; this runner was prepared for {(*size, 3)}")
    # torch would warn of memory that cannot be written, e.g. that of an image just decoded.
    return to_tensor(image if image.flags.writeable else image.copy(), device)


def output_image(restored: Tensor) -> NDArray[np.uint8]:
    """`H W 3` uint8 on the host of a restored image `1 3 H W`."""
    with torch.inference_mode():
        return to_image(Restoration(restored, {}))


def nothing_to_wait_for() -> None:
    """The CPU is done when a call returns."""


def wait_for(device: torch.device) -> Callable[[], None]:
    """What waits until a device is done."""
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else nothing_to_wait_for
