"""Evaluate claims: which hold, which are refuted, which are not resolved, and what would resolve those.

A claim about a metric says between which ends a gain lies. It holds if the whole interval of the gain lies between
them, is refuted if the whole interval lies outside, and is not resolved otherwise: the estimate alone decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from reports import text
from reports.claims.evidence import Gain, Gains, Unknown, compare_costs, find_gate, gain_of, how_to_measure
from reports.grid import Cell, Column, Grid, plain
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import Summary, lacking_metric
from reports.schema import AnyClaim, BetterClaim, ClaimOutcome, EquivalentClaim, FrontClaim, PlanFile, WithinClaim
from reports.statistics.family import claim_pairs
from reports.statistics.verdicts import family_of_report
from reports.tables import gates
from reports.tables.advice import what_reaches

SIGNS: Mapping[ClaimOutcome, str] = {"holds": "✓", "refuted": "✗", "not resolved": "~"}

_TOO_NEAR = 0.1
"""Share of the half-width. An estimate so near to an end of a claim stays unresolved."""

# On the page the reading stands in the cell of the words, and the form is its hint.
_COLUMNS = (
    Column("id", "claim", numeric=False, is_row_header=True),
    Column(
        "text",
        "in words",
        numeric=False,
        hint="The hint of a cell is the form that is evaluated.",
    ),
    Column("reading", "read as", numeric=False, csv_only=True),
    Column("form", "form", numeric=False, csv_only=True),
    Column("result", "result", numeric=False),
    Column(
        "numbers",
        "numbers",
        numeric=False,
        hint="Intervals that hold together for all differences and claims of the report.",
    ),
    Column("resolves", "what would resolve it", numeric=False),
)


@dataclass(frozen=True)
class PartOutcome:
    """What the records say of one part of a claim: of one rival, or of one gate."""

    subject: str
    """The rival, or the row of the gate."""
    result: ClaimOutcome
    numbers: str
    resolves: str = ""
    """What would settle it; empty where it is settled."""


@dataclass(frozen=True)
class EvaluatedClaim:
    """A claim and its outcome."""

    claim: AnyClaim
    form: str
    result: ClaimOutcome
    numbers: str
    resolves: str

    @property
    def is_as_expected(self) -> bool:
        """Whether the result is the one the experiment file names, if it names one."""
        return self.claim.expected in (None, self.result)


class Pair(NamedTuple):
    """One statistical comparison."""

    row: str
    rival: str
    metric: Metric


def evaluate(results: Results, rows: Mapping[str, Summary]) -> tuple[EvaluatedClaim, ...]:
    """Return every claim of the experiment with its outcome; their intervals are those of the whole report."""
    gains = partial(gain_of, results, rows, family_of_report(results))
    return tuple(_evaluated(claim, results, rows, gains) for claim in results.plan.claims)


def outcome_of(low: float, high: float, above: float | None, at_most: float | None) -> ClaimOutcome:
    """Return whether the interval from `low` to `high` lies in `above < gain <= at_most`; None leaves an end open."""
    above, at_most = (-float("inf") if above is None else above), (float("inf") if at_most is None else at_most)
    if above < low and high <= at_most:
        return "holds"
    return "refuted" if high <= above or low > at_most else "not resolved"


def claims_table(entries: Sequence[EvaluatedClaim]) -> Grid | None:
    """Return the table of all claims with their outcomes; None where there are none."""
    if not entries:
        return None
    return Grid(
        "claims",
        "What the experiment claims, and what the records say of it.",
        _COLUMNS,
        tuple(_line(entry) for entry in entries),
    )


def _line(entry: EvaluatedClaim) -> tuple[Cell, ...]:
    changed = "" if entry.is_as_expected else f" (the experiment file says: {entry.claim.expected})"
    return (
        plain(entry.claim.id),
        Cell(
            entry.claim.text,
            text.printable(entry.claim.text + (f" Read as: {entry.claim.reading}" if entry.claim.reading else "")),
            hint=text.printable(f"evaluated as: {entry.form}"),
        ),
        plain(entry.claim.reading),
        plain(entry.form),
        Cell(entry.result, f"{SIGNS[entry.result]} {entry.result}{changed}"),
        plain(entry.numbers),
        plain(entry.resolves),
    )


def _evaluated(claim: AnyClaim, results: Results, rows: Mapping[str, Summary], gains: Gains) -> EvaluatedClaim:
    """Return the outcome of a claim: refuted if any of its parts is, holds if all do."""
    parts = _parts(claim, results, rows, gains)
    outcomes = {part.result for part in parts}
    result = "refuted" if "refuted" in outcomes else "holds" if outcomes == {"holds"} else "not resolved"
    remedies = {
        part.resolves if len(parts) == 1 else f"{part.subject}: {part.resolves}" for part in parts if part.resolves
    }
    return EvaluatedClaim(
        claim,
        as_formula(claim, results),
        result,
        "; ".join(f"{SIGNS[part.result]} {part.numbers}" if len(parts) > 1 else part.numbers for part in parts),
        "; ".join(sorted(remedies)) if result == "not resolved" else "",
    )


def as_formula(claim: AnyClaim, results: Results) -> str:
    """Return the form of a claim as a formula that can be read."""
    match claim:
        case BetterClaim(better=row, above=above, at_most=at_most):
            metric = _metric(claim, results)
            ends = [f"by more than {_amount(above, metric)}"] if above is not None else []
            ends += [f"by at most {_amount(at_most, metric)}"] if at_most is not None else []
            return f"{row} better than {text.listing(list(claim.rivals))} in {metric.label} {' and '.join(ends)}"
        case EquivalentClaim():
            (row, other), metric = claim.equivalent, _metric(claim, results)
            return f"{row} within {_amount(_margin(claim, results.plan), metric)} {metric.label} of {other}"
        case WithinClaim(within=within):
            return f"{within.row} passes gate {within.gate}"
        case FrontClaim(front=front):
            rivals = text.listing([row for row, _, _ in claim_pairs(claim, results.plan)])
            quality = _metric(claim, results).label
            return f"none of {rivals} is as cheap as {front.row} ({front.cost}) and better in {quality}"


def ends_of(claim: AnyClaim, plan: PlanFile) -> tuple[float, ...]:
    """Return the gains between which a claim is decided: its interval must contain none of them."""
    match claim:
        case BetterClaim():
            return tuple(end for end in (claim.above, claim.at_most) if end is not None)
        case EquivalentClaim():
            margin = _margin(claim, plan)
            return (-margin, margin)
        case FrontClaim():
            return (0.0,)
        case WithinClaim():
            return ()


def _metric(claim: BetterClaim | EquivalentClaim | FrontClaim, results: Results) -> Metric:
    return results.metric(claim.metric or results.plan.primary)


def _margin(claim: EquivalentClaim, plan: PlanFile) -> float:
    return claim.equivalence_margin or plan.equivalence_margin


def _amount(value: float, metric: Metric) -> str:
    return text.with_unit(f"{value:g}".replace("-", "−"), metric.unit)


def _pairs(claim: AnyClaim, results: Results) -> tuple[Pair, ...]:
    return tuple(Pair(row, rival, results.metric(metric)) for row, rival, metric in claim_pairs(claim, results.plan))


def _parts(claim: AnyClaim, results: Results, rows: Mapping[str, Summary], gains: Gains) -> tuple[PartOutcome, ...]:
    pairs = _pairs(claim, results)
    if pairs and (lacking := lacking_metric(pairs[0].metric.name, rows.values())):
        return (PartOutcome(pairs[0].row, "not resolved", lacking, "claim a metric that is scored, or run the rows"),)
    match claim:
        case BetterClaim():
            return tuple(_decided(pair, pair.rival, gains(*pair), claim.above, claim.at_most) for pair in pairs)
        case EquivalentClaim():
            pair, margin = pairs[0], _margin(claim, results.plan)
            gain = gains(*pair)
            if isinstance(gain, Gain) and pair.metric.direction == "near 1":  # within the margin in either direction
                low, high = gain.difference
                gain = replace(gain, low=low, high=high, mean=(low + high) / 2)
            return (_decided(pair, pair.rival, gain, -margin, margin),)
        case WithinClaim(within=within):
            return (_gate(rows[within.row], within.gate),)
        case FrontClaim(front=front):
            return tuple(_front_rival(pair, front.cost, rows, gains) for pair in pairs)


def _decided(pair: Pair, subject: str, gain: Gain | Unknown, above: float | None, at_most: float | None) -> PartOutcome:
    if isinstance(gain, Unknown):
        return PartOutcome(subject, "not resolved", f"{pair.row} against {pair.rival}: {gain.reason}", gain.resolves)
    numbers = _numbers(pair, gain, pair.metric)
    if gain.doubt:
        return PartOutcome(subject, "not resolved", f"{numbers} ({gain.doubt})", gain.resolves)
    result = outcome_of(gain.low, gain.high, above, at_most)
    # A change that is claimed to gain at most `at_most` may also lose more than that.
    may_lose = above is None and at_most is not None and 0 < at_most < -gain.low
    loss = " (may even lose)" if may_lose else ""
    return PartOutcome(
        subject,
        result,
        numbers + loss,
        _what_narrows(gain, above, at_most, pair.metric) if result == "not resolved" else "",
    )


def _numbers(pair: Pair, gain: Gain, metric: Metric) -> str:
    mean, low, high = (text.signed(value, metric.difference_decimals) for value in (gain.mean, gain.low, gain.high))
    better = f"{text.with_unit(mean, metric.unit)} {metric.label}"
    by = "" if metric.direction == "higher" else "better by "
    seeds = text.count(gain.seeds, "seed") + (" (then stopped: the estimate is biased)" if gain.stopped_at else "")
    return f"{pair.row} against {pair.rival}: {by}{better} [{low}, {high}], {seeds}"


def _what_narrows(gain: Gain, above: float | None, at_most: float | None, metric: Metric) -> str:
    """Return what would narrow the interval until no end of the claim lies in it.

    A claim with one end about a row against base asks for the seeds that the report states for the row. One with two
    ends, which may leave less room than the margin, and one about another pair ask for those of today's estimate.
    """
    crossed = [end for end in (above, at_most) if end is not None and gain.low <= end <= gain.high]
    distance = min(abs(gain.mean - end) for end in crossed)
    if distance <= _TOO_NEAR * gain.half_width:
        return "the estimate is too near the limit of the claim: over 100 times the seeds and images"
    if None in (above, at_most) and 0 < gain.margin < gain.half_width:
        matters = text.with_unit(f"{gain.margin:g}", metric.unit)
        return f"{what_reaches(gain.precision, gain.margin)} would resolve {matters} with a chance of 50 %"
    return f"{what_reaches(gain.precision, distance)}: a 50 % chance if the estimate is right"


def _gate(row: Summary, name: str) -> PartOutcome:
    gate = find_gate(row, name)
    if gate is None:
        return PartOutcome(row.row, "not resolved", f"{row.row}: no record with gate {name}", how_to_measure(gate))
    numbers = f"{row.row}: {gates.reason(gate)}"
    if gate.result in ("passed", "failed"):
        return PartOutcome(row.row, "holds" if gate.result == "passed" else "refuted", numbers)
    return PartOutcome(row.row, "not resolved", numbers, how_to_measure(gate))


def _front_rival(pair: Pair, cost: str, rows: Mapping[str, Summary], gains: Gains) -> PartOutcome:
    """Evaluate one rival of a front: it refutes the claim if it is surely as cheap and surely better."""
    costs = compare_costs(rows, pair.rival, pair.row, cost)
    shown = f"costs {costs.shown}"
    if costs.order == "dearer":
        return PartOutcome(pair.row, "holds", f"{pair.row} {shown}, dearer")
    quality = _decided(pair, pair.row, gains(*pair), None, 0.0)
    numbers = f"{quality.numbers}, {shown}"
    if quality.result == "refuted" and costs.order == "open":  # surely better, perhaps not as cheap
        return PartOutcome(pair.row, "not resolved", numbers, costs.resolves)
    if quality.result != "not resolved":
        return PartOutcome(pair.row, quality.result, numbers)
    return PartOutcome(
        pair.row, "not resolved", numbers, " or ".join(part for part in (quality.resolves, costs.resolves) if part)
    )
