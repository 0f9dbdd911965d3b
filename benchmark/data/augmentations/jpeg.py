"""JPEG compression of the degraded image, as of images from the internet."""

from dataclasses import replace

import numpy as np

from benchmark.data import Augmentation, Pair, check_range, check_share
from benchmark.synthetic_faces.camera import through_jpeg

_BLOCK_PX = 16  # two 8 x 8 blocks: the colour of four pixels is stored once


class Jpeg(Augmentation):
    """The degraded image through a JPEG file of a random quality, the target as it is.

    `quality_range`: lowest and highest quality of libjpeg's scale (1 to 95), each whole number equally likely;
    `probability`: share of the patches that are compressed. Colour is stored at half resolution (4:2:0), and the grid
    of blocks begins anywhere, since a photograph is compressed before it is cropped. Compression is not of the form
    K * I + D + I, so the maps are dropped.
    """

    formula = "I' = decoded(encoded(I, q)), q uniform in quality_range, with the given probability"

    def __init__(self, quality_range: tuple[int, int] = (60, 95), probability: float = 0.5) -> None:
        check_range("quality_range", quality_range, 1, 95)
        check_share("probability", probability)
        self._quality_range = quality_range
        self._probability = probability
        self.drops_maps = probability > 0

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the pair with a compressed degraded image and without maps, or the same pair."""
        if rng.random() >= self._probability:
            return pair
        quality = int(rng.integers(*self._quality_range, endpoint=True))
        top, left = (int(pixels) for pixels in rng.integers(_BLOCK_PX, size=2))
        padded = np.pad(pair.degraded, ((top, 0), (left, 0), (0, 0)), mode="symmetric")
        degraded = through_jpeg(padded, quality)[top:, left:]
        return replace(pair, degraded=np.ascontiguousarray(degraded), gain=None, spots=None)
