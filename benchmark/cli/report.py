"""`report`: from records alone."""

from pathlib import Path

import click

from benchmark.errors import RecordError


@click.command("report")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Write the report of the run in DIR again, from its records alone. Nothing is trained or measured.

    \b
    Example:
      python -m benchmark report runs/quickstart
    """
    from reports import write
    from reports.load import ReportError

    try:
        page = write(folder)
    except ReportError as error:
        raise RecordError(str(error)) from None
    click.echo(f"report: {page}")
