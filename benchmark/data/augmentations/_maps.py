"""Maps as they are stored."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_half(values: NDArray[np.floating[Any]]) -> NDArray[np.float16]:
    """Float16, with 0 for what is below its normal range (6e-5, a sixtieth of an 8-bit level).

    Numpy rounds such numbers some twenty times slower than others, and soft edges of spots are full of them.
    """
    small = np.abs(values) < np.finfo(np.float16).tiny
    return np.where(small, np.float32(0), values).astype(np.float16)
