"""A table as it is shown: columns, cells, caption.

Called grid because a table, in this project, is a set of rows that are compared with the base row.
"""

from dataclasses import dataclass, replace

from reports.text import printable

Value = str | int | float | None


@dataclass(frozen=True)
class Column:
    """`key` heads the column in the CSV file, `label` and `unit` on the page."""

    key: str
    label: str
    unit: str = ""
    numeric: bool = True
    hint: str = ""
    """What the column means, for those who ask."""
    heads_row: bool = False
    """The cells of this column name their line."""
    csv_only: bool = False
    """Left out on the page, where the unit or the like stands in another cell."""


ROW_COLUMN = Column("row", "row", numeric=False, heads_row=True)


@dataclass(frozen=True)
class Mark:
    """A sign with a name (a gate and how it went), and the reason behind it."""

    sign: str
    name: str
    reason: str
    kind: str
    """A class for colour; the sign says the same without colour."""


@dataclass(frozen=True)
class Cell:
    """`value` goes into the CSV file unrounded and orders the column, `text` is shown."""

    value: Value
    text: str
    best: bool = False
    hint: str = ""
    marks: tuple[Mark, ...] = ()
    second: bool = False
    """Next to the best of its column."""


Line = tuple[Cell, ...]


@dataclass(frozen=True)
class Grid:
    """One table of a report; `name` is unique within it and names the CSV file."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    apart: tuple[Line, ...] = ()
    """Lines set apart from the others, below them."""
    notes: tuple[str, ...] = ()
    sortable: bool = False


def plain(text: str) -> Cell:
    """A cell of words."""
    return Cell(text, printable(text))


def on_page(grid: Grid) -> Grid:
    """The grid without the columns that only the CSV file has."""
    keep = [index for index, column in enumerate(grid.columns) if not column.csv_only]
    return replace(
        grid,
        columns=tuple(grid.columns[index] for index in keep),
        lines=tuple(tuple(line[index] for index in keep) for line in grid.lines),
        apart=tuple(tuple(line[index] for index in keep) for line in grid.apart),
    )
