"""The files of a search: trials.csv, search.json, and best.yaml, which is an experiment that runs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import counted
from benchmark.experiment.document import value_at
from benchmark.experiment.load import Experiment
from benchmark.experiment.portable_paths import relative_paths
from benchmark.experiment.schema import RowSettings
from benchmark.experiment.search_space import Choices, Parameter, Range, Search, with_values
from benchmark.files import write_csv, write_text
from benchmark.search.pareto import front
from benchmark.search.trial_results import TrialResult, steps_of
from reports.metrics import IMAGE_METRICS
from reports.schema import (
    ConfirmFile,
    GainInterval,
    Importance,
    MetricFacts,
    Objective,
    SearchedParameter,
    SearchedTrial,
    SearchFile,
)


def search_file(
    search: Search,
    trials: Sequence[TrialResult],
    validations: Mapping[int, tuple[tuple[int, float], ...]],
    shares: tuple[Importance, ...],
    pick: str,
    best: TrialResult | None,
) -> SearchFile:
    """Return what a report must know of a search besides the table of its trials.

    Args:
        search: Its settings.
        trials: Those that have ended.
        validations: What trials reached on val on their way, by number.
        shares: Importances of the parameters.
        pick: With several objectives, how `best` was picked.
        best: The trial of best.yaml.
    """
    metric, objectives = search.metric, search.objectives
    facts = MetricFacts(unit=metric.unit, direction=metric.direction, meaning=metric.meaning, decimals=metric.decimals)
    return SearchFile(
        metric=metric.name,
        facts=None if metric.name in IMAGE_METRICS else facts,
        sampler=search.sampler.name,
        pruner=search.pruner.name,
        seed=search.seed,
        objectives=tuple(
            Objective(name=o.name, label=o.label, unit=o.unit, direction=o.direction, decimals=o.decimals)
            for o in objectives
        ),
        front=tuple(trial.number for trial in front(trials, objectives)) if objectives else (),
        pick=pick if objectives else "",
        picked=best.number if best and objectives else None,
        parameters=tuple(_searched(parameter) for parameter in search.parameters),
        steps=steps_of(trials),
        importances=shares,
        trials=tuple(
            SearchedTrial(
                number=trial.number,
                validations=validations.get(trial.number, ()),
                objectives=dict(trial.objectives),
                stages=trial.stages,
            )
            for trial in trials
        ),
    )


def _searched(parameter: Parameter) -> SearchedParameter:
    match parameter.domain:
        case Choices(values=values):
            return SearchedParameter(path=parameter.path, base=parameter.base, choices=values)
        case Range(low=low, high=high, log=log):
            return SearchedParameter(path=parameter.path, base=parameter.base, low=low, high=high, log=log)


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


def write_best(file: Path, experiment: Experiment, search: Search, best: TrialResult, comment: Sequence[str]) -> None:
    """Write the best trial as the base row of an experiment of its own, with the former base row beside it.

    It needs no other file (folders of data are absolute), and has the seeds of the experiment: a choice that was made
    on val with one seed has to be confirmed.
    """
    former, settings = experiment.document.data, with_values(experiment.document, search.parameters, best.values).data
    default = {
        path: override_to(value_at(former, path.split(".")), value_at(settings, path.split(".")))
        for path in _roots(search.parameters)
        if value_at(former, path.split(".")) != value_at(settings, path.split("."))
    }
    content = {
        "name": f"{experiment.name}_best",
        **{name: settings[name] for name in RowSettings.model_fields if name in settings},
        **relative_paths(experiment.rows[0].recipe.data_settings, file.parent),
        "seeds": settings.get("seeds", list(experiment.seeds)) if experiment.adaptive_seeds else list(experiment.seeds),
        "report": experiment.report.model_dump(),
        **{key: settings[key] for key in ("metrics",) if key in settings},
        **({"tables": {"search": {"default": default}}} if default else {}),
    }
    lines = [*comment, f"Compare it over all seeds:  python -m benchmark run {file}"]
    heading = "".join(f"# {line}\n" for line in lines)
    write_text(file, heading + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _roots(parameters: Sequence[Parameter]) -> list[str]:
    """Return the paths of settings that parameters change; of a component by name, all of it, with its options."""
    paths = [parameter.path.removesuffix(".name").removesuffix(".source") for parameter in parameters]
    return [path for path in dict.fromkeys(paths) if not any(path.startswith(f"{other}.") for other in paths)]


def chosen_by_one_seed(best: TrialResult, trials: int, experiment: Experiment, search: Search, pick: str) -> list[str]:
    """Return what best.yaml says of its trial as long as nothing is confirmed. `pick`: for several objectives."""
    if search.objectives:
        reached = ", ".join(
            f"{objective.name} {best.objectives[objective.name]:.{objective.decimals}f}"
            for objective in search.objectives
        )
        return [
            f"Trial {best.number} of {counted(trials, 'trial')} of {experiment.name}, picked by {pick}: {reached}.",
            "With several objectives there is no single best; search.json has the trials that none beats in all.",
            f"Not confirmed: it was chosen on val with seed {search.seed} alone. Test was not read.",
        ]
    return [
        f"Trial {best.number}, the best of {counted(trials, 'trial')} of {experiment.name} so far: "
        f"{search.metric.name} {best.value:.4f} on val with seed {search.seed}.",
        "Not confirmed: it was chosen by one seed. Test was not read.",
    ]


def chosen_with_confirmation(
    best: TrialResult, result: ConfirmFile, experiment: Experiment, search: Search
) -> list[str]:
    """Return what best.yaml says of a trial after the best ones were trained with fresh seeds."""
    seeds = f"seeds {', '.join(map(str, result.seeds))}"
    if result.winner is None:
        return [
            f"Trial {best.number} of {experiment.name}: {search.metric.name} {best.value:.4f} on val with seed "
            f"{search.seed}, the best by one seed.",
            f"NOT PROVEN: with {seeds}, no trial is surely better on val than the base row (search.default, where they "
            "differ). Test was not read.",
        ]
    gain = next(trial.gain for trial in result.trials if trial.trial == result.winner)
    return [
        f"Trial {best.number} of {experiment.name}, the confirmed winner.",
        f"Gain in {search.metric.name} over the base row with {seeds}:",
        f"on val {shown_gain(gain)}; on test, which was read for these two alone, {shown_gain(result.test)}.",
    ]


def shown_gain(gain: GainInterval | None) -> str:
    """Return a gain with its interval in words."""
    return f"{gain.difference:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]" if gain else "not known"


def override_to(base: Any, best: Any) -> Any:
    """Return the override that turns `best` into `base`: mappings merge, so keys that only `best` has are deleted."""
    if not isinstance(best, dict) or not isinstance(base, dict) or best.get("name") != base.get("name"):
        return base
    deleted = dict.fromkeys(best.keys() - base.keys())
    return {**deleted, **{key: override_to(value, best.get(key)) for key, value in base.items()}}
