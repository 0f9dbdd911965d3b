"""Turn by quarter turns."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data import Augmentation, Pair


class Rotate90(Augmentation):
    """0, 1, 2 or 3 quarter turns equally often, images and maps alike; arrays come back contiguous.

    A patch that is not square comes back with height and width exchanged half of the time.
    """

    formula = "0, 90, 180 or 270 degrees anticlockwise, each with probability 1/4"

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """The turned pair, maps kept."""
        turns = int(rng.integers(4))
        arrays: dict[str, NDArray[Any]] = {
            key: value for key, value in vars(pair).items() if isinstance(value, np.ndarray)
        }
        return replace(pair, **{key: np.ascontiguousarray(np.rot90(value, turns)) for key, value in arrays.items()})
