"""Backbones: one architecture a file, and the contract they share.

A backbone maps an image to features of the same height and width; a head (package `heads`) turns the features into the
restored image. The file's name is the backbone's name in YAML: `backbones/nafnet.py` holds backbone `nafnet`. A file
whose name begins with `_` is no component.

Classes here are final: a backbone subclasses `Backbone` and nothing subclasses a backbone.

Folding for inference: any module may have a method `folded(self) -> nn.Module`. It returns a new module that is called
in the same way and in eval mode gives the same result with less, e.g. because a normalisation became part of the
convolution behind it; the module itself stays as it was. Where nothing is left to fold it may return the module as it
is. `benchmark.model.fold` puts the new modules in the places of the old ones, from the outermost inward.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn


class Features(NamedTuple):
    """What a multi-output network gives in training mode.

    `tensor`: features `B out_channels H W`.
    `auxiliary`: images restored on the way, `B 3 H/s W/s` in `input_range`, each with an integer s >= 1 that divides
    `multiple_of`. The objective compares them with the pair at every s-th pixel.
    """

    tensor: Tensor
    auxiliary: tuple[Tensor, ...]


Renames = tuple[tuple[str, str], ...]
"""(pattern, replacement): the first pattern that matches a whole official key renames it; new names begin with
`backbone.` or `head.`."""


@dataclass(frozen=True)
class Published:
    """How the authors' checkpoints of an architecture fit a backbone and the head that holds its last convolution."""

    keys: Renames | Callable[[Collection[str]], Renames]
    """How official keys are renamed; made from all keys of a checkpoint where they depend on how deep it is."""
    head: Mapping[str, Any]
    """Name and options of the head, e.g. `{"name": "residual", "padding": "zeros"}`."""
    zeros: tuple[str, ...] = ()
    """Names of ours that the official network does not have because they are zero in it."""
    recomputed: tuple[str, ...] = ()
    """Patterns of official keys that hold no weights: buffers which the constructor fills."""
    head_scale: float = 1.0
    """Factor of the last convolution's weights and bias between the authors' output and ours, in units of the
    backbone's `input_range`; -1 where the authors subtract what the network predicts."""
    head_mix: tuple[tuple[float, ...], ...] = ()
    """Where one factor does not do: each channel of our last convolution, in units of [0, 1], as a sum of theirs."""


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
    published: ClassVar[Published | None] = None
    """How checkpoints of the reference implementation are read; None where there are none."""

    out_channels: int
    """Channels of the features; set in `__init__`."""
    multiple_of: int = 1
    """Height and width of the image must be divisible by this."""
    min_side: int = 1
    """Smallest height and width, after padding, that `forward` accepts."""

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor | Features:
        """Features `B out_channels H W` of an image `B 3 H W` in `input_range`.

        A multi-output network gives `Features` in training mode, and in eval mode the tensor alone, so that what is
        counted, exported and compiled has one output.
        """
