"""Rows of several experiments in one table: when that may be done, and what must be known to read it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reports import metrics, text
from reports.comparison.experiment_diff import departures
from reports.comparison.pairwise import Opposed, opposed
from reports.errors import ReportError
from reports.grid import Grid
from reports.metrics import Metric
from reports.results import Results
from reports.results.combine import merged, named, row_name
from reports.results.load import load
from reports.results.summary import BASE, SPLIT, Summary, summaries
from reports.results.test_set import evidence, mismatch, scored_images
from reports.tables import score_tables
from reports.tables.provenance import problems


@dataclass(frozen=True)
class Compared:
    """Several experiments in one: `results` has the rows of all, over the seeds that all have."""

    results: Results
    reference: str
    metric: Metric
    ranking: Grid
    opposed: Opposed
    """The rows against the reference."""
    problems: Grid | None
    notes: tuple[str, ...]
    """What was checked, what was left out, and in what the experiments differ."""


def compare(folders: Sequence[Path], reference: str | None = None, metric: str | None = None) -> Compared:
    """The rows of all run folders against one of them.

    Args:
        reference: `EXPERIMENT/ROW`; None is the base row of the first folder.
        metric: the metric to compare by; None is the primary one of the first folder.
    Raises: `ReportError` where a folder is no run, or with one line a reason where the rows cannot stand in one table.
    """
    experiments = _experiments(folders)
    first = next(iter(experiments))
    primary = metrics.metric(metric or experiments[first].plan.primary)
    _demand_comparable(experiments, primary)
    seeds = common_seeds(list(experiments.values()))
    results = merged(experiments, seeds)
    results = _by(primary, results)
    rows = summaries(results)
    against = _reference(rows, reference or row_name(first, BASE), primary)
    return Compared(
        results=results,
        reference=against.row,
        metric=primary,
        ranking=score_tables.ranking(list(rows.values()), primary),
        opposed=opposed(rows, against, results, primary),
        problems=problems(results),
        notes=(*_notes(experiments, primary, seeds), *results.notes),
    )


def common_seeds(experiments: Sequence[Results]) -> tuple[int, ...]:
    """The seeds that a trained row of every experiment finished."""
    finished = [{record.seed for record in one.finished if record.seed is not None} for one in experiments]
    return tuple(sorted(set.intersection(*finished)))


def _experiments(folders: Sequence[Path]) -> dict[str, Results]:
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        given = ", ".join(map(str, folders)) or "none"
        raise ReportError(f"{given}: compare needs two different run folders or more")
    return named([load(folder) for folder in folders])


def _demand_comparable(experiments: Mapping[str, Results], primary: Metric) -> None:
    reasons = [
        *_tested_otherwise(experiments),
        *(_without_metric(name, results, primary) for name, results in experiments.items()),
        _without_seeds(experiments),
    ]
    present = [reason for reason in reasons if reason]
    if present:
        names = text.listing([text.printable(name) for name in experiments])
        raise ReportError("\n".join([f"{names} cannot stand in one table:", *(f"- {reason}" for reason in present)]))


def _tested_otherwise(experiments: Mapping[str, Results]) -> list[str]:
    first, *others = (scored_images(name, results) for name, results in experiments.items())
    return [mismatch(first, other) for other in others]


def _without_metric(name: str, results: Results, primary: Metric) -> str:
    measured = {metric for record in results.finished for metric in record.scores.get(SPLIT, {})}
    if primary.name in measured or not measured:  # without any score the test data are a reason already
        return ""
    return (
        f"{name} has no {primary.name} on test; it has {', '.join(sorted(measured))}: choose one that all have "
        "with --metric"
    )


def _without_seeds(experiments: Mapping[str, Results]) -> str:
    if common_seeds(list(experiments.values())):
        return ""
    shown = [f"{name} finished {_finished_seeds(results)}" for name, results in experiments.items()]
    return f"no seed is common to all: {'; '.join(shown)}; run one of them with the seeds of another (--seeds)"


def _finished_seeds(results: Results) -> str:
    return _listed(sorted({record.seed for record in results.finished if record.seed is not None})) or "none"


def _listed(seeds: Sequence[int]) -> str:
    return text.listing([str(seed) for seed in seeds])


def _by(primary: Metric, results: Results) -> Results:
    return replace(results, plan=results.plan.model_copy(update={"primary": primary.name}))


def _reference(rows: Mapping[str, Summary], wanted: str, primary: Metric) -> Summary:
    known = [name for name, row in rows.items() if row.by_seed(primary.name)]
    if wanted not in known:
        raise ReportError(
            f"--reference {wanted}: no row of that name has {primary.name} over the common seeds; "
            f"these have: {', '.join(map(text.printable, known))}"
        )
    return rows[wanted]


def _notes(experiments: Mapping[str, Results], primary: Metric, seeds: Sequence[int]) -> list[str]:
    (first, base), *others = experiments.items()
    of_first = scored_images(first, base)
    return [
        *(evidence(of_first, scored_images(name, other)) for name, other in others),
        *_seed_notes(experiments, seeds),
        *_primaries(experiments, primary),
        *(line for name, other in others for line in departures(first, base, name, other)),
    ]


def _seed_notes(experiments: Mapping[str, Results], seeds: Sequence[int]) -> list[str]:
    used = f"Compared over {text.count(len(seeds), 'common seed')} ({_listed(seeds)})"
    left = {
        name: sorted({record.seed for record in one.finished if record.seed is not None} - set(seeds))
        for name, one in experiments.items()
    }
    others = [f"{_listed(more)} of {name}" for name, more in left.items() if more]
    return [f"{used}; left out: {'; '.join(others)}." if others else f"{used}."]


def _primaries(experiments: Mapping[str, Results], primary: Metric) -> list[str]:
    others = [f"{name} by {one.plan.primary}" for name, one in experiments.items() if one.plan.primary != primary.name]
    told = f"Compared by {primary.name}; judged otherwise in their own reports: {', '.join(others)}."
    return [told] if others else []
