"""How much better one row is than another, with an interval: the evidence that claims are evaluated with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from reports import text
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import BASE, Summary
from reports.statistics.intervals import FEWEST_SEEDS
from reports.statistics.verdicts import Comparison, compare_pair


@dataclass(frozen=True)
class Gain:
    """How much better one row is than another in a metric, with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float
    difference: tuple[float, float]
    """Interval of the plain difference, row minus rival. It differs from the gain for a metric that is best near 1."""
    seeds: int
    seeds_to_reach: Callable[[float], int | None]
    """Half-width -> seeds that make the interval so narrow; None where no number of seeds does."""
    doubt: str = ""
    """Why the interval decides nothing; empty where it does."""
    resolves: str = ""
    """What would remove the doubt."""

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Unknown:
    """There is no interval: why, and what would give one."""

    reason: str
    resolves: str


Gains = Callable[[str, str, Metric], Gain | Unknown]
"""(row, rival, metric) -> the gain of the row over the rival."""


def gains_of(results: Results, rows: Mapping[str, Summary], comparisons: int) -> Gains:
    """Return a function for the gain of any row over any other; its intervals hold for so many comparisons at once."""
    return partial(_gain, results, rows, comparisons)


def _gain(
    results: Results, rows: Mapping[str, Summary], comparisons: int, row: str, rival: str, metric: Metric
) -> Gain | Unknown:
    pair = (rows[row], rows[rival])
    # A baseline is always the row that is compared: it has no seeds of its own.
    first, second = (rival, row) if rows[rival].is_baseline else (row, rival)

    def compared(results: Results) -> Comparison:
        return compare_pair(results, rows, first, second, metric, comparisons)

    def seeds_to_reach(half_width: float) -> int | None:
        # Comparisons count the seeds that reach the equivalence margin of the plan.
        plan = results.plan.model_copy(update={"primary": metric.name, "equivalence_margin": half_width})
        gain = compared(replace(results, plan=plan)).gain
        return gain.seeds_needed if gain else None

    comparison = compared(results)
    if comparison.gain is None or comparison.estimate is None:
        return Unknown(comparison.reason, _next_evidence(pair))
    sign = 1.0 if comparison.row == row else -1.0
    low, high = sorted((sign * comparison.gain.low, sign * comparison.gain.high))
    difference = sorted((sign * comparison.estimate.low, sign * comparison.estimate.high))
    # A baseline has no verdict because it has no seeds. Its interval counts the seeds of the other row.
    reason = "" if any(side.is_baseline for side in pair) else comparison.reason
    unfinished = [f"not all seeds of {side.row} have finished" for side in pair if len(side.finished) < side.planned]
    doubt = next(iter(unfinished), reason)
    return Gain(
        mean=sign * comparison.gain.difference,
        low=low,
        high=high,
        difference=(difference[0], difference[1]),
        seeds=comparison.gain.seeds,
        seeds_to_reach=seeds_to_reach,
        doubt=doubt,
        resolves=_next_evidence(pair) if doubt else "",
    )


def _next_evidence(pair: tuple[Summary, Summary]) -> str:
    """Return what would give the pair an interval, or a reliable one."""
    for row in pair:
        if len(row.finished) < row.planned:
            return f"finish the other seeds of {row.row}"
    seeds = min((len(row.finished) for row in pair if not row.is_baseline), default=0)
    if seeds < FEWEST_SEEDS:
        return text.count(FEWEST_SEEDS - seeds, "more seed")
    pools_noise = BASE in [row.row for row in pair] and not any(row.is_baseline for row in pair)
    return "more seeds, or more rows like these" if pools_noise else "more seeds"
