"""Mirror images in both directions, independently."""

import numpy as np

from benchmark.data import Augmentation, Pair


class Flip(Augmentation):
    """Each of the four mirror images equally often, images and maps alike; arrays come back contiguous."""

    formula = "top-bottom mirror and left-right mirror, each with probability 1/2"

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the pair or one of its three mirror images, maps kept."""
        down, right = (-1 if draw < 0.5 else 1 for draw in rng.random(2))
        return pair.map_spatial(lambda pixels: pixels[::down, ::right])
