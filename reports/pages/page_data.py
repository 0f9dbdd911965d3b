"""The data that the scripts of a report use: the ranking unrounded, and what its rows can be plotted by."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports import text
from reports.grid import Grid
from reports.metrics import Metric
from reports.pages.table_formats import LATEX_SPECIAL, T1_LETTERS
from reports.results import Results
from reports.results.further_tests import METRICS as FURTHER_METRICS
from reports.results.further_tests import FurtherTest
from reports.results.summary import BASE, Summary, latency
from reports.tables.score_tables import metric_names

_COSTS = (
    ("latency_ms", "latency here", "ms", "latency"),
    ("file_mb", "file", "MB", "size"),
    ("gmacs", "MACs", "G", "macs"),
    ("params", "parameters", "", "parameters"),
    ("training_s", "training a seed", "s", ""),
)
"""Key, label, unit and the quantity of the gates that limit it."""
_FEW_STEPS = 0.02
"""Share of the steps of base below which a row counts as only weighed."""
_DIVISORS = {"size": 1e6, "macs": 1e9}

PageData = dict[str, Any]


def page_data(
    grid: Grid,
    rows: Mapping[str, Summary],
    results: Results,
    primary: Metric,
    differences: Sequence[Grid],
    tests: Sequence[FurtherTest],
) -> PageData:
    """Return plain data for JSON: columns and lines of the ranking, its rows, and the axes of the plot.

    Args:
        grid: The ranking with all its columns.
        rows: All rows by name.
        results: The run.
        primary: The metric that rows are ranked by.
        differences: The tables of differences to the base row.
        tests: The test sets beside `test`.
    """
    lines = (*grid.lines, *grid.footer_rows)
    ordered = [rows[str(line[1].value)] for line in lines]
    qualities = _quality_axes(ordered, results, primary, tests)
    whiskers = _whiskers(differences)
    tables = list(dict.fromkeys(table for row in rows.values() for table in row.tables))
    described: list[dict[str, Any]] = [
        {
            "name": text.printable(row.row),
            "anchor": f"row-{text.anchor(text.printable(row.row))}",
            "details": f"details-{text.anchor(text.printable(row.row))}",
            "tables": [text.printable(table) for table in row.tables],
            "colour": 1 + tables.index(row.tables[0]) if row.tables else 0,
            "is_base": row.row == BASE,
            "is_baseline": row.is_baseline,
            "is_weighed_only": _is_weighed_only(row, rows),
            "passes": not row.failed_gates,
            "values": _costs(row) | _qualities(row, results, primary, tests),
            "whiskers": _around_value(row, whiskers.get(row.row, {}), results)
            | ({"latency_ms": list(gate.interval)} if (gate := latency(row)) and gate.interval else {}),
        }
        for row in ordered
    ]
    costs = [
        {
            "key": key,
            "label": label,
            "unit": unit,
            "kind": "cost",
            "direction": "lower",
            "limits": _limits(ordered, quantity),
        }
        for key, label, unit, quantity in _COSTS
        if any(key in row["values"] for row in described)
    ]
    return {
        "experiment": text.printable(results.plan.experiment),
        "columns": [{"key": column.key, "label": column.label, "unit": column.unit} for column in grid.columns],
        "lines": [[_plain(cell.value) for cell in line] for line in lines],
        "rows": described,
        "tables": [text.printable(table) for table in tables],
        "axes": [*costs, *qualities],
        "latex": {"special": LATEX_SPECIAL, "plain": "".join(sorted(T1_LETTERS))},
    }


def _is_weighed_only(row: Summary, rows: Mapping[str, Summary]) -> bool:
    """Tell whether a row has hardly any steps beside base: it stands in the report for its size and time alone."""
    steps, of_base = (
        max((sum(stage.steps for stage in record.stages) for record in finished), default=0)
        for finished in (row.finished, rows[BASE].finished if BASE in rows else ())
    )
    return not row.is_baseline and bool(row.finished) and 0 < steps < _FEW_STEPS * of_base


def _plain(value: object) -> object:
    return text.printable(value) if isinstance(value, str) else value


def _costs(row: Summary) -> dict[str, float]:
    """Return what a row costs, in the units of the axes."""
    gate, model = latency(row), row.model
    seconds = None if row.is_baseline else row.seconds_per_seed
    values = {
        "latency_ms": gate.measured if gate else None,
        "file_mb": model.file_bytes / 1e6 if model and model.file_bytes else None,
        "gmacs": model.macs / 1e9 if model else None,
        "params": model.params if model else None,
        "training_s": seconds,
    }
    return {key: float(value) for key, value in values.items() if value is not None}


def _limits(rows: Sequence[Summary], quantity: str) -> list[dict[str, Any]]:
    """Return the limits of the gates that were measured here, each once."""
    gates = [gate for row in rows for gate in row.gates if gate.quantity == quantity and gate.measured is not None]
    named = dict.fromkeys((text.printable(gate.name), gate.limit / _DIVISORS.get(quantity, 1.0)) for gate in gates)
    return [{"name": name, "at": limit} for name, limit in named]


def _quality_axes(
    rows: Sequence[Summary], results: Results, primary: Metric, tests: Sequence[FurtherTest]
) -> list[dict[str, Any]]:
    names = metric_names(rows, primary) if any(row.finished for row in rows) else []
    further = [f"{name}@{test.name}" for test in tests for name in FURTHER_METRICS]
    metrics = [results.metric(name) for name in (*names, *further)]
    return [
        {
            "key": metric.name,
            "label": metric.label,
            "unit": metric.unit,
            "kind": "quality",
            "direction": metric.direction,
            "decimals": metric.decimals,
            "limits": [],
        }
        for metric in metrics
    ]


def _qualities(row: Summary, results: Results, primary: Metric, tests: Sequence[FurtherTest]) -> dict[str, float]:
    values = {name: row.mean(name) for name in metric_names([row], primary)}
    for test in tests:
        tested = next((tested for tested in test.rows if tested.row == row.row), None)
        values |= {f"{name}@{test.name}": mean for name, mean in (tested.means.items() if tested else ())}
    return {name: value for name, value in values.items() if value is not None}


def _whiskers(differences: Sequence[Grid]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return row -> metric -> difference to base and the ends of its interval; none for one that is not shown."""
    whiskers: dict[str, dict[str, tuple[float, float, float]]] = {}
    for grid in differences:
        keys = [column.key for column in grid.columns]
        for line in grid.lines:
            cells = dict(zip(keys, line, strict=True))
            own = whiskers.setdefault(str(line[0].value), {})
            for key in (key for key in keys if key.endswith("_difference")):
                ends = ("low", "high") if key == keys[1] else (f"{key}_low", f"{key}_high")
                shown = cells["low"] if key == keys[1] else cells[key]
                values = (cells[key].value, *(cells[end].value for end in ends))
                if "n/a" not in shown.text and all(isinstance(value, float) for value in values):
                    own.setdefault(key.removesuffix("_difference"), values)  # pyright: ignore[reportArgumentType]
    return whiskers


def _around_value(
    row: Summary, whiskers: Mapping[str, tuple[float, float, float]], results: Results
) -> dict[str, list[float]]:
    """Return metric -> the interval of the difference to base, laid around the row's own mean."""
    means = {name: row.mean(name) for name in whiskers}
    return {
        name: [mean + low - difference, mean + high - difference]
        for name, (difference, low, high) in whiskers.items()
        if (mean := means[name]) is not None
    }
