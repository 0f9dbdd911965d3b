"""Traces of JPEG in pixels: steps of brightness at the borders of its 8 x 8 blocks."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmark.audit.luminance import luminance

BLOCK_PX: Final = 8
MIN_SIDE_PX: Final = 64
_CLEAR: Final = 2.0
"""By how many standard errors the borders must stand out in both directions."""
_STEP_LIMIT_LEVELS: Final = 20
"""Larger steps are the picture's own edges."""


def has_block_grid(image: NDArray[np.uint8]) -> bool:
    """Whether steps of brightness are strongest every 8 pixels from the corner, in rows and in columns.

    Of 106 photographs, portraits and drawn faces it is True for 105 saved at quality 80, 91 at quality 90, 48 at
    quality 95 and none without JPEG, nor for any of 360 drawn faces of 64 to 128 px. A grid that was cropped off its
    corner or resized is not seen. False for images below 64 px a side.
    """
    if min(image.shape[:2]) < MIN_SIDE_PX:
        return False
    values = luminance(image)
    return all(_stands_out(direction) for direction in (values, values.T))


def _stands_out(values: NDArray[np.float32]) -> bool:
    steps = np.minimum(np.abs(np.diff(values, axis=1)), _STEP_LIMIT_LEVELS)
    excess = (steps[:, 1:-1] - 0.5 * (steps[:, :-2] + steps[:, 2:])).mean(0)
    by_place = [excess[place::BLOCK_PX].astype(np.float64) for place in range(BLOCK_PX)]
    border = BLOCK_PX - 2  # the step from column 7 to 8 is number 7, and the first step has no neighbour before it
    means = [float(one.mean()) for one in by_place]
    inside = np.concatenate([one for place, one in enumerate(by_place) if abs(place - border) > 1])
    error = float(inside.std()) / len(by_place[border]) ** 0.5 + 1e-3  # a drawing may have no steps at all
    return means[border] == max(means) and (means[border] - float(inside.mean())) / error > _CLEAR
