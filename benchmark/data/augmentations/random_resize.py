"""Patches at several scales: spots and pores larger and smaller than in the photograph.

The reference solution tried it and found a very small gain; it gives no range, ours is a third to both sides.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data import CropAugmentation, Pair, check_range, to_half
from benchmark.data.sampling import random_crop, require_side


class RandomResize(CropAugmentation):
    """Cuts `side / scale` pixels at a random place and resizes them to `side`, both images alike.

    `scale_range`: smallest and largest enlargement; the scale is log-uniform between them, so that halving and doubling
    are equally likely. An image with fewer pixels than a scale asks for is cut at its shorter side. The filter is
    Pillow's bicubic, which averages where it shrinks (no aliasing).

    The maps are kept, resized by the same filter. A filter is linear, so D stays exact; of K * I the filtered product
    is not the product of the filtered, but K is smooth by definition: on the synthetic faces the equation is off by
    less than 0.01 levels before rounding, against 1.2 of sensor noise.
    """

    formula = "a square of side / s pixels resized to side (bicubic, antialiased), log s uniform in scale_range"

    def __init__(self, scale_range: tuple[float, float] = (0.75, 1.33)) -> None:
        check_range("scale_range", scale_range, 0.05, 20)
        self._log_range = math.log(scale_range[0]), math.log(scale_range[1])

    def crop(self, pair: Pair, side: int, rng: np.random.Generator) -> Pair:
        """Return a patch `side x side`, maps kept; the pair must be as large as that."""
        require_side(pair, side)
        scale = math.exp(rng.uniform(*self._log_range))
        window = min(max(1, round(side / scale)), *pair.degraded.shape[:2])
        patch = random_crop(pair, window, rng)
        if window == side:
            return patch
        return Pair(
            patch.name,
            _resize_image(patch.degraded, side),
            _resize_image(patch.target, side),
            None if patch.gain is None else _resize_map(patch.gain, side),
            None if patch.spots is None else _resize_map(patch.spots, side),
        )


def _resize_image(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def _resize_map(values: NDArray[np.float16], side: int) -> NDArray[np.float16]:
    # Pillow resizes floats one channel at a time.
    planes = np.ascontiguousarray(values.astype(np.float32).transpose(2, 0, 1))
    resized = [np.asarray(Image.fromarray(plane).resize((side, side), Image.Resampling.BICUBIC)) for plane in planes]
    return to_half(np.stack(resized, axis=-1))
