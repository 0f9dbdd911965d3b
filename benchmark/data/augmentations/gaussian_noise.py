"""New Gaussian noise at each step: the training side of the classic denoising protocol."""

from dataclasses import replace

import numpy as np

from benchmark.data import Augmentation, Pair


class GaussianNoise(Augmentation):
    """The degraded patch is made anew: the target with white Gaussian noise, rounded and clipped to 8 bits.

    `sigma_range`: smallest and largest standard deviation in 8-bit levels, uniform, one a patch; equal values train for
    one level, (0, 50) trains a blind network. What the source had done to the degraded image is lost, and so are maps.
    """

    formula = "I' = J + n, n ~ N(0, sigma^2), sigma uniform, one a patch"
    drops_maps = True

    def __init__(self, sigma_range: tuple[float, float] = (25, 25)) -> None:
        low, high = sigma_range
        if not 0 <= low <= high <= 255:
            raise ValueError(f"sigma_range is [{low}, {high}]; write [smallest, largest], both from 0 to 255 levels")
        self._sigma_range = sigma_range

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """The pair with other noise, without maps."""
        sigma = np.float32(rng.uniform(*self._sigma_range))
        noisy = pair.target + sigma * rng.standard_normal(pair.target.shape, np.float32)
        degraded = np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
        return replace(pair, degraded=degraded, gain=None, spots=None)
