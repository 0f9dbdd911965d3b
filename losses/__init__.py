"""Losses: one loss a file, the file's name is its name in YAML. Always float32, outside autocast."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from heads import Restoration

SPOT_THRESHOLD = 30 / 255
"""A pixel belongs to the spots if any channel of |target - degraded| exceeds this (rule of the reference solution)."""


class Batch(NamedTuple):
    """What a loss may compare the restoration with. Images are RGB `B 3 H W` in [0, 1], float32.

    `mask`: `B 1 H W`, 1 where any channel of |target - degraded| exceeds `SPOT_THRESHOLD`, else 0.
    `gain`, `spots`: the true restoring maps K and D (`B C H W`) where the data knows them, else None.
    """

    degraded: Tensor
    target: Tensor
    mask: Tensor
    gain: Tensor | None = None
    spots: Tensor | None = None


class Loss(nn.Module, ABC):
    """The contract of a loss. Keyword arguments of `__init__`, with annotations and defaults, are its YAML options."""

    formula: ClassVar[str]
    """One line: what is computed."""
    origin: ClassVar[str]
    """Paper, or whose choice the formula is."""
    supervises: ClassVar[tuple[str, ...]] = ()
    """Names of the maps it compares with the truth; rows that train with it are scored on them."""
    min_side: int = 1
    """Smallest height and width of a patch; set in `__init__` where options decide it."""

    @abstractmethod
    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Scalar float32; finite, with a finite gradient, also where restored and target are equal."""
