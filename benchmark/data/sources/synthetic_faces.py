"""Procedural faces with spots: any number of pairs, any size, exact truth, no download."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from benchmark import synthetic_faces
from benchmark.data import Pair, Source
from benchmark.data.fingerprint import files_digest
from benchmark.errors import DataError

SIZES_PX = (64, 4096)
MOST_PAIRS = 1_000_000


class SyntheticFaces(Source):
    """Pairs drawn and damaged on the fly; the same index shows the same face under every preset.

    `preset` says how much damage (`benchmark.synthetic_faces.lesions`), `count` how many pairs; `size` is the side in
    pixels; another `seed` gives other faces. With `gain: false` the damage has no global gain: K is 0 everywhere, so a
    network that learns from such pairs invents less of a tint. `gain` and `spots` are known for each pair. Raises
    DataError for an unknown preset, a count outside 1 to 1,000,000, a size outside 64 to 4096 or a negative seed.
    """

    origin: ClassVar[str] = "drawn by this project (benchmark.synthetic_faces); no person is depicted"
    side_option: ClassVar[str | None] = "size"

    def __init__(
        self,
        preset: Literal["contest", "heavy", "severe"] = "contest",
        count: int = 100,
        size: int = 512,
        seed: int = 0,
        gain: bool = True,  # an option of YAML
    ) -> None:
        check_options("synthetic_faces", preset, size, seed, count)
        self._preset: synthetic_faces.PresetName = preset
        self._count, self._size, self._seed, self._gain = count, size, seed, gain

    def __len__(self) -> int:
        return self._count

    def read(self, index: int) -> Pair:
        """Draw pair number `index`, from 0 to count - 1."""
        if not 0 <= index < self._count:
            raise DataError(f"synthetic_faces: no pair {index}; there are {self._count}, from 0")
        portrait = synthetic_faces.draw_portrait(self._generator(index, "face"), self._size)
        preset = synthetic_faces.PRESETS[self._preset]
        if not self._gain:
            preset = replace(preset, gain_mean=0, gain_spread=0)
        return damaged(f"face_{index:04d}", portrait, preset, self._generator(index, "damage"))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the options and of the code that draws."""
        code = sorted([*Path(synthetic_faces.__file__).parent.glob("*.py"), Path(__file__)])
        return files_digest((), code, (self._preset, self._count, self._size, self._seed, self._gain))

    @property
    def subjects(self) -> frozenset[str]:
        """The faces: equal seeds draw equal faces, whatever the preset and the size."""
        return frozenset(f"face {index} of seed {self._seed}" for index in range(self._count))

    def _generator(self, index: int, stream: Literal["face", "damage"]) -> np.random.Generator:
        return np.random.default_rng([self._seed, index, *stream.encode()])


def damaged(
    name: str, portrait: synthetic_faces.Portrait, preset: synthetic_faces.Preset, rng: np.random.Generator
) -> Pair:
    """Return a portrait with the damage of a preset as a pair with maps, skin and skin tone."""
    pair = synthetic_faces.degrade(portrait, preset, rng)
    gain, spots = pair.gain.astype(np.float16), pair.spots.astype(np.float16)
    skin = np.rint(255 * portrait.skin).astype(np.uint8)
    return Pair(name, pair.degraded, pair.target, gain, spots, skin, portrait.skin_tone)


def check_options(source: str, preset: str, size: int | None, seed: int, count: int = 1) -> None:
    """Check the options that sources of drawn damage share.

    Raises:
        DataError: an option is out of range.
    """
    smallest, largest = SIZES_PX
    if preset not in synthetic_faces.PRESETS:
        raise DataError(f"{source}: preset {preset!r} is unknown; use one of {', '.join(synthetic_faces.PRESETS)}")
    if size is not None and not smallest <= size <= largest:
        raise DataError(f"{source}: size is {size} px; it must be from {smallest} to {largest}")
    if not 1 <= count <= MOST_PAIRS:
        raise DataError(f"{source}: count is {count}; it must be from 1 to {MOST_PAIRS:,}")
    if seed < 0:
        raise DataError(f"{source}: seed is {seed}; it must be 0 or more")
