"""The sentences on the first screen: which row leads, by how much, how sure that is, what is open, what to do next."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reports import text
from reports.metrics import Metric
from reports.results import Problem, Results
from reports.results.summary import (
    BASE,
    IDENTITY,
    Summary,
    about_as_good,
    complete,
    difference,
    fastest,
    image_count,
    lacking_metric,
    ranked,
)
from reports.statistics.ranks import Order
from reports.statistics.verdicts import MEANINGS, Comparison, compare_pair, family_of_report
from reports.tables import gates
from reports.tables.advice import what_reaches
from reports.tables.differences import DifferenceTable
from reports.tables.interval_text import is_vacuous, not_available, scale

_MOST_NAMES = 4
_BEFORE_MORE_SEEDS = (
    "Decide on the number of seeds before you look again: each unplanned interim analysis is a further chance of a "
    "false verdict."
)


@dataclass(frozen=True)
class Headline:
    """The answer of a run. `lead` continues the name of the leading row, which is empty where none leads."""

    leader: str
    lead: str
    open_points: str


def headline(rows: dict[str, Summary], results: Results, primary: Metric, order: Order) -> Headline:
    """Return a few sentences from the finished rows: which row leads, by how much, and how sure that is."""
    open_points = _open_points(rows, results.problems)
    trained = ranked([row for row in rows.values() if not row.is_baseline], primary)
    peers = [row for row in complete(trained) if row.mean(primary.name) is not None]
    passing = [row for row in peers if not row.failed_gates]
    if not passing:
        lacking = lacking_metric(primary.name, trained) if trained else ""
        lead = f"There is no ranking: {lacking}." if lacking else _no_leader(peers, primary)
        return Headline("", lead, open_points)
    leader = passing[0]
    base = rows.get(BASE) if leader.row != BASE else next((row for row in passing if row.row != BASE), None)
    comparison = (
        compare_pair(results, rows, leader.row, base.row, primary, family_of_report(results))
        if base and difference(leader, base, primary, scores=None) and len(leader.finished) > 1
        else None
    )
    margin = results.plan.equivalence_margin
    over = f"{text.count(len(leader.finished), 'seed')} and {text.count(image_count(results), 'test image')}"
    may_be_best = order.may_be_best([row.row for row in passing])
    lead = f"{_introduction(trained, may_be_best, primary)}: {_value(leader, primary)}, mean over {over}."
    lead += _better_than(leader, base, rows.get(IDENTITY), primary)
    if comparison:
        lead += _certainty(comparison, primary, margin, scale(list(rows.values()), primary))
    elif len(leader.finished) == 1:
        lead += " With only one seed, the order may be chance."
    lead += _fastest_near(leader, passing, primary, margin)
    better = [row for row in peers[: peers.index(leader)] if row.failed_gates]
    if better:
        lead += f" {_names(better)} would score better but {'fails' if len(better) == 1 else 'fail'} a gate."
    return Headline(text.printable(leader.row), lead, open_points)


def next_steps(tables: Sequence[DifferenceTable], primary: Metric, equivalence_margin: float) -> tuple[str, ...]:
    """Return what would resolve the open rows of each table: a sentence for each remedy."""
    sentences: list[str] = []
    for table in tables:
        rows: dict[str, list[str]] = {}
        for of_row in table.differences:
            comparison = table.comparisons.get(of_row.row)
            remedy = _remedy(comparison, primary, equivalence_margin) if comparison else ""
            if remedy:
                rows.setdefault(remedy, []).append(text.printable(of_row.row))
        name = text.printable(table.table)
        sentences += [f"Table {name}: {remedy} ({text.listing(names)})." for remedy, names in rows.items()]
    return (
        (*sentences, _BEFORE_MORE_SEEDS) if any("more seed" in sentence for sentence in sentences) else tuple(sentences)
    )


def _no_leader(peers: Sequence[Summary], primary: Metric) -> str:
    if not peers:
        return "No row has finished yet."
    failures = Counter(gate.name for row in peers for gate in row.failed_gates)
    counts = [f"{text.printable(gate)}: {text.count(number, 'row')}" for gate, number in failures.most_common()]
    best = f"The best of them, {text.printable(peers[0].row)}, has {_value(peers[0], primary)}."
    return f"Every finished row fails a gate ({'; '.join(counts)}). {best}"


def _introduction(order: Sequence[Summary], may_be_best: Sequence[str], primary: Metric) -> str:
    """Return how the leader is introduced: as leading only where it is surely better than every other row."""
    among = " among the rows that fail no gate" if any(row.gates for row in order) else ""
    if len(may_be_best) == 1 < len(order):
        return f"leads{among}"
    best = {"higher": "highest", "lower": "lowest", "near 1": "best"}[primary.direction]
    unproven = f", but {len(may_be_best)} rows may be best" if len(order) > 1 else ""
    return f"has the {best} mean{among}{unproven}"


def _value(row: Summary, primary: Metric) -> str:
    return f"{text.with_unit(text.number(row.mean(primary.name), primary.decimals), primary.unit)} {primary.label}"


def _better_than(leader: Summary, base: Summary | None, identity: Summary | None, primary: Metric) -> str:
    """Compare the leader with base (base itself with the next row) and with doing nothing."""
    parts: list[str] = []
    next_row = f"the next row ({base.row})" if base and leader.row == BASE else BASE
    for other, name in ((base, next_row), (identity, f"doing nothing ({IDENTITY})")):
        difference_to_other = difference(leader, other, primary, scores=None) if other else None
        if difference_to_other is None:
            continue
        gain = text.number(abs(difference_to_other.gain), primary.difference_decimals)
        word = "better" if difference_to_other.gain > 0 else "worse"
        shown = f"{text.with_unit(gain, primary.unit)} {word} than" if gain.strip("0.,") else "equal to"
        parts.append(f"{shown} {text.printable(name)}")
    return f" That is {text.listing(parts)}." if parts else ""


def _certainty(comparison: Comparison, primary: Metric, equivalence_margin: float, scale_of_scores: float) -> str:
    """Return the interval of the lead over base (of base over the next row), its verdict, and what would resolve it.

    As on the cards, an interval over two seeds that is wider than the rows lie apart is not shown.
    """
    gain = comparison.gain
    if gain is None:
        return f" How sure that is, this run cannot tell: {comparison.reason}."
    low, high = (text.signed(end, primary.difference_decimals) for end in (gain.low, gain.high))
    interval = (
        " The interval of the first difference (95 % for the whole report) is "
        f"{text.with_unit(f'{low} to {high}', primary.unit)}"
    )
    if is_vacuous(gain.low, gain.high, gain.seeds, scale_of_scores):
        interval = (
            f" The interval of the first difference is {not_available(gain.seeds)}: "
            "it would be wider than all rows lie apart"
        )
    if comparison.verdict is None:
        undecided = ", so treat the lead as undecided" if gain.low <= 0 else ""
        return f"{interval}. There is no verdict ({comparison.reason}){undecided}."
    sentence = f"{interval}. Verdict: {comparison.verdict}, {MEANINGS[comparison.verdict]}."
    # With enough seeds already, only the closeness of the true difference to the margin is in the way.
    if comparison.verdict != "inconclusive" or not equivalence_margin or gain.resolution <= equivalence_margin:
        return sentence
    margin = text.with_unit(f"{equivalence_margin:g}", primary.unit)
    needed = what_reaches(gain.precision, equivalence_margin)
    return f"{sentence} To resolve a true {margin} with a chance of 50 % takes {needed}."


def _fastest_near(leader: Summary, passing: Sequence[Summary], primary: Metric, equivalence_margin: float) -> str:
    """Name the fastest row whose mean is within the margin of the leader's: a candidate for a tight budget."""
    near = about_as_good(passing, leader, primary, equivalence_margin)
    choice = fastest(near)
    if choice is None or not equivalence_margin or choice[1].row == leader.row:
        return ""
    milliseconds, row = choice
    within = text.with_unit(f"{equivalence_margin:g}", primary.unit)
    return (
        f" The fastest of the {text.count(len(near), 'row')} within {within} of its mean is "
        f"{text.printable(row.row)}: {text.significant(milliseconds)} ms here, {_value(row, primary)}."
    )


def _open_points(rows: dict[str, Summary], problems: Sequence[Problem]) -> str:
    """Return what was not measured or has no result."""
    parts: list[str] = []
    undecided = [gate for row in rows.values() for gate in row.gates if gate.result not in ("passed", "failed")]
    for name in dict.fromkeys(gate.name for gate in undecided):
        named = [gate for gate in undecided if gate.name == name]
        unmeasured = next((gate for gate in named if gate.measured is None), None)
        if unmeasured:
            limit = gates.bound(unmeasured.limit, unmeasured.unit)
            parts.append(f"not measured: gate {name} (at most {limit}; {gates.reason(unmeasured)})")
        else:
            protocol = str(named[0].protocol.get("name") or "this")
            parts.append(f"inconclusive: gate {name} (the {protocol} protocol does not decide it)")
    for kind in dict.fromkeys(problem.kind for problem in problems):
        names = list(dict.fromkeys(text.printable(problem.row) for problem in problems if problem.kind == kind))
        parts.append(f"{kind}: {text.count(len(names), 'row')} ({text.listing(names)})")
    sentence = "; ".join(parts) or "everything that was planned was run and measured"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _remedy(comparison: Comparison, primary: Metric, equivalence_margin: float) -> str:
    """Return what would resolve a row; empty where it is resolved."""
    if comparison.verdict is None:
        return f"no verdict: {comparison.reason}" if comparison.reason else ""
    estimate = comparison.gain
    if comparison.verdict != "inconclusive" or estimate is None:
        return ""
    if not equivalence_margin:
        resolution = text.with_unit(text.number(estimate.resolution, primary.difference_decimals), primary.unit)
        return f"undecided at a resolution of {resolution}; the experiment has no equivalence margin"
    margin = text.with_unit(f"{equivalence_margin:g}", primary.unit)
    if estimate.resolution <= equivalence_margin:
        return f"the interval is narrower than {margin} and lies across it"
    return f"{what_reaches(estimate.precision, equivalence_margin)} would resolve {margin} with a chance of 50 %"


def _names(rows: Sequence[Summary]) -> str:
    """Return at most a few names; the tables have all."""
    names = [text.printable(row.row) for row in rows[:_MOST_NAMES]]
    left = len(rows) - len(names)
    return text.listing([*names, f"{left} more"] if left else names)
