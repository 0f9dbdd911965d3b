"""Losses: one per file, the file's name is its name in YAML. All compute in float32, outside autocast."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from heads import Restoration


class Batch(NamedTuple):
    """Data that a loss compares the restoration with. Images are RGB `B 3 H W` in [0, 1], float32.

    Attributes:
        degraded: degraded images.
        target: clean images.
        mask: damage mask `B 1 H W`: 1 where any channel differs by more than 30 8-bit levels, else 0.
        gain: true restoring map K, `B C H W`; None where the data does not know it or no loss of the stage supervises.
        spots: true restoring map D, `B C H W`; None where the data does not know it or no loss of the stage supervises.
    """

    degraded: Tensor
    target: Tensor
    mask: Tensor
    gain: Tensor | None = None
    spots: Tensor | None = None


class Loss(nn.Module, ABC):
    """The contract of a loss. Keyword arguments of `__init__`, with annotations and defaults, are its YAML options."""

    formula: ClassVar[str]
    """The computation in one line."""
    origin: ClassVar[str]
    """Paper, or whose choice the formula is."""
    supervises: ClassVar[tuple[str, ...]] = ()
    """Names of the maps that it compares with the truth; rows that train with it are scored on these maps.

    A batch has the true maps only where a loss of the stage names some here.
    """
    min_side: int = 1
    """Smallest height and width of a patch in pixels; set in `__init__` where it depends on options."""

    pools_images: bool = False
    """Whether the loss of a batch is no mean of the losses of its images.

    Such a batch cannot be accumulated; where several devices share it, the loss gets the images of all of them.
    """

    @abstractmethod
    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return a float32 scalar; it and its gradient are finite, also where restored and target are equal."""
