"""Intervals as readers see them; one that is wider than the scale of the scores says nothing and is not shown.

Two seeds have one degree of freedom, so an interval over them can be many times wider than all rows lie apart. Its ends
stay in the CSV file, unrounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reports import text
from reports.grid import Cell, Grid, Line
from reports.metrics import Metric
from reports.results.summary import IDENTITY, Summary
from reports.statistics.intervals import FEWEST_SEEDS, Estimate


def scale(rows: Sequence[Summary], metric: Metric) -> float:
    """Return how far the means of the trained rows and of doing nothing lie apart, in the metric's unit.

    A bad baseline would widen it beyond all differences of interest.
    """
    shown = [row for row in rows if not row.is_baseline or row.row == IDENTITY]
    means = [mean for row in shown if (mean := row.mean(metric.name)) is not None]
    return max(means) - min(means) if means else 0.0


def is_vacuous(low: float, high: float, seeds: int, scale_of_scores: float) -> bool:
    """Tell whether an interval over one or two seeds is wider than the scale of the scores."""
    return seeds < FEWEST_SEEDS and high - low > scale_of_scores


def not_available(seeds: int) -> str:
    """Return `n/a (2 seeds)`."""
    return f"n/a ({text.count(seeds, 'seed')})"


def interval_text(estimate: Estimate, metric: Metric, scale_of_scores: float) -> str:
    """Return `[−0.10, +0.30] dB`, or `n/a (2 seeds)` where it is wider than the scale."""
    if is_vacuous(estimate.low, estimate.high, estimate.seeds, scale_of_scores):
        return not_available(estimate.seeds)
    low, high = (text.signed(end, metric.difference_decimals) for end in (estimate.low, estimate.high))
    return text.with_unit(f"[{low}, {high}]", metric.unit)


def without_vacuous_intervals(grid: Grid, primary: str, scales: Mapping[str, float], seeds: int) -> Grid:
    """Return a table of differences whose vacuous intervals read `n/a (2 seeds)`; values stay as they are.

    Args:
        grid: A table of `tables.differences`.
        primary: Name of the metric in the columns `low`, `high` and `resolution`.
        scales: Metric -> scale of its scores.
        seeds: Seeds of the table.
    """
    if seeds >= FEWEST_SEEDS:
        return grid
    places = {column.key: place for place, column in enumerate(grid.columns)}

    def shown(line: Line) -> Line:
        cells = list(line)
        for name, widest in scales.items():
            keys = ("low", "high") if name == primary else (f"{name}_difference_low", f"{name}_difference_high")
            low, high = (cells[places[key]].value if key in places else None for key in keys)
            if not isinstance(low, float) or not isinstance(high, float) or not is_vacuous(low, high, seeds, widest):
                continue
            for key in ("low", "resolution") if name == primary else (f"{name}_difference",):
                cells[places[key]] = _hidden(cells[places[key]], seeds)
        return tuple(cells)

    return replace(grid, lines=tuple(map(shown, grid.lines)), footer_rows=tuple(map(shown, grid.footer_rows)))


def _hidden(cell: Cell, seeds: int) -> Cell:
    """Return the cell without its interval; a mean before the interval stays."""
    mean, bracket, _ = cell.text.partition(" [")
    return replace(cell, text=f"{mean} [{not_available(seeds)}]" if bracket else not_available(seeds))
