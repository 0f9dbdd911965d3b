"""The table of a test set beside `test`, and the sentence that warns where rows are worse there than doing nothing."""

from collections.abc import Sequence

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import IMAGE_METRICS
from reports.results.further_tests import METRICS, FurtherTest, TestedRow, worst
from reports.schema import PHOTOGRAPHS

_MOST_NAMES = 6
_DECIBELS = IMAGE_METRICS["psnr"]


def in_words(test: FurtherTest) -> str:
    """Return what a test set is called in a sentence."""
    return "photographs" if test.name == PHOTOGRAPHS else f"test set {text.printable(test.name)}"


def scores_table(test: FurtherTest) -> Grid:
    """Return the rows of a test set, the best first, baselines below."""
    name = test.name
    notes = [f"Not tested on them: {text.listing(list(map(text.printable, test.lacking)))}."]
    return Grid(
        name=name if name == PHOTOGRAPHS else f"test_set_{name}",
        caption=f"Rows on {in_words(test)}, {text.count(len(test.images), 'image')}, mean over the seeds. Gain "
        "is against doing nothing (row identity); a negative one is a loss.",
        columns=(ROW_COLUMN, *(column for metric in METRICS for column in _columns(metric, name))),
        lines=tuple(_line(row) for row in test.trained),
        footer_rows=tuple(_line(row) for row in test.rows if row.is_baseline),
        notes=tuple(notes if test.lacking else ()),
        sortable=True,
    )


def warning(test: FurtherTest) -> str:
    """Return one sentence about the trained rows that are worse there than doing nothing; empty where none is."""
    worst_first = sorted(test.trained, key=lambda row: row.gains.get("psnr_background", 0.0))
    losing, worsening = [[row for row in worst_first if is_so(row)] for is_so in (_loses, _worsens)]
    clauses: list[str] = []
    if losing:
        are = "are" if len(losing) > 1 else "is"
        clauses.append(f"{_names(losing)} {are} worse than doing nothing{_most(losing, 'psnr', ' PSNR')}")
    if worsening:
        subject = "" if worsening == losing else f"{_names(worsening)} "
        levels = max(row.means.get("harm", 0.0) for row in worsening)
        amount = text.with_unit(text.number(levels, 2), IMAGE_METRICS["harm"].unit)
        background = _most(worsening, "psnr_background", f", mean harm up to {amount}")
        clauses.append(f"{subject}{_verb(worsening, 'make')} the background worse{background}")
    return f"On {in_words(test)}, {' and '.join(clauses)}." if clauses else ""


def _loses(row: TestedRow) -> bool:
    return row.loses


def _worsens(row: TestedRow) -> bool:
    return row.worsens_background


def _most(rows: Sequence[TestedRow], metric: str, more: str = "") -> str:
    """Return the greatest loss in brackets, with the name of the row where there are several."""
    row = worst(rows, metric)
    if row is None:
        return f" ({more.removeprefix(', ')})" if more else ""
    loss = text.with_unit(text.signed(row.gains[metric], _DECIBELS.decimals), _DECIBELS.unit)
    return f" ({f'{text.printable(row.row)} most, ' if len(rows) > 1 else ''}{loss}{more})"


def _verb(rows: Sequence[TestedRow], verb: str) -> str:
    return verb if len(rows) > 1 else f"{verb}s"


def _names(rows: Sequence[TestedRow]) -> str:
    names = [text.printable(row.row) for row in rows]
    more = len(names) - _MOST_NAMES
    return text.listing([*names[:_MOST_NAMES], f"{more} more"] if more > 0 else names)


def _columns(metric: str, test_set: str) -> list[Column]:
    facts = IMAGE_METRICS[metric]
    value = Column(f"{metric}_{test_set}", facts.label, facts.unit, hint=facts.meaning)
    if metric == "harm":
        return [value]
    hint = f"{facts.label} minus that of doing nothing."
    return [value, Column(f"{metric}_gain_{test_set}", "gain", facts.unit, hint=hint)]


def _line(row: TestedRow) -> Line:
    cells: list[Cell] = []
    for metric in METRICS:
        facts, mean, gain = IMAGE_METRICS[metric], row.means.get(metric), row.gains.get(metric)
        cells.append(Cell(mean, text.number(mean, facts.decimals)))
        if metric != "harm":
            cells.append(Cell(gain, text.ABSENT if gain is None else text.signed(gain, facts.decimals)))
    return (plain(row.row), *cells)
