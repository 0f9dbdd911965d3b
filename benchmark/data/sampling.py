"""Random streams and training patches: a position of a stage's stream in, an augmented patch out.

Every patch is a pure function of (seed, stage, position): it is the same whatever the workers, resumes or other rows.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Augmentation, CropAugmentation, MixAugmentation, Pair, Source
from benchmark.errors import DataError

_FITTED_WHOLE, _FITTED = 512, 128
"""A baseline is fitted to all pairs of a training set up to the first number, of a larger one to about as many as the
second, so that it need not wait for thousands to be drawn. It has few numbers: 250 of 1,000 pairs changed what affine
reaches by 0.0002 dB for damage `contest`, by 0.08 dB for `severe`."""


def generator(*names: int | str) -> np.random.Generator:
    """Return a generator that depends on these names alone, e.g. `generator(seed, "coarse", "position", 17)`."""
    digest = hashlib.sha256("\0".join(f"{type(name).__name__}:{name}" for name in names).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def index_at(position: int, count: int, seed: int, stage: str) -> int:
    """Return which of `count` pairs stands at a position of a stage's endless stream; an epoch is a permutation."""
    return int(_order(seed, stage, position // count, count)[position % count])


def fitted_indices(count: int) -> range:
    """Return which of `count` training pairs a baseline is fitted to: all, or evenly spaced ones of a large set."""
    return range(0, count, 1 if count <= _FITTED_WHOLE else count // _FITTED)


def indices_read(patches: int, count: int, seed: int, stage: str) -> frozenset[int]:
    """Return which of `count` pairs the first patches of a stage's stream are cut from."""
    return frozenset(index_at(position, count, seed, stage) for position in range(min(patches, count)))


@lru_cache(maxsize=4)
def _order(seed: int, stage: str, epoch: int, count: int) -> NDArray[np.int64]:
    return generator(seed, stage, "order", epoch).permutation(count)


@dataclass(frozen=True)
class Sampler:
    """The endless stream of patches of one stage.

    An epoch shows each pair once. The source learns the epoch, so that it can draw other damage in each. Images are the
    same with and without maps; the maps of a patch have twice the bytes of its images, so they are left out where no
    loss reads them.
    """

    source: Source
    seed: int
    stage: str
    patch: int
    augmentations: Sequence[Augmentation]
    with_maps: bool = True

    def patch_at(self, position: int) -> Pair:
        """Return the augmented patch at a position, `patch x patch`.

        Raises:
            DataError: the image is smaller than the patch.
        """
        source = self.source.at_epoch(self.seed, self.stage, position // len(self.source))
        index = index_at(position, len(source), self.seed, self.stage)
        rng = generator(self.seed, self.stage, "position", position)
        return self._make(source, index, self.augmentations, rng)

    def _make(
        self, source: Source, index: int, augmentations: Sequence[Augmentation], rng: np.random.Generator
    ) -> Pair:
        pair = source.read(index)
        if not self.with_maps:
            pair = replace(pair, gain=None, spots=None)
        crops = [augmentation for augmentation in self.augmentations if isinstance(augmentation, CropAugmentation)]
        patch = crops[0].crop(pair, self.patch, rng) if crops else random_crop(pair, self.patch, rng)
        for count, augmentation in enumerate(augmentations):
            if isinstance(augmentation, MixAugmentation):
                patch = augmentation.mix(patch, partial(self._make_other, source, augmentations[:count], rng), rng)
            else:
                patch = augmentation.apply(patch, rng)
        return patch

    def _make_other(self, source: Source, augmentations: Sequence[Augmentation], rng: np.random.Generator) -> Pair:
        return self._make(source, int(rng.integers(len(source))), augmentations, rng)


def random_crop(pair: Pair, side: int, rng: np.random.Generator) -> Pair:
    """Return a square crop at a random place, uniform over all places that fit.

    Raises:
        DataError: the pair is too small.
    """
    require_side(pair, side)
    height, width = pair.degraded.shape[:2]
    return crop_at(pair, int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1)), side)


def crop_at(pair: Pair, top: int, left: int, side: int) -> Pair:
    """Return the square of `side` pixels whose first row is `top` and whose first column is `left`."""
    window = (slice(top, top + side), slice(left, left + side))
    return pair.map_spatial(lambda pixels: pixels[window])


def require_side(pair: Pair, side: int) -> None:
    """Check that a patch fits into the pair.

    Raises:
        DataError: the pair is smaller than `side` pixels.
    """
    height, width = pair.degraded.shape[:2]
    if min(height, width) < side:
        raise DataError(
            f"{pair.name}: {width}x{height} pixels, smaller than the patch of {side}; lower `patch` or leave it out"
        )
