"""Rotation by quarter turns."""

import numpy as np

from benchmark.data import Augmentation, Pair


class Rotate90(Augmentation):
    """0, 1, 2 or 3 quarter turns equally often, images and maps alike; arrays come back contiguous.

    A patch that is not square comes back with height and width exchanged half of the time.
    """

    formula = "0, 90, 180 or 270 degrees anticlockwise, each with probability 1/4"

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the turned pair, maps kept."""
        turns = int(rng.integers(4))
        return pair.map_spatial(lambda pixels: np.rot90(pixels, turns))
