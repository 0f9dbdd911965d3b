"""In what two experiments differ besides their rows: notes that stand beside a table of both."""

from collections.abc import Callable, Sequence
from typing import cast

from reports import text
from reports.results import Results
from reports.results.settings import section, unequal
from reports.schema import GateResult, Json, Record
from reports.tables import gates

_MOST = 6
"""Settings named in one note; the two experiment.yaml have them all."""
_SECTIONS = {
    "training data": ("data", "train"),
    "validation data": ("data", "val"),
    "model of the base row": ("model",),
    "protocol of the base row": ("protocol",),
}
_MACHINE = ("device_name", "threads", "precision", "torch", "python", "commit")


def departures(name: str, one: Results, other_name: str, other: Results) -> tuple[str, ...]:
    """One line each for what differs: data, model, protocol, margin, machine and versions, gates."""
    found = [
        *(_setting(label, path, one, other) for label, path in _SECTIONS.items()),
        _changed("margin", f"{one.plan.equivalence_margin:g}", f"{other.plan.equivalence_margin:g}"),
        *(_changed(field.replace("_", " "), *(_field(side, field) for side in (one, other))) for field in _MACHINE),
        _versions(one, other),
        *_gates(one, other),
    ]
    return tuple(f"{name} against {other_name}: {line}." for line in found if line)


def _setting(label: str, path: Sequence[str], one: Results, other: Results) -> str:
    found = unequal(section(one.experiment_yaml, *path), section(other.experiment_yaml, *path))
    return f"{label}: {_shortened(found)}" if found else ""


def _shortened(parts: list[str]) -> str:
    left = len(parts) - _MOST
    return "; ".join([*parts[:_MOST], *([f"{left} more"] if left > 0 else [])])


def _changed(label: str, one: str, other: str) -> str:
    return f"{label} {one or 'unknown'} against {other or 'unknown'}" if one != other else ""


def _field(results: Results, name: str) -> str:
    return _of_trained(results, lambda record: str(record.provenance.get(name) or ""))


def _of_trained(results: Results, fact: Callable[[Record], str]) -> str:
    """What the finished trained records say, each different saying once."""
    return ", ".join(sorted({fact(record) for record in results.finished if record.seed is not None} - {""}))


def _versions(one: Results, other: Results) -> str:
    """The versions of packages that differ; torch has a note of its own."""
    names = dict.fromkeys(name for side in (one, other) for record in side.finished for name in _packages(record))
    found = [_changed(name, _version(one, name), _version(other, name)) for name in names if name != "torch"]
    present = [line for line in found if line]
    return f"versions: {_shortened(present)}" if present else ""


def _version(results: Results, package: str) -> str:
    return _of_trained(results, lambda record: _packages(record).get(package, ""))


def _packages(record: Record) -> dict[str, str]:
    versions = record.provenance.get("versions")
    return {name: str(value) for name, value in cast(Json, versions).items()} if isinstance(versions, dict) else {}


def _gates(one: Results, other: Results) -> list[str]:
    """Gates that only one has, or whose limits or conditions differ."""
    of_one, of_other = _judged(one), _judged(other)
    return [
        _changed(f"gate {name}", of_one.get(name, "not set"), of_other.get(name, "not set"))
        for name in dict.fromkeys([*of_one, *of_other])
    ]


def _judged(results: Results) -> dict[str, str]:
    """Gate -> its limit and how it was measured, over all finished records."""
    found: dict[str, dict[str, None]] = {}
    for gate in (gate for record in results.finished for gate in record.gates):
        found.setdefault(gate.name, {})[_judgement(gate)] = None
    return {name: " or ".join(judgements) for name, judgements in found.items()}


def _judgement(gate: GateResult) -> str:
    wanted = str(gate.protocol.get("device") or "") if gate.measured is None else gates.conditions(gate)
    return text.printable(f"at most {gates.bound(gate.limit, gate.unit)}{f' ({wanted})' if wanted else ''}")
