"""Fixed share: how much of the error in the spots is gone."""

from benchmark.evaluation.metrics import ComparisonMetric, ImageComparison, builtin_facts, sum_over


class FixedShare(ComparisonMetric):
    """1 - remaining error / original error, both summed over the spots."""

    unit, direction, formula = builtin_facts("fixed_share")

    def compute(self, comparison: ImageComparison) -> float | None:
        """Return the share; None where the pair has no spots."""
        if not comparison.mask.any():
            return None
        return 1 - sum_over(comparison.error, comparison.mask) / sum_over(comparison.damage, comparison.mask)
