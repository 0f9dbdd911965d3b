"""Reads the sections `search` and `tuning` of an experiment."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from benchmark.errors import ExperimentError
from benchmark.experiment.adaptive_seeds import all_seeds
from benchmark.experiment.document import Document, override_all
from benchmark.experiment.pruner_settings import NoPruner, SuccessiveHalving
from benchmark.experiment.resolve import Recipe, resolve
from benchmark.experiment.schema import ExperimentFile, TuningSettings
from benchmark.experiment.search_parameters import read_parameters
from benchmark.experiment.search_settings import SearchSettings
from benchmark.experiment.search_space import Search, Tuning
from benchmark.registry import Registry
from reports.metrics import COSTS, IMAGE_METRICS, Metric, own_metric


def read_search(document: Document, file: ExperimentFile, base: Recipe, registry: Registry) -> Search | None:
    """Return the section `search` of an experiment; None if it has none.

    Raises:
        ExperimentError: a parameter is unknown, or its values do not fit the base row.
    """
    section = file.search
    if section is None:
        return None
    metric, seed = _metric_and_seed(section, file, registry)
    objectives = tuple(_metric(name, registry) for name in section.objectives or ())
    if objectives:
        metric = next((objective for objective in objectives if objective.name not in COSTS), metric)
    pruner = section.pruner or (NoPruner() if objectives or metric.direction == "near 1" else SuccessiveHalving())
    parameters = read_parameters(section.parameters, document, base, registry)
    return Search(metric, section.trials, section.sampler, seed, parameters, section.confirm, pruner, objectives)


def read_tuning(document: Document, file: ExperimentFile, rows: Sequence[str], registry: Registry) -> Tuning | None:
    """Return the section `tuning` of an experiment; None if it has none. `rows`: names of all rows.

    Raises:
        ExperimentError: a pattern matches no row, or a candidate makes no valid row.
    """
    section = file.tuning
    if section is None:
        return None
    for pattern in section.rows:
        if not any(fnmatchcase(row, pattern) for row in rows):
            place = document.place(("tuning", "rows"))
            raise ExperimentError(f"{place}: tuning.rows: {pattern!r} fits no row; rows are {', '.join(rows)}")
    candidates: dict[str, dict[str, Recipe]] = {}
    for row in (row for row in rows if any(fnmatchcase(row, pattern) for pattern in section.rows)):
        table, _, name = row.partition(".")
        written = (
            override_all(document, ("tables", table, name), document.data["tables"][table][name]) if name else document
        )
        candidates[row] = {
            candidate: resolve(override_all(written, ("tuning", "candidates", candidate), overrides), registry)
            for candidate, overrides in section.candidates.items()
        }
    return Tuning(*_metric_and_seed(section, file, registry), candidates)


def _metric_and_seed(
    section: SearchSettings | TuningSettings, file: ExperimentFile, registry: Registry
) -> tuple[Metric, int]:
    """Return the metric that a section compares by, built in or of a plugin, and the seed that it trains with."""
    seed = all_seeds(file.seeds)[0] if section.seed is None else section.seed
    return _metric(section.metric or file.report.primary, registry), seed


def _metric(name: str, registry: Registry) -> Metric:
    """Return the facts of a metric, built in or of a plugin, or of a cost."""
    if name in IMAGE_METRICS or name in COSTS:
        return {**IMAGE_METRICS, **COSTS}[name]
    own = registry.find("metric", name)
    return own_metric(name, own.unit, own.direction, own.formula, own.decimals)
