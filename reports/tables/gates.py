"""Tables of gates: the limit, what was measured, the result and the reason."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Mark, plain
from reports.results.summary import Summary
from reports.schema import GateResult, Json

SIGNS = {"passed": "✓", "failed": "✗", "inconclusive": "~", "not_measured": "–"}
LEGEND = "Gates: ✓ passed, ✗ failed, ~ inconclusive, – not measured."

_COLUMNS = (
    ROW_COLUMN,
    Column("gate", "gate", numeric=False),
    Column("measured", "measured"),
    Column("limit", "limit, at most"),
    Column("unit", "unit", numeric=False, csv_only=True),
    Column("result", "result", numeric=False),
    Column("reason", "how", numeric=False),
)


def mark(gate: GateResult) -> Mark:
    """Return the sign of a gate's result."""
    return Mark(SIGNS.get(gate.result, "?"), gate.name, reason(gate), gate.result)


def reason(gate: GateResult) -> str:
    """Return why a gate has its result, in one line."""
    if gate.measured is None:
        return str(gate.protocol.get("reason") or "not measured")
    how = "; ".join(part for part in (conditions(gate), *doubts(gate)) if part)
    return f"{quantity(gate.measured, gate.unit)} of at most {bound(gate.limit, gate.unit)}{f' ({how})' if how else ''}"


def doubts(gate: GateResult) -> tuple[str, ...]:
    """Return the interval of a measurement, and what made it unreliable."""
    words = tuple(_words(gate.protocol.get("unsteady")))
    if not gate.interval:
        return words
    low, high = (text.significant(end) for end in gate.interval)
    return (text.with_unit(f"95 % interval {low} to {high}", gate.unit), *words)


def bound(limit: float, unit: str) -> str:
    """Return a limit as it was set, with its unit; bytes as MB of 10^6 bytes, large numbers without exponent."""
    if unit == "bytes":
        return f"{limit / 1e6:g} MB"
    return text.with_unit(f"{limit:,.0f}" if limit >= 1000 and limit == int(limit) else f"{limit:g}", unit)


def quantity(value: float | None, unit: str) -> str:
    """Return a measured value with its unit; bytes as MB of 10^6 bytes."""
    if value is None:
        return text.ABSENT
    return f"{text.megabytes(value)} MB" if unit == "bytes" else text.with_unit(text.significant(value), unit)


def conditions(gate: GateResult) -> str:
    """Return the conditions of a measurement, without the number of runs, which varies."""
    protocol = gate.protocol
    image = protocol.get("image")
    parts = [
        f"{protocol['name']} protocol" if protocol.get("name") else "",
        str(protocol.get("quantile") or ""),
        str(protocol.get("device") or ""),
        text.count(int(protocol["threads"]), "thread") if _is_count(protocol.get("threads")) else "",
        str(protocol.get("dtype") or ""),
        str(protocol.get("layout") or ""),
        str(protocol.get("runtime") or ""),
        f"{'×'.join(_words(image))} px" if _words(image) else "",
        f"in {text.count(int(protocol['tiles']), 'tile')}" if _is_count(protocol.get("tiles")) else "",
    ]
    return ", ".join(part for part in parts if part)


def gate_table(gates: Iterable[tuple[str, GateResult]]) -> Grid | None:
    """Return every gate with what was measured and how; None where there are no gates.

    Args:
        gates: Name of a row or network, and one of its gates.
    """
    lines = tuple(_line(row, gate) for row, gate in gates)
    if not lines:
        return None
    return Grid("gates", "Gates, row by row: what was measured, the limit, and how.", _COLUMNS, lines, notes=(LEGEND,))


def gates_of(rows: Sequence[Summary]) -> list[tuple[str, GateResult]]:
    """Return the gates of all rows, each with the name of its row."""
    return [(row.row, gate) for row in rows for gate in row.gates]


def presets_of(rows: Iterable[Summary]) -> tuple[str, ...]:
    """Return the limits by name (`gates: {preset: NAME}`) that any row was counted under."""
    return tuple(dict.fromkeys(preset for row in rows if row.model for preset in row.model.presets))


def preset_column(preset: str) -> Column:
    """Return the column of a preset, which a reader may choose."""
    return Column(
        f"preset_{preset}",
        f"limits {preset.replace('_', ' ')}",
        numeric=False,
        optional=True,
        hint=f"What is counted of the limits gates: {{preset: {preset}}}; time and memory are not.",
    )


def preset_cell(row: Summary, preset: str) -> Cell:
    """Return what a row is under the limits of a preset: passed, or which limits it fails or leaves open."""
    results = row.model.presets.get(preset, ()) if row.model else ()
    if not results:
        return Cell(None, text.ABSENT)
    by_result = {outcome: [gate.name for gate in results if gate.result == outcome] for outcome in SIGNS}
    parts = [
        f"{SIGNS[outcome]} {', '.join(names)}" for outcome, names in by_result.items() if names and outcome != "passed"
    ]
    shown = "; ".join(parts) or SIGNS["passed"]
    hint = "; ".join(f"{gate.name}: {reason(gate)}" for gate in results)
    outcome = next((outcome for outcome in ("failed", "inconclusive", "not_measured") if by_result[outcome]), "passed")
    return Cell(outcome, text.printable(shown), hint=text.printable(hint))


def _line(row: str, gate: GateResult) -> tuple[Cell, ...]:
    estimate = f"; estimate: {_estimate(gate.estimate)}" if gate.estimate is not None else ""
    runs = f", {text.count(gate.protocol['runs'], 'run')}" if _is_count(gate.protocol.get("runs")) else ""
    measured = "; ".join((conditions(gate) + runs, *doubts(gate)))
    how = (measured if gate.measured is not None else reason(gate)) + estimate
    return (
        plain(row),
        plain(gate.name),
        Cell(gate.measured, quantity(gate.measured, gate.unit)),
        Cell(gate.limit, bound(gate.limit, gate.unit)),
        plain(gate.unit),
        Cell(gate.result, f"{SIGNS.get(gate.result, '?')} {gate.result.replace('_', ' ')}"),
        plain(how),
    )


def _estimate(estimate: Any) -> str:
    if isinstance(estimate, dict):
        return ", ".join(f"{name} {value}" for name, value in cast(Json, estimate).items())
    return " to ".join(_words(estimate)) or str(estimate)


def _words(values: Any) -> list[str]:
    """Return the items of a JSON list; nothing where it is no list."""
    return [str(value) for value in cast(list[Any], values)] if isinstance(values, list) else []


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
