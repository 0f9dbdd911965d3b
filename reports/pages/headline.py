"""The answer on the first screen: which row leads, by how much, and what the records do not say."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reports import text
from reports.metrics import Metric
from reports.results import Problem, Results
from reports.results.summary import BASE, IDENTITY, Summary, complete, difference, image_count, latency, ranked
from reports.statistics.verdicts import MEANINGS, Verdict, contrast
from reports.tables import gates

_MOST_NAMES = 4


@dataclass(frozen=True)
class Answer:
    """`leader` is the leading row (empty where none leads), `lead` goes on from its name; then what remains open."""

    leader: str
    lead: str
    open_points: str


def answer(rows: dict[str, Summary], results: Results, primary: Metric) -> Answer:
    """A few sentences from the finished rows: who leads, by how much, and how sure that is."""
    order = ranked([row for row in rows.values() if not row.is_baseline], primary)
    peers = [row for row in complete(order) if row.mean(primary.name) is not None]
    keeping = [row for row in peers if not row.failed_gates]
    if not keeping:
        return Answer("", _no_leader(order, peers, primary), _open_points(rows, results.problems))
    leader = keeping[0]
    verdict, comparisons = _verdict(leader, keeping, rows, results, primary)
    over = f"{text.count(len(leader.finished), 'seed')} and {text.count(image_count(results), 'test image')}"
    lead = f"{_under(order, verdict, primary)} {_shown(leader, primary)}{_against(leader, keeping, rows, primary)}"
    lead += f" (mean over {over}).{_how_sure(leader, verdict, comparisons, results, primary)}"
    lead += _faster(leader, keeping, primary, results.plan.equivalence_margin)
    better = [row for row in peers[: peers.index(leader)] if row.failed_gates]
    if better:
        lead += f" {_names(better)} would score better but {'fails' if len(better) == 1 else 'fail'} a gate."
    return Answer(text.printable(leader.row), lead, _open_points(rows, results.problems))


def _no_leader(order: Sequence[Summary], peers: Sequence[Summary], primary: Metric) -> str:
    if peers:
        failures = Counter(gate.name for row in peers for gate in row.failed_gates)
        counts = [f"{text.count(number, 'row')} {text.printable(gate)}" for gate, number in failures.most_common()]
        best = f"The best of them, {text.printable(peers[0].row)}, has {_shown(peers[0], primary)}."
        return f"No finished row keeps the gates (failing: {text.listing(counts)}). {best}"
    return "The finished rows lack the primary metric." if order else "No row has finished yet."


def _under(order: Sequence[Summary], verdict: Verdict | None, primary: Metric) -> str:
    """How the leader is introduced: as leading only where its lead is sure."""
    among = " among the rows that fail no gate" if any(row.gates for row in order) else ""
    if verdict and verdict.word in ("gain", "negligible gain"):
        return f"leads{among}, with"
    best = {"higher": "highest", "lower": "lowest", "near 1": "best"}[primary.direction]
    unproven = ", though no row is proven best" if len(order) > 1 else ""
    return f"has the {best} mean{among}{unproven}, with"


def _shown(row: Summary, primary: Metric) -> str:
    return f"{text.with_unit(text.number(row.mean(primary.name), primary.decimals), primary.unit)} {primary.label}"


def _against(leader: Summary, keeping: Sequence[Summary], rows: dict[str, Summary], primary: Metric) -> str:
    parts = [_compared(leader, other, name, primary) for other, name in _references(leader, keeping, rows)]
    present = [part for part in parts if part]
    return f": {text.listing(present)}" if present else ""


def _references(
    leader: Summary, keeping: Sequence[Summary], rows: dict[str, Summary]
) -> list[tuple[Summary | None, str]]:
    """What the leader is held against: base (for base, the next row), and doing nothing."""
    base = rows.get(BASE)
    first = base if leader.row != BASE else next((row for row in keeping if row.row != BASE), None)
    name = first.row if first and first.row == BASE else f"the next row, {first.row}" if first else ""
    return [(first, text.printable(name)), (rows.get(IDENTITY), f"doing nothing ({IDENTITY})")]


def _compared(leader: Summary, other: Summary | None, name: str, primary: Metric) -> str:
    found = difference(leader, other, primary, scores=None) if other else None
    if found is None:
        return ""
    shown = text.number(abs(found.gain), primary.difference_decimals)
    if not shown.strip("0.,"):
        return f"equal to {name}"
    return f"{text.with_unit(shown, primary.unit)} {'better' if found.gain > 0 else 'worse'} than {name}"


def _verdict(
    leader: Summary, keeping: Sequence[Summary], rows: dict[str, Summary], results: Results, primary: Metric
) -> tuple[Verdict | None, int]:
    """The lead, and for how many rows its interval holds: all of them, since the leader was chosen among many."""
    comparisons = max(sum(not row.is_baseline for row in rows.values()) - 1, 1)
    other = _references(leader, keeping, rows)[0][0]
    if other is None or difference(leader, other, primary, scores=None) is None or len(leader.finished) == 1:
        return None, comparisons
    return contrast(results, rows, leader.row, other.row, primary, comparisons), comparisons


def _how_sure(leader: Summary, verdict: Verdict | None, comparisons: int, results: Results, primary: Metric) -> str:
    if verdict is None:
        return " With one seed the order may be chance." if len(leader.finished) == 1 else ""
    return _read(verdict, comparisons, primary, results.plan.equivalence_margin)


def _faster(leader: Summary, keeping: Sequence[Summary], primary: Metric, margin: float) -> str:
    """The fastest row whose mean is within the margin of the leader's: under a budget, the one to look at."""
    near = [row for row in keeping if _behind(row, leader, primary) <= margin]
    timed = [(gate.measured, row) for row in near if (gate := latency(row)) and gate.measured is not None]
    if not timed or not margin:
        return ""
    fastest, row = min(timed, key=lambda one: one[0])
    if row.row == leader.row:
        return ""
    within = text.with_unit(f"{margin:g}", primary.unit)
    return (
        f" Fastest here of the {text.count(len(near), 'row')} within {within} of its mean: {text.printable(row.row)}, "
        f"{text.significant(fastest)} ms, {_shown(row, primary)}."
    )


def _behind(row: Summary, leader: Summary, primary: Metric) -> float:
    return primary.gain(leader.mean(primary.name) or 0.0, row.mean(primary.name) or 0.0)


def _read(verdict: Verdict, comparisons: int, primary: Metric, margin: float) -> str:
    gain = verdict.gain
    if gain is None:
        return f" How sure that is cannot be told: {verdict.reason}."
    low, high = (text.signed(end, primary.difference_decimals) for end in (gain.low, gain.high))
    shared = f" (that holds for all {comparisons} comparisons)" if comparisons > 1 else ""
    interval = f" The 95 % interval of that difference{shared} is {text.with_unit(f'{low} to {high}', primary.unit)}"
    if verdict.word is None:
        undecided = ", so treat the lead as undecided" if gain.low <= 0 else ""
        return f"{interval}; it gets no word ({verdict.reason}){undecided}."
    said = f"{interval}: {verdict.word}, {MEANINGS[verdict.word]}."
    if verdict.word != "inconclusive" or not margin:
        return said
    if gain.seeds_needed == gain.seeds:  # so narrow already: only the truth's nearness to the margin is in the way
        return said
    needed = "more images, not more seeds"
    if gain.seeds_needed is not None:
        needed = f"{text.count(gain.seeds_needed - gain.seeds, 'more seed')} ({gain.seeds_needed} in all)"
    return f"{said} To resolve {text.with_unit(f'{margin:g}', primary.unit)} takes {needed}."


def _open_points(rows: dict[str, Summary], problems: Sequence[Problem]) -> str:
    parts = [*_unmeasured(rows), *_unfinished(problems)]
    if not parts:
        return "Everything that was planned was run and measured."
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _unmeasured(rows: dict[str, Summary]) -> list[str]:
    """One part for each gate without a yes or no, with the reason once."""
    open_gates = [gate for row in rows.values() for gate in row.gates if gate.result not in ("passed", "failed")]
    parts: list[str] = []
    for name in dict.fromkeys(gate.name for gate in open_gates):
        named = [gate for gate in open_gates if gate.name == name]
        unmeasured = [gate for gate in named if gate.measured is None]
        if unmeasured:
            limit = gates.bound(unmeasured[0].limit, unmeasured[0].unit)
            parts.append(f"not measured: gate {name} (at most {limit}; {gates.reason(unmeasured[0])})")
        else:
            device = str(named[0].protocol.get("name") or "this")
            parts.append(f"inconclusive: gate {name} (the {device} protocol does not decide it)")
    return parts


def _unfinished(problems: Sequence[Problem]) -> list[str]:
    kinds = dict.fromkeys(problem.kind for problem in problems)
    return [
        f"{kind}: {text.count(len(names), 'row')} ({text.listing(names)})"
        for kind in kinds
        if (names := list(dict.fromkeys(text.printable(problem.row) for problem in problems if problem.kind == kind)))
    ]


def _names(rows: Sequence[Summary]) -> str:
    """At most a few names: this is a sentence, the tables have them all."""
    names = [text.printable(row.row) for row in rows[:_MOST_NAMES]]
    left = len(rows) - len(names)
    return text.listing([*names, f"{left} more"] if left else names)
