"""`claims`: what an experiment claims against what its records say; numbers of a text against theirs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.errors import RecordError

if TYPE_CHECKING:
    from reports.claims.evaluate_claims import Judged


@click.command("claims")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--check", is_flag=True, help="Exit with 1 where a result is not the one the experiment file says (`expected`)."
)
@click.option(
    "--readme",
    "texts",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Compare the numbers quoted in a Markdown file with the records they name; exit with 1 where one is wrong.",
)
def command(folder: Path | None, check: bool, texts: tuple[Path, ...]) -> int:
    """Say which claims of the run in DIR hold, are refuted or not resolved, from its records alone.

    A Markdown file quotes records by comments, which its readers do not see:

    \b
      <!-- numbers: runs/quickstart -->                   the folder, relative to the file
      34.28 dB<!-- = base psnr -->                        mean over seeds
      +1.04<!-- = base - heads.direct_rgb psnr -->        also: lowest, highest, low, high
      0.31 MB<!-- = base MB -->                           also: params, GMACs, seconds, ...
      <!-- numbers: runs/quickstart | row psnr - harm --> the table below, by columns

    \b
    Examples:
      python -m benchmark claims runs/seed_claims
      python -m benchmark claims runs/seed_claims --check
      python -m benchmark claims --readme README.md
    """
    from reports import ReportError

    if folder is None and not texts:
        raise click.UsageError("name the folder of a run, or a text by --readme FILE")
    try:
        right = [_show_claims(folder) or not check] if folder else []
        right += [_show_quotes(text) for text in texts]
    except ReportError as error:
        raise RecordError(str(error)) from None
    return 0 if all(right) else 1


def _show_claims(folder: Path) -> bool:
    """Print the claims of a run. Returns: whether all are as expected."""
    from reports.claims.evaluate_claims import judge
    from reports.results.load import load
    from reports.results.summary import summaries

    results = load(folder)
    judged = judge(results, summaries(results))
    for one in judged:
        click.echo("\n".join(_lines(one)))
    click.echo(_count(judged))
    return all(one.is_as_expected for one in judged)


def _lines(one: "Judged") -> list[str]:
    from reports.claims.evaluate_claims import SIGNS
    from reports.text import printable

    about = {
        "read as": one.claim.reading,
        "form": one.form,
        "numbers": one.numbers,
        "resolved by": one.resolves,
        "expected": "" if one.is_as_expected else f"{one.claim.expected}, but the records say: {one.result}",
    }
    told = [f"    {name}: {printable(words)}" for name, words in about.items() if words]
    return [f"{SIGNS[one.result]} {printable(one.claim.id)}: {one.result}: {printable(one.claim.text)}", *told]


def _count(judged: "Sequence[Judged]") -> str:
    if not judged:
        return "the experiment claims nothing; claims stand under `claims:` in its file"
    results = [one.result for one in judged]
    hold, refuted, open_ = (results.count(result) for result in ("holds", "refuted", "not resolved"))
    return f"{len(judged)} claims: {hold} hold, {refuted} refuted, {open_} not resolved"


def _show_quotes(text: Path) -> bool:
    """Print the wrong numbers of a text. Returns: whether there are none."""
    from reports.claims.check_markdown import check
    from reports.text import printable

    quoted, mistakes = check(text)
    for mistake in mistakes:
        quote = mistake.quote
        written = f"{quote.written} " if quote.written else ""
        click.echo(printable(f"{text}:{quote.line}: {written}({quote.what}): {mistake.message}"))
    click.echo(f"{text}: {quoted} numbers quoted from records, {len(mistakes)} wrong")
    return not mistakes
