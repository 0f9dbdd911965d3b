"""Heads: how features become the restored image; one per file, the file's name is its name in YAML.

A head owns the last convolution of the network. It gets the features of the backbone and the degraded image in [0, 1].
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn


class Restoration(NamedTuple):
    """Result of a network for a degraded image.

    Attributes:
        image: restored image `B 3 H W` in [0, 1] units, not clamped (so that losses keep their gradient).
        maps: intermediate predictions of the head by name, each `B C H W`, e.g. `gain` (K) and `spots` (D) of the
            degradation head.
        auxiliary: intermediate restored images of a multi-output backbone, `B 3 h w` in [0, 1] units, at equal or lower
            resolution; in training mode only. A head itself returns none.
    """

    image: Tensor
    maps: dict[str, Tensor]
    auxiliary: tuple[Tensor, ...] = ()


class Head(nn.Module, ABC):
    """The contract of a head: `__init__(self, in_channels, **options)`, options with annotations and defaults."""

    formula: ClassVar[str]
    """The computation in one line, e.g. `J = I + R`."""
    origin: ClassVar[str]
    """Paper or project that it comes from."""

    @abstractmethod
    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Return the restoration of `degraded` (`B 3 H W`, [0, 1]) from `features` (`B C H W`)."""
