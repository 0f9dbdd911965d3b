"""Backbones: one architecture a file, and the contract they share.

A backbone maps an image to features of the same height and width; a head (package `heads`) turns the features into the
restored image. The file's name is the backbone's name in YAML: `backbones/nafnet.py` holds backbone `nafnet`. Files
whose names start with `_` hold what several backbones share and are no components. A backbone subclasses `Backbone`,
directly or through a layout in such a file; nothing subclasses a backbone.

Folding for inference: any module may have a method `folded(self) -> nn.Module`. It returns a new module with the same
signature that computes the same result in eval mode at lower cost, e.g. because a normalisation became part of the next
convolution. The original module stays unchanged. Where nothing is left to fold, the method may return the module
itself. `benchmark.model.restorer` replaces the modules, from the outermost inward.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn


class Features(NamedTuple):
    """What a multi-output network returns in training mode.

    Attributes:
        tensor: features `B out_channels H W`.
        auxiliary: intermediate restored images, `B 3 H/s W/s` in `input_range`, each with an integer s >= 1 that
            divides `multiple_of`. The objective compares them with the pair at every s-th pixel.
    """

    tensor: Tensor
    auxiliary: tuple[Tensor, ...]


Renames = tuple[tuple[str, str], ...]
"""Rules (pattern, replacement): the first pattern that matches a whole official key renames it; new names start with
`backbone.` or `head.`."""


Sizes = Mapping[str, Mapping[str, Any]]
"""Named configurations of a backbone: size -> options."""


@dataclass(frozen=True)
class Published:
    """How to load the authors' checkpoints into a backbone and the head that holds the last convolution."""

    keys: Renames | Callable[[Collection[str]], Renames]
    """Rules that rename official keys, or a function from all keys of a checkpoint to such rules."""
    head: Mapping[str, Any]
    """Name and options of the head, e.g. `{"name": "residual", "padding": "zeros"}`."""
    other_heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Another head of the networks for which the option of this name is true."""
    zeros: tuple[str, ...] = ()
    """Our keys without an official counterpart, where the official network has zero."""
    recomputed: tuple[str, ...] = ()
    """Patterns of official keys that hold no weights but buffers that the constructor fills."""
    head_scale: float = 1.0
    """Factor from the authors' weights and bias of the last convolution to ours, in units of `input_range`; -1 where
    the authors subtract the prediction."""
    head_mix: tuple[tuple[float, ...], ...] = ()
    """Matrix instead of `head_scale`: each channel of our last convolution, in units of [0, 1], as a sum of theirs."""

    def head_of(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return name and options of the head of a network with these options."""
        return next((head for option, head in self.other_heads.items() if options.get(option)), self.head)


class Backbone(nn.Module, ABC):
    """The contract of a backbone.

    Keyword arguments of `__init__`, with annotations and defaults, are the options that YAML may set. The caller (the
    Restorer) pads the image to a multiple of `multiple_of` and at least `min_side`, by `pad_mode`, and maps it from
    [0, 1] to `input_range`, so a backbone never pads its input.
    """

    citation: ClassVar[str]
    """BibTeX of the paper."""
    origin: ClassVar[str]
    """Paper; official repository@commit with its licence, where there is one; what differs here."""
    sizes: ClassVar[Sizes] = {}
    """Named configurations: size -> options. Published ones carry their published names."""
    pad_mode: ClassVar[Literal["reflect", "zeros"]] = "reflect"
    """How the image is padded at the right and the bottom."""
    published: ClassVar[Published | None] = None
    """How to load checkpoints of the reference implementation; None where there are none."""

    input_range: tuple[float, float] = (0.0, 1.0)
    """Values that the network expects for black and white."""
    in_channels: int = 3
    """Channels of the image; data and costs have 3, so other networks are for import and for use from Python."""
    out_channels: int
    """Channels of the features; set in `__init__`."""
    multiple_of: int = 1
    """Height and width of the image must be multiples of this."""
    min_side: int = 1
    """Smallest height and width, after padding, that `forward` accepts."""

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor | Features:
        """Return features `B out_channels H W` of an image `B in_channels H W` in `input_range`.

        A multi-output network returns `Features` in training mode and the tensor alone in eval mode, so that counting,
        export and compilation see one output.
        """
