"""`compare`: rows of several experiments in one table."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.errors import RecordError

if TYPE_CHECKING:  # pandas comes in only when the command runs
    from benchmark.cli.grids import Format
    from reports.comparison.compare import Compared

_SHOWN = ("rank", "row", "seeds", "weight_bytes_float32", "latency_ms", "gates", "macs")


@click.command("compare")
@click.argument("folders", metavar="DIR DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--reference", metavar="EXPERIMENT/ROW", help="Compare with this row.  [default: base of the first]")
@click.option("--metric", metavar="NAME", help="Compare by this one.  [default: the primary metric of the first DIR]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "csv"]),
    default="table",
    show_default=True,
    help="csv: the differences alone, unrounded.",
)
@click.option("--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Write a report there, too.")
def command(
    folders: tuple[Path, ...], reference: str | None, metric: str | None, form: "Format", output: Path | None
) -> None:
    """Put the rows of two or more runs into one table, from their records alone.

    That may be done where all were tested on the same images, have the metric, and share seeds; where not, it says why
    not. Rows are called EXPERIMENT/ROW (FOLDER/ROW where experiments have the same name). In what the experiments
    differ besides stands below.

    \b
    Examples:
      python -m benchmark compare runs/quickstart runs/lower_lr
      python -m benchmark compare runs/quickstart runs/mine --reference mine/base --metric psnr_spots
      python -m benchmark compare runs/quickstart runs/lower_lr --output comparison
    """
    from reports import ReportError
    from reports.comparison.compare import compare
    from reports.pages.compare_page import comparison, write

    try:
        found = compare(folders, reference, metric)
        page = write(comparison(found), output) if output else None
    except ReportError as error:
        raise RecordError(str(error)) from None
    _show(found, form)
    if page:
        click.echo(f"report: {page}", err=True)


def _show(found: "Compared", form: "Format") -> None:
    from benchmark.cli.grids import chosen, show_grid

    if form == "csv":
        show_grid(found.opposed.grid, form)
        return
    primary = found.metric.name
    show_grid(chosen(found.ranking, {*_SHOWN, primary, f"{primary}_spread"}), form)
    show_grid(found.opposed.grid, form)
    if found.problems:
        show_grid(found.problems, form)
    for note in found.notes:
        click.echo(f"* {note}")
