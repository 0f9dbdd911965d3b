"""Mirror left and right: keeps what the network may learn about upright faces."""

import numpy as np

from benchmark.data import Augmentation, Pair


class HorizontalFlip(Augmentation):
    """Half of the pairs mirrored left-right, images and maps alike; arrays come back contiguous."""

    formula = "left-right mirror with probability 1/2"

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """The pair or its mirror image, maps kept."""
        step = -1 if rng.random() < 0.5 else 1
        return pair.rearranged(lambda pixels: pixels[:, ::step])
