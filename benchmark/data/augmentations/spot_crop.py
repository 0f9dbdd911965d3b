"""Crops around spots: most of a face is clean, and a patch without damage teaches little."""

import numpy as np
from numpy.typing import NDArray

from benchmark.data import SPOT_THRESHOLD_LEVELS, CropAugmentation, Pair, check_share, damage_mask
from benchmark.data.sampling import crop_at, random_crop, require_side

_SEARCHED_PX = 256
_SEARCHES = 4


class SpotCrop(CropAugmentation):
    """With probability `share` the patch is cut around a random pixel of the spots, else anywhere.

    A spot pixel is one where any channel of |target - degraded| exceeds `threshold_levels`; it comes to lie in the
    middle half of the patch, unless that leaves the image. It is looked for in up to four random squares of 256 pixels,
    not in the whole image: with few spots in a large image, or none, some of the share are cut anywhere, too.
    """

    formula = "with probability share a random spot pixel lies in the middle half of the patch"

    def __init__(self, share: float = 0.5, threshold_levels: int = SPOT_THRESHOLD_LEVELS) -> None:
        check_share("share", share)
        self._share = share
        self._threshold_levels = threshold_levels

    def crop(self, pair: Pair, side: int, rng: np.random.Generator) -> Pair:
        """Return a patch `side x side`, maps kept; the pair must be as large as that."""
        require_side(pair, side)
        spot = self._find_spot(pair, rng) if rng.random() < self._share else None
        if spot is None:
            return random_crop(pair, side, rng)
        middle = rng.integers(side // 4, side - side // 4, 2)
        corner = np.clip(spot - middle, 0, np.array(pair.degraded.shape[:2]) - side)
        return crop_at(pair, int(corner[0]), int(corner[1]), side)

    def _find_spot(self, pair: Pair, rng: np.random.Generator) -> NDArray[np.int64] | None:
        """Return row and column of a random spot pixel, or None if none was found."""
        sides = np.array(pair.degraded.shape[:2])
        for _ in range(_SEARCHES):
            # Around a random pixel, so that the edges of the image are searched as often as its middle.
            top, left = np.clip(rng.integers(sides) - _SEARCHED_PX // 2, 0, np.maximum(sides - _SEARCHED_PX, 0))
            window = (slice(top, top + _SEARCHED_PX), slice(left, left + _SEARCHED_PX))
            rows, columns = np.nonzero(damage_mask(pair.degraded[window], pair.target[window], self._threshold_levels))
            if rows.size:
                chosen = rng.integers(rows.size)
                return np.array([top + rows[chosen], left + columns[chosen]])
        return None
