"""What several losses share: checks of options and patches, the mean of the worst errors, losses made from SSIM."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from heads import Restoration
from losses import Batch, Loss


def check(valid: bool, message: str) -> None:
    """Raise ValueError with a message unless an option is valid."""
    if not valid:
        raise ValueError(message)


def check_share(share: float) -> None:
    """Raise ValueError unless `share` is above 0 and at most 1."""
    check(0 < share <= 1, f"share must be above 0 and at most 1, not {share}")


def check_sides(loss: Loss, image: Tensor, remedy: str) -> None:
    """Raise ValueError, which ends in `remedy`, if a side of an image `B C H W` is below the loss's `min_side`."""
    height, width = image.shape[-2:]
    name = type(loss).__module__.rpartition(".")[2]  # the file's name is the loss's name in YAML
    needs = f"it needs at least {loss.min_side} px a side; {remedy}"
    check(min(height, width) >= loss.min_side, f"{name}: a patch of {height} x {width} px is too small, {needs}")


def predicted_map(restoration: Restoration, name: str, loss: str, remedy: str) -> Tensor:
    """Return a map of the restoration as float32, `B C H W`.

    Raises:
        ValueError: the head does not predict this map; the message ends in `remedy`.
    """
    predicted = ", ".join(sorted(restoration.maps)) or "no maps"
    check(name in restoration.maps, f"{loss}: the head gives no map {name!r} (it gives {predicted}); {remedy}")
    return restoration.maps[name].float()


def worst_mean(errors: Tensor, share: float) -> Tensor:
    """Return the mean of the largest errors along the last dimension, `... N` to `...`: a share of N, at least one."""
    count = max(1, round(share * errors.shape[-1]))
    return errors.topk(count, dim=-1, sorted=False).values.mean(dim=-1)


class StructuralLoss(Loss):
    """1 - a similarity over Gaussian windows, such as SSIM; mean over RGB and images.

    Args:
        window_size: side in pixels of the Gaussian window of sigma 1.5; odd, at least 3.

    Raises:
        ValueError: `window_size` is even or below 3.
    """

    similarity: ClassVar[Callable[..., Tensor]]
    """Function of two images `B 3 H W`, `data_range` and `win_size` that returns their mean similarity, at most 1."""
    largest_shrinking: ClassVar[int] = 1
    """Factor between the finest and the coarsest scale."""

    def __init__(self, window_size: int = 11) -> None:
        super().__init__()
        valid = window_size >= 3 and window_size % 2 == 1
        check(valid, f"window_size must be odd and at least 3, not {window_size}")
        self.window_size = window_size
        self.min_side = (window_size - 1) * self.largest_shrinking + 1

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar, 0 for equal images.

        Raises:
            ValueError: a side of the patch is below `min_side`.
        """
        restored, target = restoration.image.float(), batch.target.float()
        check_sides(self, restored, "enlarge the patch or set a smaller window_size")
        # In bfloat16 autocast the variances lose their digits; MS-SSIM has been seen above 1.
        with torch.autocast(restored.device.type, enabled=False):
            return 1 - self.similarity(restored, target, data_range=1.0, win_size=self.window_size)
