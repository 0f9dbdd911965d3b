"""Which of two rows is cheaper, and what would tell where records do not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from reports import text
from reports.results.summary import Summary
from reports.schema import GateResult
from reports.tables import gates

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
    measured, spread = gate.measured or 0.0, float(gate.protocol.get("spread") or 0.0)
    return measured * (1 - spread), measured * (1 + spread)
