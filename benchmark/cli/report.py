"""`report`: from records alone."""

from pathlib import Path

import click

from benchmark.errors import BenchmarkError, RecordError

_MOST_NAMES = 4
"""Files named in one line of --watch."""


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
    help="How often --watch looks for something new, and the page loads itself anew.",
)
def command(source: Path, watch: bool, every_seconds: float) -> None:
    """Write the report of what is in DIR or FILE.json, from what is there alone. Nothing is trained or measured.

    That is the folder of a run, the folder of a search, or the numbers that `measure --json` wrote. The report of a
    folder is written into its folder `report`, that of FILE.json into FILE_report beside it.

    \b
    Examples:
      python -m benchmark report runs/quickstart
      python -m benchmark report runs/gunet_full --watch       # in a second terminal, while the run goes on
      python -m benchmark report runs/quick_search
      python -m benchmark report costs.json
    """
    from reports import ReportError, write

    try:
        if watch:
            _watch(source, every_seconds)
        else:
            click.echo(f"report: {write(source)}")
    except ReportError as error:
        raise RecordError(str(error)) from None


def _watch(run: Path, every_seconds: float) -> None:
    from reports.pages.watch import watch

    if not (run / "plan.json").is_file() and run.exists():
        raise BenchmarkError(f"{run}: --watch is for the folder of a run, which has a plan.json; leave --watch out")
    updates = watch(run, every_seconds)
    try:
        for update in updates:
            shown = ", ".join(update.new[:_MOST_NAMES])
            more = f" and {len(update.new) - _MOST_NAMES} more" if len(update.new) > _MOST_NAMES else ""
            new = f"; new: {shown}{more}" if update.new else ""
            click.echo(f"report: {update.page}: {update.there} of {update.planned} records{new}")
    except KeyboardInterrupt:
        click.echo("stopped watching; the page stays as it is, and loads itself no more", err=True)
    finally:
        updates.close()
