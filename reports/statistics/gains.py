"""How much better one row is than another, with an interval: what claims are judged by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from reports import text
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import BASE, Summary
from reports.statistics.intervals import FEWEST_SEEDS
from reports.statistics.verdicts import Verdict, contrast


@dataclass(frozen=True)
class Gain:
    """How much better one row is than another in a metric, with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float
    difference: tuple[float, float]
    """The interval of the plain difference, row minus rival: for a metric that is best near 1, something else."""
    seeds: int
    seeds_to_reach: Callable[[float], int | None]
    """Half-width of the interval -> seeds that make it so narrow; None where no number of seeds does."""
    doubt: str = ""
    """Why the interval decides nothing; empty where it does."""
    resolves: str = ""
    """What would end the doubt."""

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Unknown:
    """No interval: why, and what would give one."""

    reason: str
    resolves: str


Gains = Callable[[str, str, Metric], Gain | Unknown]
"""(row, rival, metric) -> the gain of the row over the rival."""


def gains_of(results: Results, rows: Mapping[str, Summary], comparisons: int) -> Gains:
    """The gains of any row over any other, with intervals that hold for so many comparisons at once."""
    return partial(_gain, results, rows, comparisons)


def _gain(
    results: Results, rows: Mapping[str, Summary], comparisons: int, row: str, rival: str, metric: Metric
) -> Gain | Unknown:
    pair = (rows[row], rows[rival])
    verdict = _verdict(results, rows, comparisons, row, rival, metric)
    if verdict.gain is None:
        return Unknown(verdict.reason, _what_gives_an_interval(pair))
    sign = 1.0 if verdict.row == row else -1.0
    low, high = sorted((sign * verdict.gain.low, sign * verdict.gain.high))

    def seeds_to_reach(half_width: float) -> int | None:
        # The margin of a plan is the half-width that verdicts count seeds for.
        plan = results.plan.model_copy(update={"primary": metric.name, "equivalence_margin": half_width})
        again = _verdict(replace(results, plan=plan), rows, comparisons, row, rival, metric)
        return again.gain.seeds_needed if again.gain else None

    # A floor row has no seeds, hence no word; its interval counts the seeds of the other row.
    reason = "" if any(one.is_baseline for one in pair) else verdict.reason
    doubt = next((f"not all seeds of {one.row} have finished" for one in pair if _lacks_seeds(one)), reason)
    raw = sorted((sign * verdict.estimate.low, sign * verdict.estimate.high)) if verdict.estimate else (low, high)
    return Gain(
        mean=sign * verdict.gain.difference,
        low=low,
        high=high,
        difference=(raw[0], raw[1]),
        seeds=verdict.gain.seeds,
        seeds_to_reach=seeds_to_reach,
        doubt=doubt,
        resolves=_what_gives_an_interval(pair) if doubt else "",
    )


def _verdict(
    results: Results, rows: Mapping[str, Summary], comparisons: int, row: str, rival: str, metric: Metric
) -> Verdict:
    """Of the row against the rival, or of the rival against the row where that one is a floor row."""
    first, second = (rival, row) if rows[rival].is_baseline else (row, rival)
    return contrast(results, rows, first, second, metric, comparisons)


def _what_gives_an_interval(pair: tuple[Summary, Summary]) -> str:
    for one in pair:
        if _lacks_seeds(one):
            return f"finish the other seeds of {one.row}"
    seeds = min((len(one.finished) for one in pair if not one.is_baseline), default=0)
    if seeds < FEWEST_SEEDS:
        return text.count(FEWEST_SEEDS - seeds, "more seed")
    return "more seeds, or more rows like these" if _pools_noise(pair) else "more seeds"


def _pools_noise(pair: tuple[Summary, Summary]) -> bool:
    """Whether other rows of a table tell of the seed noise, too: those against base only."""
    return BASE in [one.row for one in pair] and not any(one.is_baseline for one in pair)


def _lacks_seeds(row: Summary) -> bool:
    return len(row.finished) < row.planned
