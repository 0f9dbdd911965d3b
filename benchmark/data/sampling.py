"""Training patches: position in, augmented patch out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.data import Augmentation, Pair, Source
from benchmark.data.streams import generator, index_at
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
        pair = self.source.read(index_at(position, len(self.source), self.seed, self.stage))
        rng = generator(self.seed, self.stage, "position", position)
        cropped = random_crop(pair, self.patch, rng)
        for augmentation in self.augmentations:
            cropped = augmentation.apply(cropped, rng)
        return cropped


def random_crop(pair: Pair, side: int, rng: np.random.Generator) -> Pair:
    """A square crop at a random place, uniform over all places that fit."""
    height, width = pair.degraded.shape[:2]
    if min(height, width) < side:
        raise DataError(
            f"{pair.name}: {width}x{height} pixels, smaller than the patch of {side}; lower `patch` or leave it out"
        )
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    window = (slice(top, top + side), slice(left, left + side))
    return pair.rearranged(lambda pixels: pixels[window])
