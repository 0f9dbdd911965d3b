"""Heads: how features become the restored image; one head a file, the file's name is its name in YAML.

A head owns the last convolution of the network. It sees the features of the backbone and the degraded image in [0, 1].
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn


class Restoration(NamedTuple):
    """What a network says about a degraded image.

    `image`: restored image `B 3 H W` in [0, 1] units, not clamped (so that losses keep their gradient).
    `maps`: what the head predicted on the way, by name, each `B C H W`; the degradation head gives `gain` (K) and
    `spots` (D).
    `auxiliary`: images that a multi-output backbone restored on the way, `B 3 h w` in [0, 1] units, at equal or lower
    resolution; in training mode only, a head gives none.
    """

    image: Tensor
    maps: dict[str, Tensor]
    auxiliary: tuple[Tensor, ...] = ()


class Head(nn.Module, ABC):
    """The contract of a head: `__init__(self, in_channels, **options)`, options with annotations and defaults."""

    formula: ClassVar[str]
    """One line: what the head computes, e.g. `J = I + R`."""
    origin: ClassVar[str]
    """Where it comes from."""

    @abstractmethod
    def forward(self, features: Tensor, degraded: Tensor) -> Restoration:
        """Restoration of `degraded` (`B 3 H W`, [0, 1]) from `features` (`B C H W`)."""
