"""Contracts of data: pairs and clean faces, the sources that give them, the augmentations that change them.

Nothing in this package imports torch: data are numpy arrays until the training loop takes them. Images are RGB uint8
arrays `H W 3`. The true maps, where a source knows them, are the *restoring* ones: target = K * degraded + D + degraded
in [0, 1] units, before rounding to 8 bits, with K the gain and D the spots.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

SPOT_THRESHOLD_LEVELS: Final = 30
"""Rule of the reference solution: a pixel is damaged where any channel differs by more than this many 8-bit levels."""


@dataclass(frozen=True)
class Pair:
    """A degraded image and its target, `H W 3` uint8 each.

    Of a source that does not clip its noise, `degraded` is float32 in 8-bit levels, with values outside 0 to 255.
    `gain` (K) and `spots` (D) are float16 `H W 3`, or None where the source does not know them or an augmentation broke
    the equation. `skin`, `H W` uint8, is 255 where the skin is bare; `skin_tone` is the typology angle of the face in
    degrees. Both are for metrics and reports, None where the source does not know them, and patches lack them.
    """

    name: str
    degraded: NDArray[Any]
    target: NDArray[np.uint8]
    gain: NDArray[np.float16] | None = None
    spots: NDArray[np.float16] | None = None
    skin: NDArray[np.uint8] | None = None
    skin_tone: float | None = None

    @property
    def images(self) -> Mapping[str, NDArray[np.uint8]]:
        """The images that no other split may contain, by role."""
        return {"target": self.target, "degraded": self.degraded}

    def map_spatial(self, move: Callable[[NDArray[Any]], NDArray[Any]]) -> "Pair":
        """Return the pair with the pixels of its images and maps moved alike.

        Args:
            move: maps `H W 3` to `H' W' 3`, e.g. a crop or a mirror image.

        Returns:
            The pair without skin, which training does not read.
        """
        images = [_contiguous(move(image)) for image in (self.degraded, self.target)]
        maps = [None if values is None else _contiguous(move(values)) for values in (self.gain, self.spots)]
        return Pair(self.name, images[0], images[1], maps[0], maps[1])


@dataclass(frozen=True)
class CleanFace:
    """A face before damage: `image` is `H W 3` uint8; `skin`, `H W` uint8, is 255 where the skin is bare.

    `skin_tone` is the typology angle in degrees.
    """

    name: str
    image: NDArray[np.uint8]
    skin: NDArray[np.uint8]
    skin_tone: float | None = None

    @property
    def images(self) -> Mapping[str, NDArray[np.uint8]]:
        """The images that no other split may contain, by role; the image becomes the target of pairs."""
        return {"target": self.image}


Item = TypeVar("Item", Pair, CleanFace)


class Dataset(ABC, Generic[Item]):
    """A fixed, ordered set of items that a cache can store."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items."""

    @abstractmethod
    def read(self, index: int) -> Item:
        """Return item number `index`, the same each time.

        Raises:
            DataError: the item cannot be read.
        """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest that changes whenever a pixel of any item could; cheap for images that were read before."""

    @property
    def files(self) -> Sequence[Path]:
        """The image files that are read, if any."""
        return ()


class Source(Dataset[Pair]):
    """A set of pairs. Keyword arguments of `__init__`, with annotations, are its YAML options.

    An argument `registry` is no option: it gets the registry that creates the source.
    """

    origin: ClassVar[str]
    """Where the pictures come from."""
    side_option: ClassVar[str | None] = None
    """The option, if there is one, with the pixels that no side of an image exceeds."""

    groups: frozenset[str] = frozenset()
    """Persons or scenes in the pictures, where the user names them."""

    @property
    def subjects(self) -> frozenset[str]:
        """What is known to be in the pictures without reading them: groups and files. Two splits share none."""
        return self.groups | {str(file.resolve()) for file in self.files}

    @property
    def parts(self) -> Sequence[Dataset[Any]]:
        """What a cache stores in place of the pairs of a source that makes its pairs from others; else empty."""
        return ()

    def with_parts(self, parts: Sequence[Dataset[Any]]) -> Self:
        """Return the source with its parts replaced by others of equal content, e.g. by their caches."""
        return self

    def at_epoch(self, seed: int, stage: str, epoch: int) -> "Source":
        """Return the source as an epoch of a stage sees it: equally long, but damage may be drawn anew."""
        return self


class Augmentation(ABC):
    """A random change of a pair. Keyword arguments of `__init__`, with annotations and defaults, are its options."""

    formula: ClassVar[str]
    """One line: what it does."""
    drops_maps: bool = False
    """Whether it drops the maps of some or all pairs; set in `__init__` where options decide it."""

    @abstractmethod
    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return a new pair; all randomness comes from `rng`.

        The new pair has no maps if target = K * degraded + D + degraded no longer holds.
        """


class CropAugmentation(Augmentation):
    """An augmentation that chooses the place or the scale of a training patch; a stage may have one of them."""

    @abstractmethod
    def crop(self, pair: Pair, side: int, rng: np.random.Generator) -> Pair:
        """Return a patch `side x side` of a whole pair.

        Raises:
            DataError: the pair is too small.
        """

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the patch unchanged: `crop` did the work."""
        return pair


class MixAugmentation(Augmentation):
    """An augmentation that needs a second patch, as mixup does."""

    @abstractmethod
    def mix(self, pair: Pair, draw_other: Callable[[], Pair], rng: np.random.Generator) -> Pair:
        """Return a new pair made from two.

        Args:
            pair: the first patch.
            draw_other: makes a patch of a random pair of the source, with `rng`, through the augmentations before this
                one. A call costs as much as the first patch.
            rng: source of all randomness.
        """

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the patch unchanged: without a second one there is nothing to mix."""
        return pair


def damage_mask(
    degraded: NDArray[np.uint8], target: NDArray[np.uint8], levels: int = SPOT_THRESHOLD_LEVELS
) -> NDArray[np.bool_]:
    """Return the damaged pixels, `H W`: those where any channel of |target - degraded| exceeds `levels`."""
    difference = np.maximum(degraded, target) - np.minimum(degraded, target)  # never leaves uint8
    over = difference > levels
    return over[..., 0] | over[..., 1] | over[..., 2]


def pixel_digest(image: NDArray[np.uint8]) -> str:
    """Return the SHA-256 of the shape and the pixels of an image, in hex."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()


def to_levels(image: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Return an image in 8-bit levels (0 to 255), clipped and rounded."""
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def in_levels(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an image in 8-bit levels: itself, or clipped and rounded where its source did not clip it."""
    return image if image.dtype == np.uint8 else to_levels(image)


def clipped_away(image: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return what of an image in 8-bit levels lies over 255 (above 0) or under 0 (below 0), in [0, 1] units."""
    return (image - np.clip(image, 0, 255)) / 255


def to_half(values: NDArray[np.floating[Any]]) -> NDArray[np.float16]:
    """Return a map as float16, with 0 for what is below its normal range (6e-5, a sixtieth of an 8-bit level).

    Numpy rounds such numbers some twenty times slower than others, and soft edges of spots are full of them.
    """
    small = np.abs(values) < np.finfo(np.float16).tiny
    return np.where(small, np.float32(0), values).astype(np.float16)


def check_share(name: str, value: float) -> None:
    """Check an option that is a probability or a share.

    Raises:
        ValueError: it is not from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}; it must be from 0 to 1")


def check_range(name: str, limits: tuple[float, float], least: float, most: float) -> None:
    """Check an option that is the smallest and the largest of the values that are drawn.

    Raises:
        ValueError: they are not in order, or not from `least` to `most`.
    """
    if not least <= limits[0] <= limits[1] <= most:
        raise ValueError(
            f"{name} is [{limits[0]}, {limits[1]}]; write [smallest, largest], both from {least:g} to {most:g}"
        )


def _contiguous(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the same values `H W C` row by row in memory; the array itself if they lie so already."""
    channel_bytes = pixels.itemsize
    if pixels.strides[1:] == (pixels.shape[2] * channel_bytes, channel_bytes):
        return np.ascontiguousarray(pixels)  # whole rows at a time
    packed = np.empty(pixels.shape, pixels.dtype)
    # Of mirrored or turned pixels numpy copies runs of three values, and starting a run costs more than the run. One
    # channel at a time, runs are as long as a row, and the copy is five times as fast.
    for channel in range(pixels.shape[2]):
        packed[..., channel] = pixels[..., channel]
    return packed
