"""Print tables, durations and progress: in a terminal or a file; the tables of reports also as Markdown or CSV."""

import codecs
import io
import sys
import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

if TYPE_CHECKING:  # rich and reports are imported only when something is printed
    from rich.console import RenderableType
    from rich.table import Table

    from reports.grid import Grid

Result = TypeVar("Result")
TableFormat = Literal["table", "markdown", "csv"]

PLAIN_SECONDS = 5.0
"""Least time between two plain lines of progress, outside a terminal."""
_WIDTH_OF_A_FILE = 200
"""Characters. A file or a pipe has no width of its own; this many keep each row on one line."""


_PLAIN_SIGNS = {
    "✓": "+", "✗": "x", "−": "-", "–": "-", "—": "-", "×": "x", "·": "*", "±": "+/-", "…": "...", "Δ": "d", "µ": "u",
    "\N{NO-BREAK SPACE}": " ", "━": "-", "╸": "-", "╺": "-",
}  # fmt: skip
"""What stands for signs in a terminal that cannot print them; `?` stands for all others."""


class _AsciiStream(io.TextIOWrapper):
    """Text for a terminal that knows ASCII alone. It calls itself UTF-8, because click does not believe in ASCII."""

    def write(self, text: str, /) -> int:
        """Write a text with plain signs."""
        return super().write(text.encode("ascii", "plain_signs").decode())


def print_anywhere() -> None:
    """Make standard output and error replace what their encoding cannot print, where they would raise an error."""
    codecs.register_error("plain_signs", _plain_signs)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain_signs")
            if codecs.lookup(stream.encoding).name == "ascii":
                buffering = stream.line_buffering
                setattr(sys, name, _AsciiStream(stream.detach(), "utf-8", line_buffering=buffering))


def _plain_signs(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN_SIGNS.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def format_option(csv_help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option `--format` of a command that prints tables; `csv_help` says what CSV contains."""
    form = click.Choice(["table", "markdown", "csv"])
    return click.option("--format", "form", type=form, default="table", show_default=True, help=f"csv: {csv_help}")


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

    width = None if Console().is_terminal else _WIDTH_OF_A_FILE
    Console(highlight=False, markup=False, width=width).print(table)


def show_grid(grid: "Grid", form: TableFormat, keys: Collection[str] = ()) -> None:
    """Print a table of a report; as CSV numbers are unrounded, without caption and notes.

    `keys`: of the columns that are shown, since a terminal is narrower than a page; none given: all, and all in CSV.
    """
    from rich.text import Text

    from reports.grid import on_page, with_columns
    from reports.pages.table_formats import csv_text, markdown_table

    if form == "csv":
        click.echo(csv_text(grid), nl=False)
        return
    grid = with_columns(grid, lambda column: not keys or column.key in keys)
    if form == "markdown":
        click.echo(f"{markdown_table(grid)}\n")
        return
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
    click.echo("".join(f"{note}\n" for note in grid.notes))


def duration(seconds: float) -> str:
    """Return a duration in words: `8 s`, `3 min 20 s`, `5 h 12 min`, `12 days 4 h`."""
    whole = max(0, round(seconds))
    for name, size, below, below_size in (("days", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // below_size} {below}"
    return f"{whole} s"


def show_progress(results: Iterable[Result], total: int, what: str) -> list[Result]:
    """Return all results, and show on stderr how many of `total` are ready: a bar in a terminal, lines elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*bar, console=Console(stderr=True), transient=True) as progress:
            return list(progress.track(results, total=total, description=what))
    ready: list[Result] = []
    last = time.perf_counter()
    for result in results:
        ready.append(result)
        if time.perf_counter() - last > PLAIN_SECONDS:
            last = time.perf_counter()
            click.echo(f"{what} {len(ready)}/{total}", err=True)
    return ready


def show_network(number: int, total: int) -> None:
    """Show on stderr which network is being timed: on one line of a terminal, a line each elsewhere."""
    is_terminal = sys.stderr.isatty()
    end = "" if is_terminal and number < total else "\n"
    start = "\r" if is_terminal else ""
    click.echo(f"{start}estimating network {number} of {total}{end}", err=True, nl=False)
