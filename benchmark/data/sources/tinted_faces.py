"""Procedural faces with spots under a colour cast each: what is wrong with the whole image is no longer slight."""

from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.data import Pair
from benchmark.data.augmentations import channel_gain
from benchmark.data.fingerprint import files_digest
from benchmark.data.sources.synthetic_faces import SyntheticFaces


class TintedFaces(SyntheticFaces):
    """The pairs of `synthetic_faces` with each colour channel of the degraded image times a gain of its own.

    `gain_range`: smallest and largest gain, uniform, one a channel and face: augmentation `channel_gain` with
    `images: degraded`, done once and for all, so that val and test can have it, too. The faces are those of
    `synthetic_faces` with equal `preset`, `count`, `size` and `seed`. `gain` and `spots` are known: K is 1 / gain - 1,
    but for the slight one of the preset; D takes up what is cut at 255. Raises DataError for what `synthetic_faces`
    refuses, ValueError for gains outside 0.1 to 10.
    """

    def __init__(
        self,
        preset: Literal["contest", "heavy", "severe"] = "contest",
        count: int = 100,
        size: int = 512,
        seed: int = 0,
        gain_range: tuple[float, float] = (0.7, 1.3),
    ) -> None:
        super().__init__(preset, count, size, seed)
        self._tint = channel_gain.ChannelGain(gain_range, "degraded")
        self._gain_range = gain_range

    def read(self, index: int) -> Pair:
        """Draw pair number `index`, from 0 to count - 1."""
        return self._tint.apply(super().read(index), np.random.default_rng([self._seed, index, *b"tint"]))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the faces, the gains and the code that applies them."""
        code = (Path(channel_gain.__file__), Path(__file__))
        return files_digest((), code, (super().fingerprint, self._gain_range))
