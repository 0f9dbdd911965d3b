"""Mirror left and right: keeps what the network may learn about upright faces."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Augmentation, Pair


class HorizontalFlip(Augmentation):
    """Half of the pairs mirrored left-right, images and maps alike; arrays come back contiguous."""

    formula = "left-right mirror with probability 1/2"

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """The pair or its mirror image, maps kept."""
        step = -1 if rng.random() < 0.5 else 1
        arrays: dict[str, NDArray[Any]] = {
            key: value for key, value in vars(pair).items() if isinstance(value, np.ndarray)
        }
        return replace(pair, **{key: np.ascontiguousarray(value[:, ::step]) for key, value in arrays.items()})
