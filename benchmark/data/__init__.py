"""Pairs of degraded and target images: the contracts of sources and augmentations.

Nothing in this room imports torch: data are numpy arrays until the training loop takes them. Images are RGB uint8
arrays `H W 3`. The true maps, where a source knows them, are the *restoring* ones: target = K * degraded + D + degraded
in [0, 1] units, with K the gain and D the spots, before rounding to 8 bits.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True)
class Pair:
    """A degraded image and its target, `H W 3` uint8 each.

    `gain` (K) and `spots` (D) are float16 `H W 3`, or None where the source does not know them or an augmentation broke
    the equation.
    """

    name: str
    degraded: NDArray[np.uint8]
    target: NDArray[np.uint8]
    gain: NDArray[np.float16] | None = None
    spots: NDArray[np.float16] | None = None

    def rearranged(self, move: Callable[[NDArray[Any]], NDArray[Any]]) -> "Pair":
        """The pair with the pixels of images and maps moved alike; `move` maps `H W 3` to `H' W' 3`."""
        images = [_contiguous(move(image)) for image in (self.degraded, self.target)]
        maps = [None if values is None else _contiguous(move(values)) for values in (self.gain, self.spots)]
        return Pair(self.name, images[0], images[1], maps[0], maps[1])


def _contiguous(pixels: NDArray[_Value]) -> NDArray[_Value]:
    """The same values `H W C` row by row in memory; the array itself where they lie so already."""
    channel_bytes = pixels.itemsize
    if pixels.strides[1:] == (pixels.shape[2] * channel_bytes, channel_bytes):
        return np.ascontiguousarray(pixels)  # whole rows at a time
    packed = np.empty(pixels.shape, pixels.dtype)
    # Of mirrored or turned pixels numpy copies runs of three values, and starting a run costs more than the run: one
    # channel at a time the runs are as long as a row, and the copy five times as fast.
    for channel in range(pixels.shape[2]):
        packed[..., channel] = pixels[..., channel]
    return packed


class Source(ABC):
    """A fixed, ordered set of pairs. Keyword arguments of `__init__`, with annotations, are its YAML options."""

    origin: ClassVar[str]
    """Where the pictures come from."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of pairs."""

    @abstractmethod
    def read(self, index: int) -> Pair:
        """Pair number `index`; the same each time. Raises DataError if it cannot be read."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest that changes whenever a pixel of any pair could. Cheap: reads no image."""

    @property
    def subjects(self) -> frozenset[str]:
        """Who or what is in the pictures, where that is known without reading them; two splits must share none."""
        return frozenset()


class Augmentation(ABC):
    """A random change of a pair. Keyword arguments of `__init__`, with annotations and defaults, are its options."""

    formula: ClassVar[str]
    """One line: what it does."""
    drops_maps: bool = False
    """Whether it drops the maps of some pairs or of all; set in `__init__` where options decide it."""

    @abstractmethod
    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """A new pair; all randomness comes from `rng`. Drops the maps if J = K*I + D + I no longer holds."""


class CropAugmentation(Augmentation):
    """An augmentation that chooses where, or at what scale, a training patch is cut; a stage may have one of them."""

    @abstractmethod
    def crop(self, pair: Pair, side: int, rng: np.random.Generator) -> Pair:
        """A patch `side x side` of a whole pair. Raises DataError if the pair is too small."""

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """The patch as it is: the work was done by `crop`."""
        return pair


class MixAugmentation(Augmentation):
    """An augmentation that needs a second patch, as mixup does."""

    @abstractmethod
    def mix(self, pair: Pair, draw_other: Callable[[], Pair], rng: np.random.Generator) -> Pair:
        """A new pair made of two.

        `draw_other` makes a patch of a random pair of the source, with `rng`, through the same augmentations up to this
        one; a call costs as much as the first patch did.
        """

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """The patch as it is: alone it has no partner."""
        return pair
