"""The evidence that claims are evaluated with: how much better one row is than another, and which of two is cheaper."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from reports import text
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import BASE, Summary
from reports.schema import GateResult
from reports.statistics.intervals import FEWEST_SEEDS
from reports.statistics.precision import Precision
from reports.statistics.verdicts import Family, compare_pair
from reports.tables import gates


@dataclass(frozen=True)
class Gain:
    """How much better one row is than another in a metric, with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float
    difference: tuple[float, float]
    """Interval of the plain difference, row minus rival. It differs from the gain for a metric that is best near 1."""
    precision: Precision
    """What the width comes from."""
    margin: float = 0.0
    """What the report wants to tell apart of a trained row and base in the primary metric; 0 for any other pair."""
    doubt: str = ""
    """Why the interval decides nothing; empty where it does."""
    resolves: str = ""
    """What would remove the doubt."""
    stopped_at: int | None = None
    """As in `Comparison`: the estimate is biased where it is set."""

    @property
    def seeds(self) -> int:
        """Seeds of each of the two rows."""
        return self.precision.seeds

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Unknown:
    """There is no interval: why, and what would give one."""

    reason: str
    resolves: str


Gains = Callable[[str, str, Metric], Gain | Unknown]
"""(row, rival, metric) -> the gain of the row over the rival."""


def gain_of(
    results: Results, rows: Mapping[str, Summary], family: Family, row: str, rival: str, metric: Metric
) -> Gain | Unknown:
    """Return the gain of a row over a rival; its interval holds together with the others of the family."""
    pair = (rows[row], rows[rival])
    # A baseline is always the row that is compared: it has no seeds of its own.
    first, second = (rival, row) if rows[rival].is_baseline else (row, rival)
    comparison = compare_pair(results, rows, first, second, metric, family)
    if comparison.gain is None or comparison.estimate is None:
        return Unknown(comparison.reason, _next_evidence(pair))
    sign = 1.0 if comparison.row == row else -1.0
    low, high = sorted((sign * comparison.gain.low, sign * comparison.gain.high))
    difference = sorted((sign * comparison.estimate.low, sign * comparison.estimate.high))
    # A baseline has no verdict because it has no seeds. Its interval counts the seeds of the other row.
    reason = "" if any(side.is_baseline for side in pair) else comparison.reason
    unfinished = [f"not all seeds of {side.row} have finished" for side in pair if len(side.finished) < side.planned]
    doubt = next(iter(unfinished), reason)
    return Gain(
        mean=sign * comparison.gain.difference,
        low=low,
        high=high,
        difference=(difference[0], difference[1]),
        precision=comparison.gain.precision,
        margin=results.plan.equivalence_margin if _is_of_report(results, pair, metric) else 0.0,
        doubt=doubt,
        resolves=_next_evidence(pair) if doubt else "",
        stopped_at=comparison.stopped_at,
    )


def _is_of_report(results: Results, pair: tuple[Summary, Summary], metric: Metric) -> bool:
    """Tell whether a pair is one that the tables of differences give a verdict on."""
    is_trained = not any(side.is_baseline for side in pair)
    return is_trained and BASE in [side.row for side in pair] and metric.name == results.plan.primary


def _next_evidence(pair: tuple[Summary, Summary]) -> str:
    """Return what would give the pair an interval, or a reliable one."""
    for row in pair:
        if len(row.finished) < row.planned:
            return f"finish the other seeds of {row.row}"
    seeds = min((len(row.finished) for row in pair if not row.is_baseline), default=0)
    if seeds < FEWEST_SEEDS:
        return text.count(FEWEST_SEEDS - seeds, "more seed")
    return "more seeds" if any(row.is_baseline for row in pair) else "more seeds, or more rows like these"


MACS = "macs"


Order = Literal["cheaper", "dearer", "open"]


@dataclass(frozen=True)
class Costs:
    """The cost of a rival against that of a row."""

    order: Order
    """Whether the rival is surely as cheap (`cheaper`), surely dearer, or neither."""
    shown: str
    resolves: str
    """What would settle an open order; empty where it is settled."""


def compare_costs(rows: Mapping[str, Summary], row: str, rival: str, cost: str) -> Costs:
    """`rival` against `row` in multiply-adds, or in what the latency gate called `cost` measured.

    A latency without interval counts as known to within the interquartile range of its calls, one that was measured
    unsteadily as unknown.
    """
    return _macs(rows[row], rows[rival]) if cost == MACS else _latency(rows[row], rows[rival], cost)


def find_gate(row: Summary, name: str) -> GateResult | None:
    """Return the gate of a row by its name; None where no record has it."""
    return next((gate for gate in row.gates if gate.name == name), None)


def how_to_measure(gate: GateResult | None) -> str:
    """Return what turns an open gate into one that is passed or failed."""
    if gate is None:
        return "run the row"
    if gate.measured is None:
        device = str(gate.protocol.get("device") or "")
        return f"measure on {device}" if device else "measure it on a machine that can"
    if gate.protocol.get("unsteady"):
        return "measure again on an idle machine"
    return "measure by the full protocol" if gate.interval is None else "measure longer: the interval spans the limit"


def _macs(row: Summary, rival: Summary) -> Costs:
    own, other = (side.model.macs if side.model else None for side in (row, rival))
    if own is None or other is None:
        return Costs("open", "multiply-adds not counted", "run both rows")
    shown = f"{text.giga(other)} against {text.giga(own)} GMACs"
    shapes = [side.model.macs_shape for side in (row, rival) if side.model]
    if len(set(shapes)) > 1:
        return Costs("open", f"{shown}, of images of other sizes", "count both for one size")
    return Costs("cheaper" if other <= own else "dearer", shown, "")


def _latency(row: Summary, rival: Summary, name: str) -> Costs:
    own, other = find_gate(row, name), find_gate(rival, name)
    for gate in (own, other):
        if gate is None or gate.measured is None:
            cause = gates.reason(gate) if gate else "not run"
            return Costs("open", f"{name} unknown: {cause}", how_to_measure(gate))
    assert own is not None and other is not None
    shown = f"{gates.quantity(other.measured, other.unit)} against {gates.quantity(own.measured, own.unit)}"
    if gates.conditions(own) != gates.conditions(other):
        return Costs("open", f"{shown}, measured under other conditions", "measure both under the same conditions")
    for gate in (own, other):
        if gate.protocol.get("unsteady"):
            return Costs("open", f"{shown}, measured unsteadily", how_to_measure(gate))
    (own_low, own_high), (low, high) = _range(own), _range(other)
    if low > own_high:
        return Costs("dearer", shown, "")
    if high <= own_low:
        return Costs("cheaper", shown, "")
    longer = "measure longer: the two cannot be told apart"
    return Costs("open", shown, longer if own.interval and other.interval else "measure by the full protocol")


def _range(gate: GateResult) -> tuple[float, float]:
    """Between which milliseconds a measured latency lies."""
    if gate.interval:
        return gate.interval
    measured, spread = gate.measured or 0.0, gate.protocol.get("spread")
    spread = spread if isinstance(spread, int | float) else 0.0
    return measured * (1 - spread), measured * (1 + spread)
