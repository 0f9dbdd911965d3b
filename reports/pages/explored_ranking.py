"""The ranking with further columns to choose from: difference to base, verdict, all metrics, tests, limits by name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reports import text
from reports.grid import Cell, Column, Grid, plain
from reports.metrics import IMAGE_METRICS, Metric
from reports.results import Results
from reports.results.further_tests import FurtherTest
from reports.results.summary import BASE, Summary
from reports.statistics.ranks import Order
from reports.tables import gates
from reports.tables.score_tables import MAIN_METRICS, metric_names, ranking

_ABSENT = Cell(None, text.ABSENT)
_OPTIONAL = {"texture", "params"}
_NARROW = {"latency_ms", "weight_bytes_float32", "gates"}
_FURTHER = ("psnr", "harm")
"""Metrics of further test sets that are columns."""

Cells = Mapping[str, Cell]
"""Key of a column -> cell of a row."""


def explored_ranking(
    rows: Mapping[str, Summary],
    results: Results,
    primary: Metric,
    differences: Sequence[Grid],
    tests: Sequence[FurtherTest],
    order: Order,
    reference: str = BASE,
) -> Grid:
    """Return the ranking with all columns that a reader may choose; those beside the usual ones are hidden at first.

    Args:
        rows: All rows by name.
        results: The run.
        primary: The metric that rows are ranked by.
        differences: The tables of differences to the reference row; the first one that has a row counts.
        tests: The test sets beside `test`.
        order: Which rows are surely better than which others.
        reference: The row that differences are against.
    """
    everything = list(rows.values())
    grid = ranking(everything, primary, order)
    compared = _compared_cells(differences)
    usual = tuple(_usual_column(column, primary) for column in grid.columns)
    spread = next(place for place, column in enumerate(usual) if column.key == f"{primary.name}_spread")
    against_base = _difference_columns(primary, reference) if compared else ()
    metrics = [
        results.metric(name) for name in metric_names(everything, primary) if name not in (primary.name, *MAIN_METRICS)
    ]
    presets = gates.presets_of(everything)
    further = (
        *(Column(metric.name, metric.label, metric.unit, hint=metric.meaning, optional=True) for metric in metrics),
        *(column for test in tests for column in _test_columns(test.name)),
        *map(gates.preset_column, presets),
        Column("seconds_per_seed", "training a seed", hint="With gates and evaluation.", optional=True),
        Column("table", "table", numeric=False, optional=True),
    )

    def extended(line: tuple[Cell, ...]) -> tuple[Cell, ...]:
        row = rows[str(line[1].value)]
        own = compared.get(row.row, {})
        seconds = None if row.is_baseline else row.seconds_per_seed
        return (
            *line[:spread],
            *(own.get(column.key, _ABSENT) for column in against_base),
            *line[spread:],
            *(Cell(mean, text.number(mean, metric.decimals)) for metric in metrics for mean in [row.mean(metric.name)]),
            *(_test_cell(test, row.row, metric) for test in tests for metric in _FURTHER),
            *(gates.preset_cell(row, preset) for preset in presets),
            Cell(seconds, text.duration(seconds)),
            plain(text.listing(list(row.tables))) if row.tables else _ABSENT,
        )

    return replace(
        grid,
        columns=(*usual[:spread], *against_base, *usual[spread:], *further),
        lines=tuple(map(extended, grid.lines)),
        footer_rows=tuple(map(extended, grid.footer_rows)),
        row_anchor="row",
    )


def _usual_column(column: Column, primary: Metric) -> Column:
    """Return a column of the ranking: shown at first, on a phone, or when the reader chooses it."""
    is_spread = column.key == f"{primary.name}_spread"
    return replace(
        column,
        optional=column.key in _OPTIONAL or is_spread,
        narrow=column.key in _NARROW or column.key == primary.name,
    )


def _difference_columns(primary: Metric, reference: str) -> tuple[Column, ...]:
    key, name = f"{primary.name}_difference", text.printable(reference)
    hint = f"Row minus {name}, mean over seeds, with its interval in this report."
    return (
        Column(key, f"Δ\N{NO-BREAK SPACE}to {name}", primary.unit, hint=hint, narrow=True),
        Column(f"{key}_low", "low", primary.unit, csv_only=True),
        Column(f"{key}_high", "high", primary.unit, csv_only=True),
        Column("verdict", "verdict", numeric=False, hint="What the interval says about the row."),
    )


def _compared_cells(differences: Sequence[Grid]) -> dict[str, Cells]:
    """Return row -> cells of its difference to base, from the first table that has the row."""
    compared: dict[str, Cells] = {}
    for grid in differences:
        keys = [column.key for column in grid.columns]
        key = keys[1]
        for line in (*grid.lines, *grid.footer_rows):
            cells = dict(zip(keys, line, strict=True))
            interval = cells["low"].text
            shown = cells[key].text if interval == text.ABSENT else f"{cells[key].text} {interval}"
            compared.setdefault(
                str(line[0].value),
                {
                    key: replace(cells[key], text=shown),
                    f"{key}_low": cells["low"],
                    f"{key}_high": cells["high"],
                    "verdict": cells["verdict"],
                },
            )
    return compared


def _test_columns(test_set: str) -> list[Column]:
    return [
        Column(
            f"{name}_{test_set}",
            f"{IMAGE_METRICS[name].label} on {test_set}",
            IMAGE_METRICS[name].unit,
            hint=IMAGE_METRICS[name].meaning,
            optional=True,
        )
        for name in _FURTHER
    ]


def _test_cell(test: FurtherTest, row: str, name: str) -> Cell:
    tested = next((tested for tested in test.rows if tested.row == row), None)
    mean = tested.means.get(name) if tested else None
    return Cell(mean, text.number(mean, IMAGE_METRICS[name].decimals))
