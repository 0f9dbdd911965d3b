"""`compare`: rows of several experiments in one table."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.table_output import TableFormat, format_option, select_columns, show_grid

if TYPE_CHECKING:  # pandas is imported only when the command runs
    from reports.comparison.compare import ComparedRuns

_SHOWN = ("rank", "row", "seeds", "weight_bytes_float32", "latency_ms", "gates", "macs")


@click.command("compare")
@click.argument("folders", metavar="DIR DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--reference", metavar="EXPERIMENT/ROW", help="Compare with this row.  [default: base of the first]")
@click.option("--metric", metavar="NAME", help="Compare by it.  [default: the primary metric of the first DIR]")
@format_option("the differences alone, unrounded.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Also write a report there.")
def command(
    folders: tuple[Path, ...], reference: str | None, metric: str | None, form: TableFormat, output: Path | None
) -> None:
    """Put the rows of two or more runs into one table, from their records alone.

    The runs must have been tested on the same images and share the metric and seeds; if not, the command says why.
    Rows are called EXPERIMENT/ROW (FOLDER/ROW where experiments have the same name). Below the tables stand the other
    settings in which the experiments differ.

    \b
    Examples:
      python -m benchmark compare runs/quickstart runs/lower_lr
      python -m benchmark compare runs/quickstart runs/mine --reference mine/base --metric psnr_spots
      python -m benchmark compare runs/quickstart runs/lower_lr --output comparison
    """
    from reports.comparison.compare import compare
    from reports.pages.compare_page import comparison_page, write

    compared = compare(folders, reference, metric)
    page = write(comparison_page(compared), output) if output else None
    _show(compared, form)
    if page:
        click.echo(f"report: {page}", err=True)


def _show(compared: "ComparedRuns", form: TableFormat) -> None:
    if form == "csv":
        show_grid(compared.differences.grid, form)
        return
    primary = compared.metric.name
    show_grid(select_columns(compared.ranking, {*_SHOWN, primary, f"{primary}_spread"}), form)
    show_grid(compared.differences.grid, form)
    if compared.problems:
        show_grid(compared.problems, form)
    for note in compared.notes:
        click.echo(f"* {note}")
