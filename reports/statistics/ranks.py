"""Ranks with intervals: which places a row may have, and which rows may be best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import BASE, Summary, complete
from reports.statistics.intervals import ERROR_RATE, RANK_ERROR_RATE
from reports.statistics.verdicts import (
    Comparison,
    Family,
    analyses_of,
    compare_pair,
    compare_with,
    family_of_report,
)


@dataclass(frozen=True)
class Order:
    """Which of some rows are surely better than which others; all of it holds together."""

    rows: tuple[str, ...]
    surely_better: frozenset[tuple[str, str]]
    """Pairs of a better and a worse row."""

    def rank(self, row: str) -> tuple[int, int]:
        """Return the first and the last place that a row may have, counted from 1."""
        better = sum((other, row) in self.surely_better for other in self.rows)
        worse = sum((row, other) in self.surely_better for other in self.rows)
        return 1 + better, len(self.rows) - worse

    def may_be_best(self, among: Sequence[str]) -> list[str]:
        """Return the rows that none of the others is surely better than."""
        return [row for row in among if not any((other, row) in self.surely_better for other in among)]


def order_of(results: Results, rows: Mapping[str, Summary], metric: Metric) -> Order:
    """Return the order of the trained rows that finished as many seeds as any other.

    Differences to base are those of the report. All other pairs are a family of their own, with an error rate of 1 %.
    """
    trained = complete([row for row in rows.values() if not row.is_baseline and row.by_seed(metric.name)])
    chosen = {row.row: row for row in trained}
    others = [name for name in chosen if name != BASE]
    pairs: set[tuple[str, str]] = set()
    if BASE in chosen:
        against_base = compare_with(results, rows, BASE, metric, family_of_report(results))
        pairs |= _surely_better(against_base[name] for name in others)
    for place, reference in enumerate(others[1:], 1):
        compared = compare_with(results, chosen, reference, metric, _family_of_ranks(results, rows))
        pairs |= _surely_better(compared[name] for name in others[:place])
    return Order(tuple(chosen), frozenset(pairs))


def order_of_pairs(results: Results, rows: Mapping[str, Summary], metric: Metric) -> Order:
    """Return the order of the trained rows of several experiments, all pairs of which hold together with 95 %.

    Every pair is compared alone: rows of different experiments share no stages, so their seed noise is not pooled.
    """
    trained = complete([row for row in rows.values() if not row.is_baseline and row.by_seed(metric.name)])
    pairs = list(combinations(trained, 2))
    family = Family(max(len(pairs), 1), ERROR_RATE)
    compared = (
        compare_pair(results, {row.row: row, other.row: other}, row.row, other.row, metric, family)
        for row, other in pairs
    )
    return Order(tuple(row.row for row in trained), frozenset(_surely_better(compared)))


def order_by(compared: Mapping[str, Comparison], rows: Mapping[str, Summary], metric: Metric) -> Order:
    """Return the order of the trained rows that some comparisons show."""
    trained = complete([row for row in rows.values() if not row.is_baseline and row.by_seed(metric.name)])
    names = {row.row for row in trained}
    sure = _surely_better(comparison for comparison in compared.values() if comparison.row in names)
    return Order(tuple(row.row for row in trained), frozenset(pair for pair in sure if names.issuperset(pair)))


def family_of_pair(results: Results, rows: Mapping[str, Summary], row: str, reference: str, metric: Metric) -> Family:
    """Return the family of a pair in a report: that of its differences, or that of its ranks where base is none."""
    is_of_report = BASE in (row, reference) and metric.name == results.plan.primary
    return family_of_report(results) if is_of_report else _family_of_ranks(results, rows)


def _family_of_ranks(results: Results, rows: Mapping[str, Summary]) -> Family:
    """Return the family of all pairs of a trained row with another row, without base."""
    trained = sum(not row.is_baseline and row.row != BASE for row in rows.values())
    baselines = sum(row.is_baseline for row in rows.values())
    pairs = trained * (trained - 1) // 2 + trained * baselines
    return Family(max(pairs, 1), RANK_ERROR_RATE, analyses_of(results.plan))


def _surely_better(comparisons: Iterable[Comparison]) -> set[tuple[str, str]]:
    """Return the pairs of a better and a worse row whose interval excludes 0 and is reliable."""
    pairs: set[tuple[str, str]] = set()
    for comparison in comparisons:
        if comparison.gain is None or comparison.reason:
            continue
        if comparison.gain.low > 0:
            pairs.add((comparison.row, comparison.reference))
        elif comparison.gain.high < 0:
            pairs.add((comparison.reference, comparison.row))
    return pairs
