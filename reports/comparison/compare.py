"""Rows of several experiments in one table: whether they may be compared, and in what the experiments differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from reports import text
from reports.comparison.combine import merged, named, row_name
from reports.comparison.scored_images import evidence, mismatch, scored_images, section, unequal
from reports.comparison.shared_test_sets import shared_test_sets
from reports.errors import ReportError
from reports.grid import Grid
from reports.metrics import Metric
from reports.results import Results
from reports.results.load import load
from reports.results.summary import BASE, SPLIT, summaries
from reports.schema import GateResult, Json, Record
from reports.statistics.ranks import order_of_pairs
from reports.tables import gates, score_tables
from reports.tables.differences import DifferenceTable, table_against
from reports.tables.interval_text import scale, without_vacuous_intervals
from reports.tables.provenance import problem_table
from reports.tables.test_sets import OnTestSet

_MOST_SETTINGS = 6
"""Settings named in one note; the two experiment.yaml have all of them."""
_SECTIONS = {
    "training data": ("data", "train"),
    "validation data": ("data", "val"),
    "model of the base row": ("model",),
    "protocol of the base row": ("protocol",),
}
_MACHINE = ("device_name", "threads", "precision", "torch", "python", "commit")


@dataclass(frozen=True)
class ComparedRuns:
    """Several experiments in one: `results` has the rows of all, over the seeds that all have."""

    results: Results
    reference: str
    metric: Metric
    ranking: Grid
    differences: DifferenceTable
    """The rows against the reference."""
    sets: tuple[OnTestSet, ...]
    """The rows on each test set that is the same in all experiments; the first one is that of `metric`."""
    problems: Grid | None
    notes: tuple[str, ...]
    """What was checked, what was left out, and in what the experiments differ."""
    damage: tuple[str, ...]
    """A line for each damaged file."""
    unchecked: int
    """Records of an earlier version, which cannot tell whether the files beside them are damaged."""


def compare(folders: Sequence[Path], reference: str | None = None, metric: str | None = None) -> ComparedRuns:
    """Compare the rows of all run folders with one of them.

    Args:
        folders: At least two run folders.
        reference: `EXPERIMENT/ROW`. None is the base row of the first folder.
        metric: The metric to compare by. None is the primary metric of the first folder.

    Raises:
        ReportError: A folder is no run, or the rows cannot stand in one table; then there is one line for each reason.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        given = ", ".join(map(str, folders)) or "none"
        raise ReportError(f"{given}: compare needs two different run folders or more")
    experiments = named([load(folder) for folder in folders])
    (first, base), *others = experiments.items()
    primary = base.metric(metric or base.plan.primary)
    seeds = sorted(set.intersection(*map(_finished_seeds, experiments.values())))
    _check_comparable(experiments, primary, seeds)
    results = merged(experiments, seeds)
    results = replace(results, plan=results.plan.model_copy(update={"primary": primary.name}))
    rows = summaries(results)
    name = reference or row_name(first, BASE)
    scored = [row for row, summary in rows.items() if summary.by_seed(primary.name)]
    if name not in scored:
        raise ReportError(
            f"--reference {name}: no row of that name has {primary.name} over the common seeds; "
            f"these have: {', '.join(map(text.printable, scored))}"
        )
    of_first = scored_images(first, base)
    differences = table_against(rows, rows[name], results, primary)
    scales = {primary.name: scale(list(rows.values()), primary)}
    grid = without_vacuous_intervals(differences.grid, primary.name, scales, len(seeds))
    sets, unequal_sets = shared_test_sets(
        experiments, results, rows, rows[name], lambda own, metric, _: order_of_pairs(own, rows, metric)
    )
    notes = (
        *(evidence(of_first, scored_images(name, other)) for name, other in others),
        *_notes_on_choices(experiments, primary, seeds),
        *unequal_sets,
        *(line for name, other in others for line in experiment_diff(first, base, name, other)),
        *results.notes,
    )
    return ComparedRuns(
        results=results,
        reference=name,
        metric=primary,
        ranking=score_tables.ranking(list(rows.values()), primary, sets[0].order),
        differences=replace(differences, grid=grid),
        sets=sets,
        problems=problem_table(results),
        notes=notes,
        damage=tuple(line for item in experiments.values() for line in item.damage),
        unchecked=sum(item.unchecked for item in experiments.values()),
    )


def experiment_diff(name: str, results: Results, other_name: str, other: Results) -> tuple[str, ...]:
    """Return a line for each difference besides the rows: data, model, protocol, margin, machine, versions, gates."""
    sides, limits, other_limits = (results, other), _gate_limits(results), _gate_limits(other)
    evaluated = [label for label, side in zip((name, other_name), sides, strict=True) if _is_evaluated(side)]
    if evaluated:  # what it lacks is no difference
        unknown = "no training, model, protocol or limits are known of it, only its scores"
        return tuple(f"{text.printable(label)} was evaluated, not trained by `run`: {unknown}." for label in evaluated)
    sections = {
        label: unequal(*(section(side.experiment_yaml, *path) for side in sides)) for label, path in _SECTIONS.items()
    }
    packages = dict.fromkeys(name for side in sides for record in side.finished for name in _packages(record))
    versions = [
        changed
        for name in packages
        if (changed := _changed(name, *(_of_trained(side, name, _packages) for side in sides)))
    ]
    lines = [
        *(f"{label}: {_shortened(different)}" for label, different in sections.items() if different),
        _changed("equivalence margin", *(f"{side.plan.equivalence_margin:g}" for side in sides)),
        *(
            _changed(
                field.replace("_", " "), *(_of_trained(side, field, lambda record: record.provenance) for side in sides)
            )
            for field in _MACHINE
        ),
        f"versions: {_shortened(versions)}" if versions else "",
        *(
            _changed(f"gate {gate}", limits.get(gate, "not set"), other_limits.get(gate, "not set"))
            for gate in dict.fromkeys([*limits, *other_limits])
        ),
    ]
    return tuple(f"{name} against {other_name}: {line}." for line in lines if line)


def _is_evaluated(results: Results) -> bool:
    """Tell whether `evaluate` wrote the run: its rows have neither stages nor a network that was weighed."""
    trained = [record for record in results.finished if record.seed is not None]
    return bool(trained) and not any(record.stages or record.model for record in trained)


def _check_comparable(experiments: Mapping[str, Results], primary: Metric, seeds: Sequence[int]) -> None:
    """Raise `ReportError` with one line for each reason why the rows cannot stand in one table."""
    first, *others = (scored_images(name, results) for name, results in experiments.items())
    reasons = [mismatch(first, other) for other in others]
    for name, results in experiments.items():
        measured = {metric for record in results.finished for metric in record.scores.get(SPLIT, {})}
        if primary.name not in measured and measured:  # without any score, the test images are a reason already
            reasons.append(
                f"{name} has no {primary.name} on test; it has {', '.join(sorted(measured))}: choose a metric that all "
                "have with --metric"
            )
    if not seeds:
        finished = [f"{name} finished {_listed(_finished_seeds(results))}" for name, results in experiments.items()]
        reasons.append(f"they have no common seed: {'; '.join(finished)}; run one with the seeds of another (--seeds)")
    reasons = [reason for reason in reasons if reason]
    if reasons:
        names = text.listing([text.printable(name) for name in experiments])
        raise ReportError("\n".join([f"{names} cannot stand in one table:", *(f"- {reason}" for reason in reasons)]))


def _finished_seeds(results: Results) -> set[int]:
    return {record.seed for record in results.finished if record.seed is not None}


def _listed(seeds: Sequence[int] | set[int]) -> str:
    return text.listing([str(seed) for seed in sorted(seeds)]) or "none"


def _notes_on_choices(experiments: Mapping[str, Results], primary: Metric, seeds: Sequence[int]) -> list[str]:
    """Return which seeds and which metric are compared, and what that leaves out."""
    used = f"Compared over {text.count(len(seeds), 'common seed')} ({_listed(seeds)})"
    left = {name: _finished_seeds(results) - set(seeds) for name, results in experiments.items()}
    omitted = "; ".join(f"{_listed(more)} of {name}" for name, more in left.items() if more)
    notes = [f"{used}; left out: {omitted}." if omitted else f"{used}."]
    judged = [
        f"{name} by {results.plan.primary}"
        for name, results in experiments.items()
        if results.plan.primary != primary.name
    ]
    if judged:
        notes.append(f"Compared by {primary.name}. Their own reports use another metric: {', '.join(judged)}.")
    return notes


def _shortened(parts: Sequence[str]) -> str:
    left = len(parts) - _MOST_SETTINGS
    return "; ".join([*parts[:_MOST_SETTINGS], *([f"{left} more"] if left > 0 else [])])


def _changed(label: str, value: str, other: str) -> str:
    return f"{label} {value or 'unknown'} against {other or 'unknown'}" if value != other else ""


def _of_trained(results: Results, name: str, facts: Callable[[Record], Json]) -> str:
    """Return a fact of the finished trained records, each different value once."""
    trained = (record for record in results.finished if record.seed is not None)
    return ", ".join(sorted({str(facts(record).get(name) or "") for record in trained} - {""}))


def _packages(record: Record) -> Json:
    """Return package -> version; torch has a line of its own."""
    versions = record.provenance.get("versions")
    return (
        {name: version for name, version in cast(Json, versions).items() if name != "torch"}
        if isinstance(versions, dict)
        else {}
    )


def _gate_limits(results: Results) -> dict[str, str]:
    """Return gate -> its limit and how it was measured, over all finished records."""

    def limit(gate: GateResult) -> str:
        conditions = str(gate.protocol.get("device") or "") if gate.measured is None else gates.conditions(gate)
        bound = gates.bound(gate.limit, gate.unit)
        return text.printable(f"at most {bound}{f' ({conditions})' if conditions else ''}")

    limits: dict[str, dict[str, None]] = {}
    for gate in (gate for record in results.finished for gate in record.gates):
        limits.setdefault(gate.name, {})[limit(gate)] = None
    return {name: " or ".join(different) for name, different in limits.items()}
