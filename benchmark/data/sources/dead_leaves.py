"""Dead-leaves images with the damage of the presets: edges, colours and textures that are no face and no damage."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark import synthetic_faces
from benchmark.data import Pair, Source
from benchmark.data.fingerprint import files_digest
from benchmark.data.sources.synthetic_faces import check_options, damaged
from benchmark.errors import DataError
from benchmark.synthetic_faces import raster, skin_segmentation

_SMALLEST_RADIUS = 0.015  # of the side: smaller ones are what spots look like, and would teach to leave spots alone
_LARGEST_RADIUS = 0.4  # of the side
_RADIUS_EXPONENT = 3.0  # density of radii r^-3: the spectrum of photographs (Lee, Mumford and Huang, IJCV 2001)
_MOST_LEAVES = 20_000
_BATCH = 128  # leaves drawn at a time
_COVERED = 0.99
_PALETTE = (5, 14)  # colours of an image
_TEXTURE_LEVELS = (0.0, 0.05)
_NOISE_LEVELS = (0.0, 0.012)


class DeadLeaves(Source):
    """Images of occluding discs and ellipses, damaged as the faces are: distractors that keep a network honest.

    Leaves of random colour, size (r^-3), shape and texture cover each other; their statistics are those of photographs
    in general. `preset` names the damage of `synthetic_faces` that is laid over them; with `none` nothing is wrong, and
    the network has to leave the image alone. With `gain: false` the damage has no global gain: K is 0 everywhere.
    `count`, `size` (side in pixels) and `seed` as in `synthetic_faces`. `gain` and `spots` are known. Raises DataError
    for options out of range.
    """

    origin: ClassVar[str] = "drawn by this project (benchmark.data.sources.dead_leaves); nothing is depicted"
    side_option: ClassVar[str | None] = "size"

    def __init__(
        self,
        preset: Literal["none", "contest", "heavy", "severe"] = "none",
        count: int = 100,
        size: int = 512,
        seed: int = 0,
        gain: bool = True,  # an option of YAML
    ) -> None:
        check_options("dead_leaves", "contest" if preset == "none" else preset, size, seed, count)
        self._preset: Literal["none", "contest", "heavy", "severe"] = preset
        self._count, self._size, self._seed, self._gain = count, size, seed, gain

    def __len__(self) -> int:
        return self._count

    def read(self, index: int) -> Pair:
        """Draw pair number `index`, from 0 to count - 1."""
        if not 0 <= index < self._count:
            raise DataError(f"dead_leaves: no pair {index}; there are {self._count}, from 0")
        name = f"leaves_{index:04d}"
        image = draw_leaves(np.random.default_rng([self._seed, index, *b"leaves"]), self._size)
        if self._preset == "none":
            target = np.rint(255 * image).astype(np.uint8)
            nothing = np.zeros(image.shape, np.float16)
            return Pair(name, target, target, nothing, nothing)
        scale = skin_segmentation.aligned_scale(self._size, self._size)
        portrait = synthetic_faces.Portrait(image, np.ones(image.shape[:2], np.float32), scale)
        preset = synthetic_faces.PRESETS[self._preset]
        if not self._gain:
            preset = replace(preset, gain_mean=0, gain_spread=0)
        pair = damaged(name, portrait, preset, np.random.default_rng([self._seed, index, *b"damage"]))
        return replace(pair, skin=None)  # nobody is shown

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the options and of the code that draws."""
        code = sorted([*Path(synthetic_faces.__file__).parent.glob("*.py"), Path(__file__)])
        return files_digest((), code, (self._preset, self._count, self._size, self._seed, self._gain))

    @property
    def subjects(self) -> frozenset[str]:
        """The images: equal seeds draw equal leaves, whatever the preset and the size."""
        return frozenset(f"leaves {index} of seed {self._seed}" for index in range(self._count))


def draw_leaves(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Return a dead-leaves image, sRGB in [0, 1], `size size 3`; all randomness comes from `rng`.

    Leaves are laid from the front to the back, so that each pixel is painted once; what stays bare after many leaves
    gets the colour of the ground.
    """
    palette = _palette(rng)
    leaf_of, leaves = _occlusion(rng, size)
    colour = palette[rng.integers(len(palette), size=leaves + 1)]
    colour = np.clip(colour + rng.normal(0, 0.04, colour.shape), 0.01, 0.99).astype(np.float32)
    texture = rng.uniform(*_TEXTURE_LEVELS, leaves + 1).astype(np.float32)
    grain = raster.bandpass(rng, (size, size), rng.uniform(0.8, 1.5), rng.uniform(3, 8))
    light = 0.08 * raster.smooth_noise(rng, (size, size), size * rng.uniform(0.1, 0.4))
    image = colour[leaf_of] * (1 + light + texture[leaf_of] * grain)[:, :, None]
    lens_px = rng.uniform(0.35, 0.8)
    image = np.stack([raster.gaussian(image[:, :, channel], lens_px) for channel in range(3)], axis=2)
    image = image + rng.uniform(*_NOISE_LEVELS) * rng.standard_normal(image.shape, np.float32)
    return np.clip(image, 0, 1).astype(np.float32)


def _palette(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the colours of an image, sRGB in [0, 1], `N 3`: mostly muted, some of them strong."""
    count = int(rng.integers(*_PALETTE, endpoint=True))
    lightness = np.clip(rng.normal(rng.uniform(35, 65), 24, count), 4, 97)
    chroma = np.minimum(rng.gamma(1.5, 12, count), 70)
    hue = rng.uniform(0, 2 * np.pi, count)
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)
    return np.stack([raster.to_srgb(raster.lab_to_linear(colour)) for colour in lab]).astype(np.float32)


def _occlusion(rng: np.random.Generator, size: int) -> tuple[NDArray[np.int32], int]:
    """Return the number of the foremost leaf of each pixel (0 is the ground), `size size`, and how many leaves lie."""
    leaf_of = np.zeros((size, size), np.int32)
    number, bare = 0, size * size
    while number < _MOST_LEAVES and bare > (1 - _COVERED) * size * size:
        for x, y, radius, aspect, turn in _draw_shapes(rng, size):
            number += 1
            top, bottom = max(0, int(y - radius)), min(size, int(y + radius) + 2)
            left, right = max(0, int(x - radius)), min(size, int(x + radius) + 2)
            window = leaf_of[top:bottom, left:right]
            free = window == 0
            if not free.any():
                continue
            rows = np.arange(top, bottom, dtype=np.float32)[:, None] - y
            columns = np.arange(left, right, dtype=np.float32)[None, :] - x
            along = columns * np.cos(turn) + rows * np.sin(turn)
            across = (rows * np.cos(turn) - columns * np.sin(turn)) / aspect
            window[free & (along**2 + across**2 <= radius**2)] = number
        bare = int((leaf_of == 0).sum())
    return leaf_of, number


def _draw_shapes(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Return centre, long radius, aspect and direction of leaves in the image, `N 5`, in pixels and radians."""
    share = rng.random(_BATCH)
    least, most = (
        (_SMALLEST_RADIUS * size) ** (1 - _RADIUS_EXPONENT),
        (_LARGEST_RADIUS * size) ** (1 - _RADIUS_EXPONENT),
    )
    radius = (least + share * (most - least)) ** (1 / (1 - _RADIUS_EXPONENT))
    centre = rng.uniform(-_LARGEST_RADIUS * size, (1 + _LARGEST_RADIUS) * size, (2, _BATCH))
    aspect = np.where(rng.random(_BATCH) < 0.5, 1.0, rng.uniform(0.1, 1, _BATCH))
    shapes = np.stack([*centre, radius, aspect, rng.uniform(0, np.pi, _BATCH)], axis=1).astype(np.float32)
    inside = ((centre > -radius) & (centre < size - 1 + radius)).all(axis=0)
    return shapes[inside]
