"""What the width of an interval comes from, and the seeds and images that would make it narrower."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import numpy as np

from reports.statistics.error_spending import Analyses, family_limits
from reports.statistics.seed_noise import Floats

MOST = 1_000_000
"""Seeds or images beyond which more of them count as of no help."""


@dataclass(frozen=True)
class Needed:
    """Seeds and images in all that reach a half-width if the noise stays as it is."""

    seeds: int | None
    """Seeds with the present images; None where no number of seeds is enough."""
    images: int | None
    """Images with the present seeds; None where no number of images is enough."""
    together: tuple[int, int]
    """Seeds and images where both grow by the same factor."""


@dataclass(frozen=True)
class Precision:
    """The variance of a difference by its causes, in squared units of the score, and the family of its interval."""

    seed_variance: float
    seed_degrees: float
    """Degrees of freedom of the seed variance."""
    image_variance: float
    remainder: float
    """The variance that both contain."""
    seeds: int
    images: int
    comparisons: int
    correlation: float
    error_rate: float
    analyses: Analyses | None = None
    """The planned ones, over which the error rate is spent; None: there is one."""

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        variance, degrees = combined(
            np.asarray(self.seed_variance),
            np.asarray(self.seed_degrees),
            np.asarray(self.image_variance),
            np.asarray(self.remainder),
            self.images,
        )
        limit = family_limits(self.seeds, self.analyses, self.comparisons, self.correlation, degrees, self.error_rate)
        return float(limit * np.sqrt(variance))

    @property
    def seed_share(self) -> float:
        """Share of the variance that more seeds would reduce, 0 to 1."""
        image = max(self.image_variance - self.remainder, 0.0)
        return self.seed_variance / max(self.seed_variance + image, np.finfo(np.float64).tiny)

    def with_evidence(self, seeds: int, images: int) -> "Precision":
        """Return what the precision would be with so many seeds and images of the same noise."""
        remainder = self.remainder * self.seeds * self.images / (seeds * images)
        of_seed = max(self.seed_variance - self.remainder, 0.0) * self.seeds / seeds
        of_image = max(self.image_variance - self.remainder, 0.0) * self.images / images
        return replace(
            self,
            seed_variance=of_seed + remainder,
            seed_degrees=self.seed_degrees * (seeds - 1) / (self.seeds - 1),
            image_variance=of_image + remainder,
            remainder=remainder,
            seeds=seeds,
            images=images,
        )

    @lru_cache(maxsize=1024)  # noqa: B019  # of frozen values: card, table, headline and advice ask for the same
    def needed(self, half_width: float) -> Needed:
        """Return the seeds and images, at least the present ones, that reach a half-width above 0."""
        seeds = _fewest(lambda count: self.with_evidence(count, self.images).half_width <= half_width, self.seeds)
        images = _fewest(lambda count: self.with_evidence(self.seeds, count).half_width <= half_width, self.images)

        def grown(count: int) -> tuple[int, int]:
            return count, -(-self.images * count // self.seeds)

        grown_seeds = _fewest(lambda count: self.with_evidence(*grown(count)).half_width <= half_width, self.seeds)
        return Needed(seeds, images, grown(grown_seeds or MOST))


def combined(
    seed: Floats, seed_degrees: Floats, image: Floats, remainder: Floats, images: int
) -> tuple[Floats, Floats]:
    """Return variance and degrees of freedom of a mean difference from its parts, of which both contain the remainder.

    The variance is never below either part. The degrees of freedom are Satterthwaite's, at least 1.
    """
    tiny = np.finfo(np.float64).tiny
    variance = np.maximum(seed + image - remainder, np.maximum(seed, image))
    spread = seed**2 / seed_degrees + image**2 / (images - 1)
    degrees = np.maximum(variance**2 / np.maximum(spread, tiny), 1.0)
    return np.maximum(variance, tiny), cast(Floats, degrees)


def _fewest(is_enough: Callable[[int], bool], present: int) -> int | None:
    """Return the smallest count from `present` on that is enough, by bisection; None above `MOST`."""
    low, high = present - 1, present
    while not is_enough(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
