"""Left-right mirror images: faces stay upright."""

import numpy as np

from benchmark.data import Augmentation, Pair


class HorizontalFlip(Augmentation):
    """Half of the pairs mirrored left-right, images and maps alike; arrays come back contiguous."""

    formula = "left-right mirror with probability 1/2"

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the pair or its mirror image, maps kept."""
        step = -1 if rng.random() < 0.5 else 1
        return pair.map_spatial(lambda pixels: pixels[:, ::step])
