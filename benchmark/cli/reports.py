"""`report`, `claims`, `publish`, `compare`, `leaderboard`: commands that read records and train nothing."""

from collections.abc import Iterable
from pathlib import Path

import click

from benchmark.cli.options import NumberRange
from benchmark.cli.terminal import TableFormat, format_option, show_grid
from benchmark.errors import BenchmarkError

_MAX_NAMES = 4
"""New files named in one line of --watch."""
_COLUMNS = {"rank", "row", "seeds", "weight_bytes_float32", "latency_ms", "gates", "macs"}
"""Of a ranking, those that fit into a terminal; others are in its CSV and in the report."""

_output_option = click.option(
    "--output", type=click.Path(path_type=Path), metavar="FOLDER", help="Also write a report there."
)


@click.command("report")
@click.argument("source", metavar="DIR|FILE.json", type=click.Path(path_type=Path))
@click.option("--watch", is_flag=True, help="Keep the report of a run current until all its records are there.")
@click.option(
    "--every",
    "every_seconds",
    type=NumberRange(0.1, 86_400),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks for new records and the page reloads itself.",
)
@click.option("--latex", is_flag=True, help="Also write each table as LaTeX, into report/tables.")
def report(source: Path, watch: bool, every_seconds: float, latex: bool) -> None:
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
        damage = _watch(source, every_seconds, latex)
    else:
        written = write(source, latex=latex)
        click.echo(f"report: {written.page}")
        show_damage(written.damage, written.unchecked)
        damage = written.damage
    if damage:
        raise BenchmarkError(f"{source}: the report lacks what is damaged, see above; make that again")


def show_damage(damage: Iterable[str], unchecked: int = 0) -> None:
    """Print on standard error a line for each damaged file, and how many records cannot tell."""
    from reports.text import count, printable

    for line in damage:
        click.echo(f"damaged: {printable(line)}", err=True)
    if unchecked:
        click.echo(
            f"note: {count(unchecked, 'record')} of an earlier version without digests: damage to the files beside "
            "them goes unnoticed",
            err=True,
        )


def _watch(run: Path, every_seconds: float, latex: bool) -> tuple[str, ...]:
    """Keep a report current; return a line for each file that is damaged at the end."""
    from reports.pages.watch import watch
    from reports.text import count

    if not (run / "plan.json").is_file() and run.exists():
        raise BenchmarkError(f"{run}: no plan.json; --watch needs a run; leave it out for anything else")
    damage: tuple[str, ...] = ()
    updates = watch(run, every_seconds, latex=latex)
    try:
        for update in updates:
            damage = update.damage
            more = f" and {len(update.new) - _MAX_NAMES} more" if len(update.new) > _MAX_NAMES else ""
            new = f"; new: {', '.join(update.new[:_MAX_NAMES])}{more}" if update.new else ""
            click.echo(f"report: {update.page}: {update.there} of {count(update.planned, 'record')}{new}")
    except KeyboardInterrupt:
        click.echo("stopped watching; the page stays as it is and no longer reloads itself", err=True)
    finally:
        updates.close()
    show_damage(damage)
    return damage


@click.command("claims")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Exit with 1 if a result differs from `expected` in the experiment file.")
def claims(folder: Path, check: bool) -> int:
    """Say which claims of the run or published study in DIR hold, are refuted or not resolved.

    Only records are read.

    \b
    Examples:
      python -m benchmark claims runs/seed_claims
      python -m benchmark claims reports/published/seed_claims --check
    """
    from reports.claims.evaluate_claims import SIGNS, evaluate
    from reports.results.load import load
    from reports.results.summary import summaries
    from reports.text import count, printable

    results = load(folder)
    show_damage(results.damage, results.unchecked)
    judged = evaluate(results, summaries(results))
    for claim in judged:
        facts = {
            "read as": claim.claim.reading,
            "form": claim.form,
            "numbers": claim.numbers,
            "resolved by": claim.resolves,
            "expected": "" if claim.is_as_expected else f"{claim.claim.expected}, but the records say: {claim.result}",
        }
        click.echo(f"{SIGNS[claim.result]} {printable(claim.claim.id)}: {claim.result}: {printable(claim.claim.text)}")
        click.echo("".join(f"    {name}: {printable(text)}\n" for name, text in facts.items() if text), nl=False)
    if not judged:
        click.echo("the experiment makes no claims; write them under `claims:` in its file")
        return 0
    outcomes = [claim.result for claim in judged]
    hold, refuted, unresolved = (outcomes.count(outcome) for outcome in ("holds", "refuted", "not resolved"))
    click.echo(f"{count(len(judged), 'claim')}: {hold} hold, {refuted} refuted, {unresolved} not resolved")
    return 1 if check and not all(claim.is_as_expected for claim in judged) else 0


@click.command("publish")
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--append", is_flag=True, help="Add the rows and seeds that the study lacks, as a new batch of scores.")
@click.option(
    "--pictures",
    is_flag=True,
    help="Publish the pictures of all further test sets, such as your photographs: where their licence allows it.",
)
@click.option(
    "--out",
    "study",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the study.  [default: reports/published/<name of the run folder>]",
)
def publish(run: Path, append: bool, pictures: bool, study: Path | None) -> None:
    """Write the run in RUN as a published study: records, scores of every image, loss curves, experiment and report.

    A study has about a thirtieth of the files of its run. `report`, `claims`, `compare` and `leaderboard` read it like
    the run. It holds no images of the run except the figures of its report. Of further test sets it shows the packaged
    portraits; pictures of a folder only with --pictures. RUN may be the folder of a search: its study has the trials,
    the confirmation, and the records of both, and `report` reads it.

    \b
    Examples:
      python -m benchmark publish runs/quickstart
      python -m benchmark publish runs/quickstart --append          # more seeds of the same experiment
      python -m benchmark publish runs/mine --out studies/mine
    """
    from reports.pages.publish import publish
    from reports.pages.publish_search import publish_search
    from reports.pages.search_page import is_search
    from reports.text import count

    target = study or Path("reports/published") / run.resolve().name
    outcome = "published anew, in place of an older study" if target.is_dir() and not append else "published"
    if not is_search(run):
        publish(run, target, append=append, pictures=pictures)
    elif append:
        raise BenchmarkError(f"{run}: is a search, which goes on in its own folder; publish it whole, without --append")
    else:
        publish_search(run, target)
    files = [file for file in target.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files if file.suffix not in (".png", ".svg"))
    click.echo(f"{outcome}: {target}: {count(len(files), 'file')}, {size / 1e6:.2f} MB besides figures")


@click.command("compare")
@click.argument("folders", metavar="DIR DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--reference", metavar="EXPERIMENT/ROW", help="Compare with this row.  [default: base of the first]")
@click.option(
    "--metric", metavar="NAME", help="Compare by this metric.  [default: the primary metric of the first DIR]"
)
@format_option("the differences alone, unrounded.")
@_output_option
def compare(
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
    show_damage(compared.damage, compared.unchecked)
    page = write(comparison_page(compared), output) if output else None
    primary = compared.metric.name
    if form != "csv":
        show_grid(compared.ranking, form, {*_COLUMNS, primary, f"{primary}_spread"})
    show_grid(compared.differences.grid, form)
    if form != "csv":
        if compared.problems:
            show_grid(compared.problems, form)
        for note in compared.notes:
            click.echo(f"* {note}")
    if page:
        click.echo(f"report: {page}", err=True)


@click.command("leaderboard")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--metric", metavar="NAME", help="Rank by this metric.  [default: the primary metric of each run]")
@click.option("--gates", "keeping_gates", is_flag=True, help="Rank only rows that fail no gate.")
@format_option("all columns, unrounded.")
@_output_option
def leaderboard(folder: Path, metric: str | None, keeping_gates: bool, form: TableFormat, output: Path | None) -> None:
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
    show_damage(rankings.damage, rankings.unchecked)
    page = write(leaderboard_page(rankings), output) if output else None
    for ranking in rankings.boards:
        show_grid(ranking.ranking, form, {*_COLUMNS, "folder", ranking.metric.name})
    if not rankings.boards:
        click.echo("no row can be ranked", err=True)
    if rankings.exclusions and form != "csv":
        show_grid(rankings.exclusions, form)
    if page:
        click.echo(f"report: {page}", err=True)
