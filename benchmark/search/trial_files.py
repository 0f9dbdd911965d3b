"""The files of a search: trials.csv, search.json, and best.yaml, which is an experiment that runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import counted
from benchmark.experiment.load import Experiment
from benchmark.experiment.portable_paths import relative_paths
from benchmark.experiment.schema import RowSettings
from benchmark.experiment.search_space import Search, with_values
from benchmark.files import write_csv, write_text
from benchmark.search.trial_results import TrialResult
from reports.metrics import IMAGE_METRICS, Metric
from reports.schema import MetricFacts, SearchFile


def search_file(metric: Metric) -> SearchFile:
    """Return what a report must know to rank the trials, even where no trial has left a record."""
    facts = MetricFacts(unit=metric.unit, direction=metric.direction, meaning=metric.meaning, decimals=metric.decimals)
    return SearchFile(metric=metric.name, facts=None if metric.name in IMAGE_METRICS else facts)


def write_trials(file: Path, trials: Sequence[TrialResult], search: Search) -> None:
    """Write all trials as CSV, with the parameters as they stand in YAML."""
    paths = [parameter.path for parameter in search.parameters]
    header = ["trial", "status", search.metric.name, *paths, "steps_trained", "steps_reused", "seconds", "message"]
    rows = (
        [
            trial.number,
            trial.status,
            "" if trial.value is None else trial.value,
            *(json.dumps(trial.values[path]) if path in trial.values else "" for path in paths),
            trial.steps_trained,
            trial.steps_reused,
            trial.seconds,
            trial.message,
        ]
        for trial in trials
    )
    write_csv(file, header, rows)


def write_best(file: Path, experiment: Experiment, search: Search, best: TrialResult, trials: int) -> None:
    """Write the best trial as the base row of an experiment of its own, with the former base row beside it.

    It needs no other file (folders of data are absolute), and has the seeds of the experiment: a choice that was made
    on val with one seed has to be confirmed.
    """
    changed = [parameter for parameter in search.parameters if parameter.base != best.values[parameter.path]]
    default = {parameter.path: override_to(parameter.base, best.values[parameter.path]) for parameter in changed}
    settings = with_values(experiment.document, search, best.values).data
    content = {
        "name": f"{experiment.name}_best",
        **{name: settings[name] for name in RowSettings.model_fields if name in settings},
        **relative_paths(experiment.rows[0].recipe.data_settings, file.parent),
        "seeds": list(experiment.seeds),
        "report": experiment.report.model_dump(),
        **{key: settings[key] for key in ("metrics",) if key in settings},
        **({"tables": {"search": {"default": default}}} if default else {}),
    }
    comment = (
        f"# Trial {best.number}, the best of {counted(trials, 'trial')} of {experiment.name} so far: "
        f"{search.metric.name} {best.value:.4f} on val with seed {search.seed}.\n"
        f"# Test was not read. Compare it over all seeds:  python -m benchmark run {file}\n"
    )
    write_text(file, comment + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def override_to(base: Any, best: Any) -> Any:
    """Return the override that turns `best` into `base`: mappings merge, so keys that only `best` has are deleted."""
    if not isinstance(best, dict) or not isinstance(base, dict) or best.get("name") != base.get("name"):
        return base
    deleted = dict.fromkeys(best.keys() - base.keys())
    return {**deleted, **{key: override_to(value, best.get(key)) for key, value in base.items()}}
