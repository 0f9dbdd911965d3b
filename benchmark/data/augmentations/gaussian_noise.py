"""New Gaussian noise at each step: the training side of the classic denoising protocol."""

from dataclasses import replace

import numpy as np

from benchmark.data import Augmentation, Pair, check_range, to_levels


class GaussianNoise(Augmentation):
    """The degraded patch is replaced by the target with white Gaussian noise, rounded and clipped to 8 bits.

    `sigma_range`: smallest and largest standard deviation in 8-bit levels, uniform, one a patch; equal values train for
    one level, (0, 50) trains a blind network. The damage of the source is lost, and so are the maps.
    """

    formula = "I' = J + n, n ~ N(0, sigma^2), sigma uniform, one a patch"
    drops_maps = True

    def __init__(self, sigma_range: tuple[float, float] = (25, 25)) -> None:
        check_range("sigma_range", sigma_range, 0, 255)
        self._sigma_range = sigma_range

    def apply(self, pair: Pair, rng: np.random.Generator) -> Pair:
        """Return the pair with other noise, without maps."""
        sigma = np.float32(rng.uniform(*self._sigma_range))
        noisy = pair.target + sigma * rng.standard_normal(pair.target.shape, np.float32)
        return replace(pair, degraded=to_levels(noisy), gain=None, spots=None)
