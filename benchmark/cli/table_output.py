"""Print tables: in a terminal or a file, and the tables of reports also as Markdown or CSV."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:  # rich and reports are imported only when a table is printed
    from rich.console import RenderableType
    from rich.table import Table

    from reports.grid import Grid

TableFormat = Literal["table", "markdown", "csv"]

_WIDTH_OF_A_FILE = 200
"""Characters. A file or a pipe has no width of its own; this many keep each row on one line."""


def format_option(csv_help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--format` of a command that prints tables; `csv_help` says what CSV contains."""
    formats = click.Choice(["table", "markdown", "csv"])
    return click.option("--format", "form", type=formats, default="table", show_default=True, help=f"csv: {csv_help}")


def new_table(*columns: str, numbers: int = 0) -> "Table":
    """Return an empty table without rules; its last `numbers` columns are aligned to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index >= len(columns) - numbers else "left")
    return table


def show_table(table: "RenderableType") -> None:
    """Print a table on standard output."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    (console if console.is_terminal else Console(highlight=False, markup=False, width=_WIDTH_OF_A_FILE)).print(table)


def select_columns(grid: "Grid", keys: Collection[str]) -> "Grid":
    """Return a grid with the columns of these keys alone: a terminal is narrower than a page."""
    from reports.grid import with_columns

    return with_columns(grid, lambda column: column.key in keys)


def show_grid(grid: "Grid", form: TableFormat) -> None:
    """Print a table of a report; as CSV numbers are unrounded, without caption and notes."""
    from reports.pages.table_formats import csv_text, markdown_table

    if form == "csv":
        click.echo(csv_text(grid), nl=False)
    elif form == "markdown":
        click.echo(f"{markdown_table(grid)}\n")
    else:
        _show_grid_as_table(grid)


def _show_grid_as_table(grid: "Grid") -> None:
    from rich.text import Text

    from reports.grid import on_page

    shown = on_page(grid)
    table = new_table()
    for column in shown.columns:
        label = f"{column.label}, {column.unit}" if column.unit else column.label
        table.add_column(label, justify="right" if column.numeric else "left", overflow="fold")
    for index, line in enumerate((*shown.lines, *shown.footer_rows)):
        is_last = index == len(shown.lines) - 1 and bool(shown.footer_rows)
        table.add_row(*(Text(cell.text, "bold" if cell.best else "") for cell in line), end_section=is_last)
    click.echo(grid.caption)
    show_table(table)
    for note in grid.notes:
        click.echo(note)
    click.echo("")
