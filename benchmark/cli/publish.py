"""`publish`: a run as a small folder that belongs into a repository."""

from pathlib import Path

import click


@click.command("publish")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--append", is_flag=True, help="Add the rows and seeds that the study lacks, as a new batch of scores.")
@click.option(
    "--out",
    "study",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the study; without it, reports/published/<name of the run folder>.",
)
def command(run: Path, append: bool, study: Path | None) -> None:
    """Write the run in RUN as a published study: records, scores of every image, loss curves, experiment and report.

    A study takes a thirtieth of the files of its run. `report`, `claims`, `compare` and `leaderboard` read it like the
    run. Images of the run are not in it, except for the figures of its report.

    \b
    Examples:
      python -m benchmark publish runs/quickstart
      python -m benchmark publish runs/quickstart --append          # more seeds of the same experiment
      python -m benchmark publish runs/mine --out studies/mine
    """
    from reports.pages.publish import publish

    target = study or Path("reports/published") / run.resolve().name
    publish(run, target, append=append)
    files = [file for file in target.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files if file.suffix != ".png")
    click.echo(f"published: {target}: {len(files)} files, {size / 1e6:.2f} MB besides figures")
