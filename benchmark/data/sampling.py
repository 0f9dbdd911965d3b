"""Training patches: position in, augmented patch out."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmark.data import Augmentation, CropAugmentation, MixAugmentation, Pair, Source
from benchmark.data.random_streams import generator, index_at
from benchmark.errors import DataError


@dataclass(frozen=True)
class Sampler:
    """The endless stream of patches of one stage; `patch_at` is a pure function of the position."""

    source: Source
    seed: int
    stage: str
    patch: int
    augmentations: Sequence[Augmentation]

    def patch_at(self, position: int) -> Pair:
        """The augmented patch at a position, `patch x patch`. Raises DataError if its image is smaller than that."""
        index = index_at(position, len(self.source), self.seed, self.stage)
        rng = generator(self.seed, self.stage, "position", position)
        return self._make(index, self.augmentations, rng)

    def _make(self, index: int, augmentations: Sequence[Augmentation], rng: np.random.Generator) -> Pair:
        patch = self._crop(self.source.read(index), rng)
        for count, augmentation in enumerate(augmentations):
            if isinstance(augmentation, MixAugmentation):
                patch = augmentation.mix(patch, partial(self._make_other, augmentations[:count], rng), rng)
            else:
                patch = augmentation.apply(patch, rng)
        return patch

    def _make_other(self, augmentations: Sequence[Augmentation], rng: np.random.Generator) -> Pair:
        return self._make(int(rng.integers(len(self.source))), augmentations, rng)

    def _crop(self, pair: Pair, rng: np.random.Generator) -> Pair:
        for augmentation in self.augmentations:
            if isinstance(augmentation, CropAugmentation):
                return augmentation.crop(pair, self.patch, rng)
        return random_crop(pair, self.patch, rng)


def random_crop(pair: Pair, side: int, rng: np.random.Generator) -> Pair:
    """A square crop at a random place, uniform over all places that fit. Raises DataError if the pair is too small."""
    require_side(pair, side)
    height, width = pair.degraded.shape[:2]
    return cut(pair, int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1)), side)


def cut(pair: Pair, top: int, left: int, side: int) -> Pair:
    """The square of `side` pixels whose first row is `top` and first column `left`."""
    window = (slice(top, top + side), slice(left, left + side))
    return pair.rearranged(lambda pixels: pixels[window])


def require_side(pair: Pair, side: int) -> None:
    """Raises DataError if a patch of `side` pixels does not fit into the pair."""
    height, width = pair.degraded.shape[:2]
    if min(height, width) < side:
        raise DataError(
            f"{pair.name}: {width}x{height} pixels, smaller than the patch of {side}; lower `patch` or leave it out"
        )
