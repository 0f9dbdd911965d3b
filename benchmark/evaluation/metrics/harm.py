"""Harm: error that the network added to the background."""

import numpy as np

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison, builtin_facts, sum_over


class Harm(ComparisonMetric):
    """Mean increase of the absolute error over the background, in 8-bit levels; improvements do not count."""

    unit, direction, formula = builtin_facts("harm")

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the harm; None where spots cover the image."""
        background = ~comparison.mask
        pixels = int(np.count_nonzero(background))
        if not pixels:
            return None
        return sum_over(np.maximum(comparison.error - comparison.damage, 0), background) / (3 * pixels)
