"""Which claims of an experiment hold, which are refuted, which stay open, and what would settle those.

A claim about a metric says between which ends a gain lies. It holds if the whole interval of the gain lies between
them, is refuted if the whole interval lies outside, and is not resolved otherwise: the estimate alone decides nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reports import metrics, text
from reports.claims.cost_comparison import compare_costs, find_gate, how_to_measure
from reports.claims.gains import Gain, Gains, Unknown, gains_of
from reports.grid import Cell, Column, Grid, plain
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import Summary
from reports.schema import (
    AnyClaim,
    BetterClaim,
    ClaimOutcome,
    EquivalentClaim,
    Front,
    FrontClaim,
    PlanFile,
    WithinClaim,
)
from reports.tables import gates

SIGNS: Mapping[ClaimOutcome, str] = {"holds": "✓", "refuted": "✗", "not resolved": "~"}

_TOO_NEAR = 0.1
"""Of the half-width: where seeds do not help, nothing affordable tells an estimate from an end so near."""

# On the page the reading stands in the cell of the words, and the form is its hint.
_COLUMNS = (
    Column("id", "claim", numeric=False, is_row_header=True),
    Column("text", "in words", numeric=False, hint="What is claimed, and as what the records are asked it."),
    Column("reading", "read as", numeric=False, csv_only=True),
    Column("form", "form", numeric=False, csv_only=True),
    Column("result", "result", numeric=False),
    Column("numbers", "numbers", numeric=False, hint="95 % intervals, wide enough to hold for all claims at once."),
    Column("resolves", "what would resolve it", numeric=False),
)


@dataclass(frozen=True)
class Finding:
    """What the records say of one part of a claim: of one rival, or of one gate."""

    subject: str
    """The rival, or the row of the gate."""
    result: ClaimOutcome
    numbers: str
    resolves: str = ""
    """What would settle it; empty where it is settled."""


@dataclass(frozen=True)
class Judged:
    """A claim and what came of it."""

    claim: AnyClaim
    form: str
    result: ClaimOutcome
    numbers: str
    resolves: str

    @property
    def is_as_expected(self) -> bool:
        """Whether the result is the one the experiment file names, if it names one."""
        return self.claim.expected in (None, self.result)


@dataclass(frozen=True)
class Pair:
    """One statistical comparison."""

    row: str
    rival: str
    metric: Metric


def comparisons(plan: PlanFile) -> int:
    """Return the number of different statistical comparisons among claims: so many intervals must hold at once."""
    pairs = {(frozenset((pair.row, pair.rival)), pair.metric) for claim in plan.claims for pair in _pairs(claim, plan)}
    return len(pairs)


def judge(results: Results, rows: Mapping[str, Summary]) -> tuple[Judged, ...]:
    """Every claim of the experiment; the intervals hold for all of them at once."""
    gains = gains_of(results, rows, comparisons(results.plan))
    return tuple(_judged(claim, results.plan, rows, gains) for claim in results.plan.claims)


def place(low: float, high: float, above: float | None, at_most: float | None) -> ClaimOutcome:
    """Where the interval from `low` to `high` lies against `above < gain <= at_most`; None leaves an end open."""
    above, at_most = (-float("inf") if above is None else above), (float("inf") if at_most is None else at_most)
    if above < low and high <= at_most:
        return "holds"
    return "refuted" if high <= above or low > at_most else "not resolved"


def together(findings: Iterable[Finding]) -> ClaimOutcome:
    """Of several: refuted if any is, holds if all do."""
    results = {finding.result for finding in findings}
    if "refuted" in results:
        return "refuted"
    return "holds" if results == {"holds"} else "not resolved"


def grid(entries: Sequence[Judged]) -> Grid | None:
    """All claims with what came of them; None where there are none."""
    if not entries:
        return None
    caption = "What the experiment claims, and what the records say of it."
    return Grid("claims", caption, _COLUMNS, tuple(_line(entry) for entry in entries))


def _line(entry: Judged) -> tuple[Cell, ...]:
    changed = "" if entry.is_as_expected else f" (the experiment file says: {entry.claim.expected})"
    return (
        plain(entry.claim.id),
        Cell(entry.claim.text, text.printable(_stated(entry.claim)), hint=text.printable(f"judged: {entry.form}")),
        plain(entry.claim.reading),
        plain(entry.form),
        Cell(entry.result, f"{SIGNS[entry.result]} {entry.result}{changed}"),
        plain(entry.numbers),
        plain(entry.resolves),
    )


def _stated(claim: AnyClaim) -> str:
    """Return a claim in its words, with its reading where it has one."""
    return f"{claim.text} Read as: {claim.reading}" if claim.reading else claim.text


def _judged(claim: AnyClaim, plan: PlanFile, rows: Mapping[str, Summary], gains: Gains) -> Judged:
    findings = _findings(claim, plan, rows, gains)
    result = together(findings)
    numbers = "; ".join(finding.numbers for finding in findings)
    resolves = _resolves(findings) if result == "not resolved" else ""
    return Judged(claim, in_words(claim, plan), result, numbers, resolves)


def _resolves(findings: Sequence[Finding]) -> str:
    """What would settle those that are open; which rival is meant, where there are several."""
    parts = {
        part.resolves if len(findings) == 1 else f"{part.subject}: {part.resolves}"
        for part in findings
        if part.resolves
    }
    return "; ".join(sorted(parts))


def in_words(claim: AnyClaim, plan: PlanFile) -> str:
    """Return the form of a claim as a formula that can be read."""
    match claim:
        case BetterClaim(better=row, above=above, at_most=at_most):
            metric = _metric(claim, plan)
            ends = [f"by more than {_amount(above, metric)}"] if above is not None else []
            ends += [f"by at most {_amount(at_most, metric)}"] if at_most is not None else []
            return f"{row} better than {text.listing(list(claim.rivals))} in {metric.label} {' and '.join(ends)}"
        case EquivalentClaim():
            (row, other), metric = claim.equivalent, _metric(claim, plan)
            return f"{row} within {_amount(_margin(claim, plan), metric)} {metric.label} of {other}"
        case WithinClaim(within=within):
            return f"{within.row} passes gate {within.gate}"
        case FrontClaim(front=front):
            rivals = text.listing(_rivals(front, plan))
            return (
                f"none of {rivals} is as cheap as {front.row} ({front.cost}) and better in {_metric(claim, plan).label}"
            )


def _metric(claim: BetterClaim | EquivalentClaim | FrontClaim, plan: PlanFile) -> Metric:
    return metrics.metric(claim.metric or plan.primary)


def _margin(claim: EquivalentClaim, plan: PlanFile) -> float:
    return claim.equivalence_margin or plan.equivalence_margin


def _rivals(front: Front, plan: PlanFile) -> list[str]:
    """Return the other rows of the table among which a row is claimed to lie on the front."""
    return [row.row for row in plan.rows if row.table == front.among and row.row != front.row]


def _amount(value: float, metric: Metric) -> str:
    return text.with_unit(f"{value:g}".replace("-", "−"), metric.unit)


def _pairs(claim: AnyClaim, plan: PlanFile) -> tuple[Pair, ...]:
    match claim:
        case BetterClaim():
            return tuple(Pair(claim.better, rival, _metric(claim, plan)) for rival in claim.rivals)
        case EquivalentClaim():
            row, other = claim.equivalent
            return (Pair(row, other, _metric(claim, plan)),)
        case WithinClaim():
            return ()
        case FrontClaim(front=front):
            return tuple(Pair(rival, front.row, _metric(claim, plan)) for rival in _rivals(front, plan))


def _findings(claim: AnyClaim, plan: PlanFile, rows: Mapping[str, Summary], gains: Gains) -> tuple[Finding, ...]:
    pairs = _pairs(claim, plan)
    match claim:
        case BetterClaim():
            return tuple(_gain(pair, pair.rival, gains, claim.above, claim.at_most) for pair in pairs)
        case EquivalentClaim():
            return tuple(_apart(pair, gains, _margin(claim, plan)) for pair in pairs)
        case WithinClaim(within=within):
            return (_within(rows[within.row], within.gate),)
        case FrontClaim(front=front):
            return tuple(_rival(pair, front.cost, rows, gains) for pair in pairs)


def _gain(pair: Pair, subject: str, gains: Gains, above: float | None, at_most: float | None) -> Finding:
    return _placed(pair, subject, gains(pair.row, pair.rival, pair.metric), above, at_most)


def _placed(pair: Pair, subject: str, gain: Gain | Unknown, above: float | None, at_most: float | None) -> Finding:
    if isinstance(gain, Unknown):
        return Finding(subject, "not resolved", f"{pair.row} against {pair.rival}: {gain.reason}", gain.resolves)
    numbers = _numbers(pair, gain, pair.metric)
    if gain.doubt:
        return Finding(subject, "not resolved", f"{numbers} ({gain.doubt})", gain.resolves)
    result = place(gain.low, gain.high, above, at_most)
    harm = " (may even harm)" if _may_harm(gain, above, at_most) else ""
    return Finding(subject, result, numbers + harm, _more(gain, above, at_most) if result == "not resolved" else "")


def _may_harm(gain: Gain, above: float | None, at_most: float | None) -> bool:
    """Whether what is claimed to bring no more than `at_most` may take away more than that, too."""
    return above is None and at_most is not None and at_most > 0 and gain.low < -at_most


def _apart(pair: Pair, gains: Gains, margin: float) -> Finding:
    """Two rows whose difference, in whichever direction is better, keeps to a margin."""
    gain = gains(pair.row, pair.rival, pair.metric)
    if isinstance(gain, Gain) and pair.metric.direction == "near 1":
        gain = replace(gain, low=gain.difference[0], high=gain.difference[1], mean=sum(gain.difference) / 2)
    return _placed(pair, pair.rival, gain, -margin, margin)


def _numbers(pair: Pair, gain: Gain, metric: Metric) -> str:
    mean, low, high = (text.signed(value, metric.difference_decimals) for value in (gain.mean, gain.low, gain.high))
    better = f"{text.with_unit(mean, metric.unit)} {metric.label}"
    if metric.direction != "higher":
        better = f"better by {better}"
    return f"{pair.row} against {pair.rival}: {better} [{low}, {high}], {text.count(gain.seeds, 'seed')}"


def _more(gain: Gain, above: float | None, at_most: float | None) -> str:
    """What would narrow the interval so far that, around the same mean, it no longer holds an end of the claim."""
    crossed = [end for end in (above, at_most) if end is not None and gain.low <= end <= gain.high]
    distance = min(abs(gain.mean - end) for end in crossed)
    seeds = gain.seeds_to_reach(distance)
    if seeds is not None:
        return text.count(max(seeds - gain.seeds, 1), "more seed")
    is_too_near = distance <= _TOO_NEAR * gain.half_width
    return "too near the limit of the claim to be told from it" if is_too_near else "more images, not more seeds"


def _within(row: Summary, name: str) -> Finding:
    gate = find_gate(row, name)
    if gate is None:
        return Finding(row.row, "not resolved", f"{row.row}: no record with gate {name}", how_to_measure(gate))
    numbers = f"{row.row}: {gates.reason(gate)}"
    if gate.result in ("passed", "failed"):
        return Finding(row.row, "holds" if gate.result == "passed" else "refuted", numbers)
    return Finding(row.row, "not resolved", numbers, how_to_measure(gate))


def _rival(pair: Pair, cost: str, rows: Mapping[str, Summary], gains: Gains) -> Finding:
    """A rival refutes the claim if it is surely as cheap and surely better; it is settled if it is surely not one."""
    costs = compare_costs(rows, pair.rival, pair.row, cost)
    shown = f"costs {costs.shown}"
    if costs.order == "dearer":
        return Finding(pair.row, "holds", f"{pair.row} {shown}, dearer")
    quality = _gain(pair, pair.row, gains, None, 0.0)
    numbers = f"{quality.numbers}, {shown}"
    if quality.result == "refuted" and costs.order == "open":  # surely better, perhaps not as cheap
        return Finding(pair.row, "not resolved", numbers, costs.resolves)
    if quality.result != "not resolved":
        return Finding(pair.row, quality.result, numbers)
    return Finding(
        pair.row, "not resolved", numbers, " or ".join(part for part in (quality.resolves, costs.resolves) if part)
    )
