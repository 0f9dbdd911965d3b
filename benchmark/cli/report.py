"""`report`: write the page of a run, a search or a measurement."""

from pathlib import Path

import click

from benchmark.errors import BenchmarkError

_MAX_NAMES = 4
"""New files named in one line of --watch."""


@click.command("report")
@click.argument("source", metavar="DIR|FILE.json", type=click.Path(path_type=Path))
@click.option("--watch", is_flag=True, help="Keep the report of a run current until all its records are there.")
@click.option(
    "--every",
    "every_seconds",
    type=click.FloatRange(0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks for new records and the page reloads itself.",
)
@click.option("--latex", is_flag=True, help="Also write each table as LaTeX, into report/tables.")
def command(source: Path, watch: bool, every_seconds: float, latex: bool) -> None:
    """Write the report of DIR or FILE.json from the records alone. Nothing is trained or measured.

    DIR is the folder of a run or of a search; its report goes into DIR/report. FILE.json is what `measure --json`
    wrote; its report goes into FILE_report beside it.

    \b
    Examples:
      python -m benchmark report runs/quickstart
      python -m benchmark report runs/gunet_full --watch       # in a second terminal, while the run goes on
      python -m benchmark report runs/quick_search
      python -m benchmark report runs/gunet_full --latex       # tables for a paper
      python -m benchmark report costs.json
    """
    from reports import write

    if watch:
        _watch(source, every_seconds, latex)
    else:
        click.echo(f"report: {write(source, latex=latex)}")


def _watch(run: Path, every_seconds: float, latex: bool) -> None:
    from reports.pages.watch import watch

    if not (run / "plan.json").is_file() and run.exists():
        raise BenchmarkError(f"{run}: no plan.json; --watch needs a run; leave it out for anything else")
    updates = watch(run, every_seconds, latex=latex)
    try:
        for update in updates:
            more = f" and {len(update.new) - _MAX_NAMES} more" if len(update.new) > _MAX_NAMES else ""
            new = f"; new: {', '.join(update.new[:_MAX_NAMES])}{more}" if update.new else ""
            click.echo(f"report: {update.page}: {update.there} of {update.planned} records{new}")
    except KeyboardInterrupt:
        click.echo("stopped watching; the page stays as it is and no longer reloads itself", err=True)
    finally:
        updates.close()
