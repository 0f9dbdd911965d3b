"""A table as it is shown: columns, cells, caption.

It is called a grid because a table, in this project, is a set of rows that are compared with the base row.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from reports.text import printable

Value = str | int | float | None


@dataclass(frozen=True)
class Column:
    """A column; `key` is its name in the CSV file, `label` and `unit` are its heading on the page."""

    key: str
    label: str
    unit: str = ""
    numeric: bool = True
    hint: str = ""
    """What the column means."""
    is_row_header: bool = False
    """The cells of this column name their line."""
    csv_only: bool = False
    """The column is only in the CSV file."""
    optional: bool = False
    """The column is hidden until the reader of the page chooses it; Markdown and LaTeX lack it."""
    narrow: bool = False
    """The column is among the few that a phone shows at first."""


ROW_COLUMN = Column("row", "row", numeric=False, is_row_header=True)


@dataclass(frozen=True)
class Mark:
    """The sign of a gate's result, with the reason behind it."""

    sign: str
    name: str
    reason: str
    kind: str
    """CSS class for the colour; the sign says the same without colour."""


@dataclass(frozen=True)
class Cell:
    """A cell; `value` is unrounded, for the CSV file and for sorting, `text` is shown."""

    value: Value
    text: str
    best: bool = False
    hint: str = ""
    marks: tuple[Mark, ...] = ()
    second: bool = False
    """Second best of its column."""


Line = tuple[Cell, ...]


@dataclass(frozen=True)
class Grid:
    """One table of a report; `name` is unique within it and names the CSV file. Without a name there is no file."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    footer_rows: tuple[Line, ...] = ()
    """Lines below the others that are never sorted, such as baselines."""
    notes: tuple[str, ...] = ()
    sortable: bool = False
    row_anchor: str = ""
    """Start of the ids of the lines, for links to them; the name of the line follows. Empty: no ids."""


def plain(text: str) -> Cell:
    """Return a cell of words."""
    return Cell(text, printable(text))


def with_columns(grid: Grid, keep: Callable[[Column], bool]) -> Grid:
    """Return the grid with some of its columns."""
    places = [index for index, column in enumerate(grid.columns) if keep(column)]
    return replace(
        grid,
        columns=tuple(grid.columns[index] for index in places),
        lines=tuple(tuple(line[index] for index in places) for line in grid.lines),
        footer_rows=tuple(tuple(line[index] for index in places) for line in grid.footer_rows),
    )


def in_print(grid: Grid) -> Grid:
    """Return the grid without columns that the reader of the page must choose, and without those of the CSV file."""
    return with_columns(grid, lambda column: not column.csv_only and not column.optional)


def on_page(grid: Grid) -> Grid:
    """Return the grid without the columns that only the CSV file has."""
    return with_columns(grid, lambda column: not column.csv_only)
