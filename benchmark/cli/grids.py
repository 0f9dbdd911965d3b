"""Tables of reports in a terminal, as Markdown or as CSV."""

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

import click
from rich.text import Text

from benchmark.cli.tables import new_table, show_table
from reports.grid import Grid, Line, on_page

Format = Literal["table", "markdown", "csv"]


def chosen(grid: Grid, keys: Collection[str]) -> Grid:
    """The grid with the columns of these keys alone: a terminal is narrower than a page."""
    keep = [index for index, column in enumerate(grid.columns) if column.key in keys]

    def cut(lines: tuple[Line, ...]) -> tuple[Line, ...]:
        return tuple(tuple(line[index] for index in keep) for line in lines)

    columns = tuple(grid.columns[index] for index in keep)
    return replace(grid, columns=columns, lines=cut(grid.lines), apart=cut(grid.apart))


def show_grid(grid: Grid, form: Format) -> None:
    """Print a grid; as CSV numbers are unrounded, without caption and notes."""
    from reports.pages import csvfile, markdown

    if form == "csv":
        click.echo(csvfile.render(grid), nl=False)
    elif form == "markdown":
        click.echo(f"{markdown.table(grid)}\n")
    else:
        _show_table(grid)


def _show_table(grid: Grid) -> None:
    shown = on_page(grid)
    table = new_table()
    for column in shown.columns:
        label = f"{column.label}, {column.unit}" if column.unit else column.label
        table.add_column(label, justify="right" if column.numeric else "left", overflow="fold")
    for index, line in enumerate((*shown.lines, *shown.apart)):
        is_last = index == len(shown.lines) - 1 and bool(shown.apart)
        table.add_row(*(Text(cell.text, "bold" if cell.best else "") for cell in line), end_section=is_last)
    click.echo(grid.caption)
    show_table(table)
    for note in grid.notes:
        click.echo(note)
    click.echo("")
