"""Where the numbers come from: commit, device, versions, seeds, commands; and whom to cite."""

from collections.abc import Sequence
from typing import cast

from reports import text
from reports.grid import Cell, Column, Grid, plain
from reports.results import Results
from reports.results.summary import Summary
from reports.schema import Json

_FIELDS = {
    "command": "command",
    "commit": "commit",
    "device": "device",
    "device_name": "device name",
    "threads": "threads",
    "allocator": "allocator",
    "environment": "environment",
    "python": "Python",
    "torch": "torch",
    "platform": "platform",
}


def grid(results: Results) -> Grid:
    """One line a fact; a fact in which the records differ lists every value with how many records have it."""
    return facts([record.provenance for record in results.records], results.plan.seeds)


def facts(found: Sequence[Json], seeds: Sequence[int] = ()) -> Grid:
    """The same from the provenance of each record; seeds are left out where there are none."""
    values = {label: _counted([_field(one, name) for one in found]) for name, label in _FIELDS.items()}
    values |= {"versions": _counted([_versions(one) for one in found])}
    values |= {"seeds": ", ".join(map(str, seeds)), "started": _period(found)}
    lines = tuple((plain(name), plain(value)) for name, value in values.items() if value)
    columns = (Column("fact", "fact", numeric=False, heads_row=True), Column("value", "value", numeric=False))
    return Grid("provenance", "Provenance of the records.", columns, lines)


def problems(results: Results) -> Grid | None:
    """Rows and seeds without a result; None where every one has its own."""
    columns = (
        Column("row", "row", numeric=False, heads_row=True),
        Column("seed", "seed"),
        Column("kind", "what", numeric=False),
        Column("reason", "reason", numeric=False),
    )
    lines = tuple(
        (plain(one.row), Cell(one.seed, text.seed_name(one.seed)), plain(one.kind), plain(one.reason))
        for one in results.problems
    )
    return Grid("problems", "Rows and seeds without a result, and why.", columns, lines) if lines else None


def citations(rows: Sequence[Summary]) -> tuple[str, ...]:
    """The BibTeX entries of all backbones, each once."""
    return tuple(dict.fromkeys(entry.strip() for row in rows if row.model for entry in row.model.citations))


def _field(provenance: Json, name: str) -> str:
    value = provenance.get(name)
    shown = "" if value is None else str(value)
    dirty = name == "commit" and shown and provenance.get("dirty")
    return f"{shown} with uncommitted changes" if dirty else shown


def _versions(provenance: Json) -> str:
    versions = provenance.get("versions")
    if not isinstance(versions, dict):
        return ""
    return ", ".join(f"{name} {version}" for name, version in cast(Json, versions).items())


def _counted(values: Sequence[str]) -> str:
    present = [value for value in values if value]
    different = list(dict.fromkeys(present))
    if len(different) < 2:
        return "".join(different)
    return "; ".join(f"{value} ({text.count(present.count(value), 'record')})" for value in different)


def _period(found: Sequence[Json]) -> str:
    started = sorted(str(one["started"]) for one in found if one.get("started"))
    if not started:
        return ""
    return started[0] if started[0] == started[-1] else f"{started[0]} to {started[-1]}"
