"""Which differences a report judges: their intervals hold together, whatever table, claim or sentence shows them."""

from collections.abc import Iterator

from reports.results.summary import BASE
from reports.schema import AnyClaim, BetterClaim, EquivalentClaim, FrontClaim, PlanFile, WithinClaim

ClaimPair = tuple[str, str, str]
"""Row, rival and metric of one statistical comparison."""


def claim_pairs(claim: AnyClaim, plan: PlanFile) -> tuple[ClaimPair, ...]:
    """Return the comparisons that a claim needs; none for a claim about a gate."""
    match claim:
        case BetterClaim():
            return tuple((claim.better, rival, claim.metric or plan.primary) for rival in claim.rivals)
        case EquivalentClaim():
            row, other = claim.equivalent
            return ((row, other, claim.metric or plan.primary),)
        case WithinClaim():
            return ()
        case FrontClaim(front=front):
            rivals = (row.row for row in plan.rows if row.table == front.among and row.row != front.row)
            return tuple((rival, front.row, claim.metric or plan.primary) for rival in rivals)


def comparisons_of_report(plan: PlanFile) -> int:
    """Return how many different differences a report judges: every planned row minus base, and those of claims."""
    return max(len(set(_differences(plan))), 1)


def _differences(plan: PlanFile) -> Iterator[tuple[frozenset[str], str]]:
    for row in plan.rows:
        if row.row != BASE:
            yield frozenset((row.row, BASE)), plan.primary
    for claim in plan.claims:
        for row, rival, metric in claim_pairs(claim, plan):
            yield frozenset((row, rival)), metric
