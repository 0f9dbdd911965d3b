"""A grid as CSV: raw numbers, one header line."""

import csv
import io

from reports.grid import Grid, Value

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def render(grid: Grid) -> str:
    """The CSV text of a grid; its lines apart follow the others."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_safe(column.key) for column in grid.columns])
    for line in (*grid.lines, *grid.apart):
        writer.writerow([_safe(cell.value) for cell in line])
    return out.getvalue()


def _safe(value: Value) -> str | int | float:
    """A word that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
