"""The numbers in this project's own texts are those of the records that it publishes."""

from pathlib import Path

import pytest

from reports.claims.check_markdown import check
from reports.claims.evaluate_claims import judge
from reports.results.load import load
from reports.results.summary import summaries

ROOT = Path(__file__).parents[1]


def test_the_readme_quotes_its_records_rightly() -> None:
    """Every marked number of the README is what its record says, rounded as written; both published runs are quoted."""
    quoted, mistakes = check(ROOT / "README.md")
    assert [f"README.md:{one.quote.line}: {one.quote.written}: {one.message}" for one in mistakes] == []
    assert quoted >= 55  # four columns of nine rows, the table of heads and losses, and those in sentences


@pytest.mark.parametrize("name", ["seed_claims", "seed_claims_contest"])
def test_published_claims_come_out_as_their_experiment_expects(name: str) -> None:
    """What an experiment marks as holding or refuted is so by its published records, and something is marked."""
    results = load(ROOT / "reports/published" / name)
    judged = [one for one in judge(results, summaries(results)) if one.claim.expected]
    assert len(judged) >= 3
    assert [one.claim.id for one in judged if one.result != one.claim.expected] == []


def test_a_changed_number_is_found(tmp_path: Path) -> None:
    """One digit changed in the README is told with its line."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    line = next(number for number, words in enumerate(text.splitlines(), 1) if "| 34.49 |" in words)
    changed = text.replace("| 34.49 |", "| 34.59 |")
    for before in ("numbers: ", " in "):  # folders are relative to the file
        changed = changed.replace(f"{before}reports/", f"{before}{ROOT}/reports/")
    (tmp_path / "README.md").write_text(changed, encoding="utf-8")
    (mistake,) = check(tmp_path / "README.md")[1]
    assert (mistake.quote.line, mistake.quote.written) == (line, "34.59")
    assert mistake.message.startswith("the records say 34.48")
