"""`claims`: what an experiment claims against what its records say."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from reports.claims.evaluate_claims import EvaluatedClaim


@click.command("claims")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--check", is_flag=True, help="Exit with 1 where a result is not the one the experiment file says (`expected`)."
)
def command(folder: Path, check: bool) -> int:
    """Say which claims of the run or published study in DIR hold, are refuted or not resolved.

    Nothing but records is read.

    \b
    Examples:
      python -m benchmark claims runs/seed_claims
      python -m benchmark claims reports/published/seed_claims --check
    """
    from reports.claims.evaluate_claims import evaluate
    from reports.results.load import load
    from reports.results.summary import summaries

    results = load(folder)
    judged = evaluate(results, summaries(results))
    for claim in judged:
        click.echo("\n".join(_lines(claim)))
    if not judged:
        click.echo("the experiment claims nothing; claims stand under `claims:` in its file")
        return 0
    outcomes = [claim.result for claim in judged]
    hold, refuted, unresolved = (outcomes.count(outcome) for outcome in ("holds", "refuted", "not resolved"))
    click.echo(f"{len(judged)} claims: {hold} hold, {refuted} refuted, {unresolved} not resolved")
    return 1 if check and not all(claim.is_as_expected for claim in judged) else 0


def _lines(judged: "EvaluatedClaim") -> list[str]:
    from reports.claims.evaluate_claims import SIGNS
    from reports.text import printable

    claim = judged.claim
    facts = {
        "read as": claim.reading,
        "form": judged.form,
        "numbers": judged.numbers,
        "resolved by": judged.resolves,
        "expected": "" if judged.is_as_expected else f"{claim.expected}, but the records say: {judged.result}",
    }
    head = f"{SIGNS[judged.result]} {printable(claim.id)}: {judged.result}: {printable(claim.text)}"
    return [head, *(f"    {name}: {printable(text)}" for name, text in facts.items() if text)]
