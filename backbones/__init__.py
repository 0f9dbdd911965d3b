"""Backbones: one architecture a file, and the contract they share.

A backbone maps an image to features of the same height and width; a head (package `heads`) turns the features into the
restored image. The file's name is the backbone's name in YAML: `backbones/nafnet.py` holds backbone `nafnet`. A file
whose name begins with `_` is no component.

Classes here are final: a backbone subclasses `Backbone` and nothing subclasses a backbone.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """The contract of a backbone.

    Keyword arguments of `__init__`, with annotations and defaults, are the options that YAML may set. The caller (the
    Restorer) pads the image to `multiple_of` and at least `min_side` in the way `pad_mode` says, and maps it from
    [0, 1] to `input_range`, so a backbone never pads its input as a whole.
    """

    citation: ClassVar[str]
    """BibTeX of the paper."""
    origin: ClassVar[str]
    """Paper and, where there is one, official repository@commit with its licence; what differs here."""
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Named configurations: size -> options. Published ones carry their published names."""
    input_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    """Lowest and highest value of the image the network expects."""
    pad_mode: ClassVar[Literal["reflect", "zeros"]] = "reflect"
    """How the image is padded, at the right and the bottom, to `multiple_of`."""

    out_channels: int
    """Channels of the features; set in `__init__`."""
    multiple_of: int = 1
    """Height and width of the image must be divisible by this."""
    min_side: int = 1
    """Smallest height and width, after padding, that `forward` accepts."""

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """Features `B out_channels H W` of an image `B 3 H W` in `input_range`."""
