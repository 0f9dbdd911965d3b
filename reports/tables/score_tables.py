"""Tables of scores: the ranking, and all metrics of all rows."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, ordered
from reports.results import find_metric
from reports.results.summary import SPLIT, Summary, complete, latency, ranked
from reports.statistics.ranks import Order
from reports.tables import gates, training

_MOST_NAMES = 6
MAIN_METRICS = ("psnr", "psnr_spots", "harm", "score", "texture")
"""Shown in the ranking and as differences. The table of all metrics has the others."""


def ranking(rows: Sequence[Summary], primary: Metric, order: Order | None = None) -> Grid:
    """Return finished rows by the mean of the primary metric over seeds, baselines below.

    Args:
        rows: All rows.
        primary: What they are ranked by.
        order: Which rows are surely better than which; then a rank is shown as the places a row may have. A row that
            `order` lacks has no rank.
    """
    trained, baselines = _ranked(rows, primary)
    names = [name for name in metric_names([*trained, *baselines], primary) if name in (primary.name, *MAIN_METRICS)]
    shown = _facts_of(names, rows)
    best = _best(trained, shown)
    return Grid(
        name="ranking",
        caption=f"Rows by {primary.label}, mean over seeds of the mean over the test images"
        + (", with baselines, which need no training, below." if baselines else "."),
        columns=_ranking_columns(shown, primary),
        lines=tuple(
            _ranking_line(_rank_cell(place, row, primary, order), row, shown, primary, best)
            for place, row in enumerate(trained, 1)
        ),
        footer_rows=tuple(_ranking_line(Cell(None, text.ABSENT), row, shown, primary, best) for row in baselines),
        notes=(*_order_notes(order), *_ranking_notes(trained), *environment_notes(trained)),
        sortable=True,
    )


def all_metrics(rows: Sequence[Summary], primary: Metric) -> Grid:
    """Return every metric of every finished row, with its spread over the seeds in the CSV file."""
    trained, baselines = _ranked(rows, primary)
    shown = _facts_of(metric_names([*trained, *baselines], primary), rows)
    best = _best(trained, shown)
    columns = [
        column for measure in shown for column in (_metric_column(measure), _spread_column(measure, csv_only=True))
    ]
    return Grid(
        name="metrics",
        caption="All metrics, mean over seeds of the mean over the test images.",
        columns=(ROW_COLUMN, *columns),
        lines=tuple(_metrics_line(row, shown, best) for row in trained),
        footer_rows=tuple(_metrics_line(row, shown, best) for row in baselines),
        sortable=True,
    )


def environment_notes(rows: Sequence[Summary]) -> list[str]:
    """Return a warning where trained rows come from different environments (device, precision, torch version)."""
    records = [record for row in rows if not row.is_baseline for record in row.finished]
    mixed = sorted({str(record.provenance.get("environment") or "unknown") for record in records})
    warning = f"This table mixes environments: {text.listing(mixed)}. They may cause part of a difference."
    return [warning] if len(mixed) > 1 else []


def _facts_of(names: Iterable[str], rows: Sequence[Summary]) -> list[Metric]:
    records = [record for row in rows for record in row.attempts]
    return [find_metric(name, records) for name in names]


def metric_names(rows: Sequence[Summary], primary: Metric) -> list[str]:
    """Return the metrics that any row has on the test images, the primary one first."""
    names = {name for row in rows for record in row.finished for name in record.scores.get(SPLIT, {})}
    return ordered(names | {primary.name}, primary.name)


def _ranked(rows: Sequence[Summary], primary: Metric) -> list[list[Summary]]:
    """Return trained rows and baselines, each best first."""
    return [ranked([row for row in rows if row.is_baseline is is_baseline], primary) for is_baseline in (False, True)]


_Top = tuple[float, float | None]
"""The best and the second best value of a metric; None where no other value differs."""


def _best(trained: Sequence[Summary], shown: Sequence[Metric]) -> dict[str, _Top]:
    """Return metric -> the two best values among rows with equally many finished seeds, where they differ."""
    peers = complete(trained)
    tops: dict[str, _Top] = {}
    for measure in shown if len(peers) > 1 else ():
        values = {value for value in (row.mean(measure.name) for row in peers) if value is not None}
        if len(values) > 1:
            best, second, *_ = sorted(values, key=measure.sort_key)
            tops[measure.name] = best, second if len(peers) > 2 else None
    return tops


def _ranking_columns(shown: Sequence[Metric], primary: Metric) -> tuple[Column, ...]:
    metrics = [_metric_column(measure) for measure in shown]
    return (
        Column("rank", "rank", hint="The places that the row may have, where a range is given."),
        ROW_COLUMN,
        metrics[0],
        _spread_column(primary, csv_only=False),
        Column("seeds", "seeds", hint="Finished seeds, of those planned."),
        Column("weight_bytes_float32", "file", "MB", hint="Weights in float32, or the file in 8 bits; 10^6 bytes."),
        Column("latency_ms", "latency here", "ms", hint="Time of one image on the machine of this run."),
        Column("gates", "gates", numeric=False),
        *metrics[1:],
        Column("params", "params", hint="Number of parameters."),
        Column("macs", "MACs", "G", hint="Multiply-adds of convolutions and matrix products."),
        Column(
            "trained_seconds", "trained", hint="Time of the stages that this row trained, all seeds.", csv_only=True
        ),
        Column("trained_steps", "steps trained", hint="All seeds together.", csv_only=True),
        Column("reused_steps", "steps reused", hint="Steps whose weights came from the stage store.", csv_only=True),
    )


def _metric_column(measure: Metric) -> Column:
    return Column(measure.name, measure.label, measure.unit, hint=measure.meaning)


def _spread_column(measure: Metric, csv_only: bool) -> Column:
    return Column(
        f"{measure.name}_spread",
        "spread over seeds",
        measure.unit,
        hint=f"Highest minus lowest seed of {measure.label}.",
        csv_only=csv_only,
    )


def _ranking_line(rank: Cell, row: Summary, shown: Sequence[Metric], primary: Metric, best: dict[str, _Top]) -> Line:
    metrics = [_metric_cell(row, measure, best) for measure in shown]
    done, params, macs = len(row.finished), *((row.model.params, row.model.macs) if row.model else (None, None))
    return (
        rank,
        plain(row.row),
        metrics[0],
        _spread_cell(row, primary),
        Cell(None, text.ABSENT)
        if row.is_baseline
        else Cell(done, f"{done}{f' of {row.planned}' * (done != row.planned)}"),
        *_budget_cells(row),
        *metrics[1:],
        Cell(params, text.number(params, 0)),
        Cell(macs, text.giga(macs)),
        *_training_cells(row),
    )


def _rank_cell(place: int, row: Summary, primary: Metric, order: Order | None) -> Cell:
    """Return the place by the mean; where an order is given, shown as the first and the last place it may have."""
    if row.mean(primary.name) is None:
        return Cell(None, text.ABSENT)
    if order is None:
        return Cell(place, str(place))
    if row.row not in order.rows:
        return Cell(place, text.ABSENT, hint="Not ranked: it lacks seeds that other rows have.")
    first, last = order.rank(row.row)
    return Cell(place, f"{first}–{last}" if last > first else str(first))


def _metric_cell(row: Summary, measure: Metric, best: dict[str, _Top]) -> Cell:
    mean = row.mean(measure.name)
    top = None if row.is_baseline or mean is None else best.get(measure.name)
    shown = Cell(mean, text.number(mean, measure.decimals))
    return replace(shown, best=mean == top[0], second=mean == top[1]) if top else shown


def _spread_cell(row: Summary, measure: Metric) -> Cell:
    value = row.spread(measure.name)
    return Cell(value, text.number(value, measure.difference_decimals))


def _budget_cells(row: Summary) -> Line:
    """Return file size, latency and gates: what the limits are about."""
    gate = latency(row)
    size = row.model.file_bytes if row.model else None
    measured = gate.measured if gate else None
    marks = tuple(gates.mark(gate) for gate in row.gates)
    return (
        Cell(size, text.megabytes(size)),
        Cell(measured, text.significant(measured), hint=gates.conditions(gate) if gate else ""),
        Cell(
            "; ".join(f"{gate.name} {gate.result}" for gate in row.gates),
            " ".join(f"{mark.sign} {mark.name}" for mark in marks) or text.ABSENT,
            marks=marks,
        ),
    )


def _training_cells(row: Summary) -> Line:
    if row.is_baseline:
        return (Cell(None, text.ABSENT),) * 3
    cost = training.cost_of(row)
    return (
        Cell(cost.trained_seconds, text.duration(cost.trained_seconds)),
        Cell(cost.trained_steps, text.number(cost.trained_steps, 0)),
        Cell(cost.reused_steps, text.number(cost.reused_steps, 0)),
    )


def _order_notes(order: Order | None) -> list[str]:
    """Return what the ranks mean, and which rows may be best."""
    if order is None or len(order.rows) < 2:
        return []
    best = [text.printable(row) for row in order.may_be_best(order.rows)]
    named = f": {text.listing(best)}" if len(best) <= _MOST_NAMES else f" ({len(best)} of {len(order.rows)})"
    return [
        f"Rank: the places that a row may have; all hold together. Rows that may be best{named}.",
    ]


def _ranking_notes(trained: Sequence[Summary]) -> list[str]:
    notes: list[str] = []
    peers = complete(trained)
    if len(peers) > 1:
        notes.append(f"Bold: best of the rows with {text.count(len(peers[0].finished), 'finished seed')}.")
    if any(row.gates for row in trained):
        notes.append(gates.LEGEND)
    protocols = sorted({gates.conditions(gate) for gate in map(latency, trained) if gate})
    if protocols:
        notes.append(f"Latency here: time of one image; {'; '.join(protocols)}.")
    shapes = sorted({row.model.macs_shape for row in trained if row.model and row.model.macs_shape})
    if shapes:
        notes.append(f"MACs for an input of {', '.join('×'.join(map(str, shape)) for shape in shapes)}.")
    return notes


def _metrics_line(row: Summary, shown: Sequence[Metric], best: dict[str, _Top]) -> Line:
    cells = [cell for measure in shown for cell in (_metric_cell(row, measure, best), _spread_cell(row, measure))]
    return (plain(row.row), *cells)
