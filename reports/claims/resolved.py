"""Which rows need no further seeds: what an interim analysis decides, by the verdicts and claims of the report."""

from reports.claims.evaluate_claims import evaluate
from reports.results import Results
from reports.results.summary import BASE, Summary, summaries
from reports.statistics.family import claim_pairs
from reports.statistics.verdicts import compare_with_base


def resolved_rows(results: Results) -> frozenset[str]:
    """Return the rows whose verdict against base is resolved, and with it every claim that compares them.

    The scores are those of test, because verdicts and claims are about these. Nothing is chosen by them: rows that stop
    keep their settings and their interval, and the error rate is spent over all planned analyses. A decision by val
    would need the same spending, since most of the noise is that of seeds, which val and test share.

    Args:
        results: All records are there for the seeds that its plan gives to each row.
    """
    rows = summaries(results)
    comparisons = compare_with_base(results, rows, results.metric(results.plan.primary)) if BASE in rows else {}
    compared = {
        name
        for name, comparison in comparisons.items()
        if not rows[name].is_baseline and comparison.verdict not in (None, "inconclusive")
    }
    open_claims = [entry.claim for entry in evaluate(results, rows) if entry.result == "not resolved"]
    needed = {name for claim in open_claims for pair in claim_pairs(claim, results.plan) for name in pair[:2]}
    return frozenset(compared - needed)


def has_all_seeds(row: Summary) -> bool:
    """Return whether a row has finished the seeds that it was given."""
    return 0 < row.planned == len(row.finished)
