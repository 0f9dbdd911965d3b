"""Interim analyses: how many seeds each row has, which rows stop because they are resolved, which get more.

A run goes from analysis to analysis. plan.json holds the seeds that each row has been given and the rows that stopped,
so a decision, once made, stays. The decision itself is that of the report: `reports.claims.resolved`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

from benchmark.errors import ExperimentError
from benchmark.experiment.adaptive_seeds import AdaptiveSeeds
from benchmark.experiment.load import BASE
from benchmark.experiment.plan import Plan
from benchmark.files import read_json, write_json
from benchmark.runner.plan_file import interim_plan
from benchmark.runner.row_leases import leases_of
from benchmark.runner.stage_store import StageStore
from reports.claims.resolved import has_all_seeds, resolved_rows
from reports.errors import FileFormatError
from reports.results import Results
from reports.results.summary import summaries
from reports.schema import PlanFile, read


@dataclass(frozen=True)
class RowSeeds:
    """The seeds of a row so far: 0 to `count` - 1."""

    count: int
    stopped_at: int | None = None
    """Seeds at the interim analysis after which it stopped."""


def seeds_so_far(plan: Plan, adaptive: AdaptiveSeeds, output: Path, study: Path | None = None) -> dict[str, RowSeeds]:
    """Return the seeds that the rows of a plan were given so far; those of the first analysis where none were.

    Args:
        plan: Has all rows.
        adaptive: The planned analyses.
        output: Folder of the run, whose plan.json says so.
        study: The published study that a new run goes on from.

    Raises:
        ExperimentError: The run in the folder was begun with other seeds or analyses.
    """
    rows = dict.fromkeys((row.row for row in plan.rows), RowSeeds(adaptive.first))
    folder = study if study and not (output / "plan.json").exists() else output
    try:
        before = read(PlanFile, folder / "plan.json")
    except FileFormatError:  # there is none yet, or a damaged one, whose decisions the records give again
        return rows
    if before.interim != interim_plan(adaptive):
        others = f"analyses after {before.interim.seeds} seeds" if before.interim else f"seeds {before.seeds}"
        raise ExperimentError(
            f"{folder}: holds a run with {others}; interim analyses must be fixed before a run, so choose another "
            "--output (trained stages are used again)"
        )
    given = {row.row: RowSeeds(len(row.seeds), row.stopped_at) for row in before.rows if row.kind == "trained"}
    return rows | {name: seeds for name, seeds in given.items() if name in rows}


def has_plan(output: Path) -> bool:
    """Return whether the folder of a run has a plan that can be read: a damaged one is written anew."""
    try:
        read(PlanFile, output / "plan.json")
    except FileFormatError:
        return False
    return True


def with_seeds(plan: Plan, seeds: Mapping[str, RowSeeds]) -> Plan:
    """Return the part of a plan with the seeds that its rows have so far."""
    return replace(
        plan,
        rows=tuple(row for row in plan.rows if row.seed < seeds[row.row].count),
        stopped_at={name: row.stopped_at for name, row in seeds.items() if row.stopped_at is not None},
    )


def after_analysis(results: Results, seeds: Mapping[str, RowSeeds], analyses: tuple[int, ...]) -> dict[str, RowSeeds]:
    """Return the seeds of all rows after the interim analysis that is due; the same where none is.

    One is due when every seed that the rows have so far has a record. A row that failed or was rejected stays as it is.
    The base row has as many seeds as any other row.

    Args:
        results: Records for the seeds of all rows, or of those that were chosen.
        seeds: The present ones.
        analyses: Seeds at each planned analysis.
    """
    rows = summaries(results)
    if results.missing or not has_all_seeds(rows[BASE]):
        return dict(seeds)
    resolved, following = resolved_rows(results), dict(seeds)
    for name, row in seeds.items():
        if name == BASE or row.stopped_at is not None or row.count == analyses[-1] or not has_all_seeds(rows[name]):
            continue
        if name in resolved:
            following[name] = RowSeeds(row.count, stopped_at=row.count)
        else:
            following[name] = RowSeeds(next(count for count in analyses if count > row.count))
    most = max((row.count for name, row in following.items() if name != BASE), default=seeds[BASE].count)
    return {**following, BASE: RowSeeds(most)}


def mark_stops(output: Path, seeds: Mapping[str, RowSeeds], store: StageStore) -> None:
    """Note in the records of the rows that have stopped at which analysis they did.

    A record that another process is writing is left to the next call.
    """
    for name, row in seeds.items():
        for seed in range(row.count if row.stopped_at else 0):
            folder = f"{name}/seed{seed}"
            file = output / folder / "record.json"
            if not _is_to_be_marked(read_json(file), row):
                continue
            leases, lease_name = leases_of(folder, output, store)
            with leases.hold(lease_name) as lease:
                record = read_json(file) if lease else None  # anew: its owner may have written it meanwhile
                if _is_to_be_marked(record, row):
                    write_json(file, {**record, "stopped_at": row.stopped_at})


def _is_to_be_marked(record: Any, row: RowSeeds) -> TypeGuard[dict[str, Any]]:
    return isinstance(record, dict) and record.get("stopped_at") != row.stopped_at
