"""Published records agree with what their experiments state."""

from pathlib import Path

import pytest

from reports.claims.evaluate_claims import evaluate
from reports.results.load import load
from reports.results.summary import summaries

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["seed_claims", "seed_claims_contest"])
def test_published_claims_come_out_as_their_experiment_expects(name: str) -> None:
    """What an experiment marks as holding or refuted is so by its published records, and something is marked."""
    results = load(ROOT / "reports/published" / name)
    judged = [claim for claim in evaluate(results, summaries(results)) if claim.claim.expected]
    assert len(judged) >= 3
    assert [claim.claim.id for claim in judged if claim.result != claim.claim.expected] == []
