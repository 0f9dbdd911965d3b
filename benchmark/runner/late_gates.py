"""Latency gates that the quick protocol left open: measured by the full protocol once all rows are trained.

Then nothing else of the run is busy, and only networks near their limit take the minute that the full protocol needs.
A machine that is busy with other programs leaves them open once more.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmark.experiment.plan import PlannedRow
from benchmark.experiment.schema import LatencyGate
from benchmark.gates.check_gates import check_gates
from benchmark.inference.int8 import FILE
from benchmark.runner.compression import build_shipped
from benchmark.runner.context import Context
from benchmark.runner.record_writer import planned_record
from benchmark.runner.row import describe_gate
from benchmark.runner.row_leases import change_record
from reports.schema import GateResult, Record, to_json


def measure_open_latencies(rows: Sequence[PlannedRow], context: Context, show: Callable[[str, str], None]) -> None:
    """Measure the latency gates of `protocol: auto` that are inconclusive, and write the results into the records.

    Args:
        rows: The rows of a run, all of which have ended.
        context: Where their records lie, and the machine.
        show: Called with a row and a line about it before and after a measurement.
    """
    measured: dict[str, list[GateResult]] = {}
    for row in rows:
        record = planned_record(context.output / row.folder, row.config_hash)
        if record is None or record.status != "done" or not (gates := _open_gates(row, record)):
            continue
        if row.network not in measured:
            show(row.folder, f"{', '.join(gates)} again, by the full protocol: some minutes")
            model, machine = row.recipe.model, context.machine
            restorer = build_shipped(model, row.seed, context.registry).to(machine.device)
            file = context.output / row.folder / FILE
            content = file.read_bytes() if model.compression.int8 else None
            results = check_gates(gates, restorer, model.as_config(), machine, context.registry.plugins, content)
            measured[row.network] = results
            show(row.folder, "\n".join(f"gate {describe_gate(result)}" for result in results))
        change = partial(_with_results, {result.name: result for result in measured[row.network]}, row.config_hash)
        change_record(row.folder, context.output, context.store, change)


def _with_results(results: Mapping[str, GateResult], config_hash: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with the results of the gates that were measured again, if it is still that of the plan."""
    if record.get("config_hash") != config_hash:
        return record
    changed = {name: to_json(result) for name, result in results.items()}
    return {**record, "gates": [changed.get(gate["name"], gate) for gate in record["gates"]]}


def _open_gates(row: PlannedRow, record: Record) -> dict[str, LatencyGate]:
    """Return the gates of a row that are to be measured again, with the full protocol."""
    inconclusive = {gate.name for gate in record.gates if gate.result == "inconclusive"}
    return {
        name: gate.model_copy(update={"protocol": "full"})
        for name, gate in row.recipe.gates.items()
        if isinstance(gate, LatencyGate) and gate.protocol == "auto" and name in inconclusive
    }
