"""`leaderboard`: all rows of all runs below a folder, ranked."""

from pathlib import Path

import click

from benchmark.cli.table_output import TableFormat, format_option, select_columns, show_grid

_SHOWN = ("rank", "row", "seeds", "weight_bytes_float32", "macs", "latency_ms", "gates", "folder")


@click.command("leaderboard")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--metric", metavar="NAME", help="Rank by this metric.  [default: the primary metric of each run]")
@click.option("--gates", "keeping_gates", is_flag=True, help="Rank only rows that fail no gate.")
@format_option("all columns, unrounded.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Also write a report there.")
def command(folder: Path, metric: str | None, keeping_gates: bool, form: TableFormat, output: Path | None) -> None:
    """Rank the rows of all runs in or below DIR, from their records alone.

    Rows that were tested on the same images are ranked in one table, by the mean over seeds and images; each other
    set of test images or metric has its own table. Rows that failed, were rejected or are incomplete stand below with
    the reason.

    \b
    Examples:
      python -m benchmark leaderboard runs
      python -m benchmark leaderboard runs --metric psnr_spots --gates
      python -m benchmark leaderboard runs --format csv > rows.csv
    """
    from reports.comparison.leaderboard import leaderboard
    from reports.pages.compare_page import leaderboard_page, write

    rankings = leaderboard(folder, metric, keeping_gates=keeping_gates)
    page = write(leaderboard_page(rankings), output) if output else None
    for ranking in rankings.boards:
        columns = {*_SHOWN, ranking.metric.name}
        show_grid(ranking.ranking if form == "csv" else select_columns(ranking.ranking, columns), form)
    if not rankings.boards:
        click.echo("no row can be ranked", err=True)
    if rankings.exclusions and form != "csv":
        show_grid(rankings.exclusions, form)
    if page:
        click.echo(f"report: {page}", err=True)
