"""`blind`: people choose between restored images without knowing the rows."""

import secrets
from pathlib import Path

import click

from benchmark.cli.terminal import TableFormat, format_option, show_grid


@click.command("blind")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("more_files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--rows", metavar="A,B,C", help="Make a test of these rows, with commas; at least two.")
@click.option(
    "--images", type=click.IntRange(1, 1000), default=12, show_default=True, help="Test images in the test, at most."
)
@click.option(
    "--pairs", type=click.IntRange(1, 1000), default=60, show_default=True, help="Pairs that a person sees, at most."
)
@click.option(
    "--repeats", type=click.IntRange(0, 100), default=5, show_default=True, help="Pairs that a person sees twice."
)
@click.option(
    "--reference",
    type=click.Choice(["none", "degraded", "target"]),
    default="none",
    show_default=True,
    help="What is shown above each pair.",
)
@click.option("--answers", "first_files", multiple=True, metavar="FILE...", type=click.Path(path_type=Path),
              help="Files that the test's page saved: rank the rows by them.")  # fmt: skip
@format_option("the ranking alone, unrounded.")
def command(
    run: Path,
    more_files: tuple[Path, ...],
    rows: str | None,
    images: int,
    pairs: int,
    repeats: int,
    reference: str,
    first_files: tuple[Path, ...],
    form: TableFormat,
) -> None:
    """Make a blind test of rows of a run, or rank the rows by its answers.

    With --rows: writes one page that works without network, RUN/blind/<test>/blind_test.html, and beside it key.json.
    Send the page alone: it names no row, the key does. Each person sees the pairs in an order and on sides of their
    own, chooses by keys or buttons, and saves a file.

    With --answers: fits a Bradley-Terry model with ties to the files, with a bootstrap over people and images, says how
    far people agree, and writes the result into the report of the run. Answers to several tests of a run count
    together.

    \b
    Examples:
      python -m benchmark blind runs/quickstart --rows base,heads.direct_rgb,identity
      python -m benchmark blind runs/quickstart --rows base,heads.direct_rgb --reference degraded --images 20
      python -m benchmark blind runs/quickstart --answers answers_*.json
    """
    if (rows is None) == (not first_files):
        raise click.UsageError("give either --rows, to make a test, or --answers, to read answers")
    if more_files and not first_files:
        raise click.UsageError(f"{more_files[0]}: files belong behind --answers")
    if rows is None:
        _rank(run, (*first_files, *more_files), form)
        return
    from reports.blind.task import make_task
    from reports.pages.blind_page import write_task
    from reports.results.load import load

    names = [name.strip() for name in rows.split(",") if name.strip()]
    options = {"images": images, "pairs": pairs, "repeats": repeats}
    task = make_task(load(run), names, secrets.token_hex(16), reference=reference, **options)
    page = write_task(task, run)
    click.echo(
        f"blind test: {page}: {task.images} images, {len(task.data['pairs'])} pairs, {page.stat().st_size / 1e6:.1f} MB"
    )
    click.echo("send the page alone; key.json beside it names the rows and must stay here", err=True)


def _rank(run: Path, files: tuple[Path, ...], form: TableFormat) -> None:
    from reports import write
    from reports.blind.answers import evaluate
    from reports.pages.blind_page import agreement_sentences, preference_table, reading, simulated, write_ranking
    from reports.results.load import load

    ranking = evaluate(load(run), files)
    write_ranking(ranking, run)
    show_grid(preference_table(ranking), form)
    if form != "csv":
        for sentence in filter(None, (simulated(ranking), reading(ranking), *agreement_sentences(ranking))):
            click.echo(f"* {sentence}")
    click.echo(f"report: {write(run).page}", err=True)
