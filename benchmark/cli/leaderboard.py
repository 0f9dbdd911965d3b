"""`leaderboard`: all rows of all runs below a folder, ranked."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.errors import RecordError

if TYPE_CHECKING:  # pandas comes in only when the command runs
    from benchmark.cli.grids import Format
    from reports.comparison.leaderboard import Board, Leaderboard

_SHOWN = ("rank", "row", "seeds", "weight_bytes_float32", "macs", "latency_ms", "gates", "folder")


@click.command("leaderboard")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--metric", metavar="NAME", help="Rank by this one.  [default: the primary metric of each run]")
@click.option("--gates", "keeping_gates", is_flag=True, help="Rank only rows that fail no gate.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "csv"]),
    default="table",
    show_default=True,
    help="csv: all columns, unrounded.",
)
@click.option("--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Write a report there, too.")
def command(folder: Path, metric: str | None, keeping_gates: bool, form: "Format", output: Path | None) -> None:
    """Rank the rows of all runs in or below DIR, from their records alone.

    Rows are ranked among those that were tested on the same images, by the mean over seeds and images; other test data
    or another metric make a table of their own. Rows that failed, were rejected or are incomplete stand below with the
    reason.

    \b
    Examples:
      python -m benchmark leaderboard runs
      python -m benchmark leaderboard runs --metric psnr_spots --gates
      python -m benchmark leaderboard runs --format csv > rows.csv
    """
    from reports import ReportError
    from reports.comparison.leaderboard import leaderboard
    from reports.pages.compare_page import board, write

    try:
        found = leaderboard(folder, metric, keeping_gates=keeping_gates)
        page = write(board(found), output) if output else None
    except ReportError as error:
        raise RecordError(str(error)) from None
    _show(found, form)
    if page:
        click.echo(f"report: {page}", err=True)


def _show(found: "Leaderboard", form: "Format") -> None:
    from benchmark.cli.grids import show_grid

    for board in found.boards:
        _show_board(board, form)
    if not found.boards:
        click.echo("no row can be ranked", err=True)
    if found.unranked and form != "csv":
        show_grid(found.unranked, form)


def _show_board(board: "Board", form: "Format") -> None:
    from benchmark.cli.grids import chosen, show_grid

    primary = board.metric.name
    show_grid(board.ranking if form == "csv" else chosen(board.ranking, {*_SHOWN, primary}), form)
