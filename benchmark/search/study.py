"""The Optuna study behind a search, in a storage from which an interrupted search resumes."""

import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter

from benchmark.errors import RecordError, root_cause, shown
from benchmark.experiment.search_space import Search
from benchmark.search.samplers import make_sampler
from benchmark.search.space import base_params, chosen, distributions, values_of
from benchmark.search.storage import open_storage, shown_place
from benchmark.search.trial_results import TrialResult
from reports.metrics import Metric
from reports.schema import GateResult, to_json

_STATES = {
    "done": TrialState.COMPLETE,
    "rejected": TrialState.PRUNED,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,
}
"""Results that Optuna learns from. A failed or interrupted trial says nothing about its parameters."""
_RESULT_FIELDS = ("status", "value", "steps_trained", "steps_reused", "seconds", "message")
_LATER_FIELDS = ("stages", "objectives")
"""Those that trials of earlier versions lack."""
_IDENTITY, _RETRY_OF, _QUIET = "identity", "retry_of", "quiet_reference_ms"

_RESULT: TypeAdapter[TrialResult] = TypeAdapter(TrialResult)


@contextmanager
def open_study(
    place: Path | str, name: str, search: Search, identity: str, *, replace: bool
) -> Generator[optuna.Study, None, None]:
    """Open the study `name` in a storage, which is made if need be; no other search can open it meanwhile.

    Args:
        place: See `storage.open_storage`.
        name: The name of the study.
        search: Its parameters and sampler.
        identity: Hash of everything that makes trials comparable.
        replace: Delete a study of another identity instead of refusing it.

    Raises:
        RecordError: The study has another identity, the storage is something else or cannot be read, or another search
            has it open.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with open_storage(place, name) as storage:
        yield _study(storage, shown_place(place), name, search, identity, replace=replace)


def resume(study: optuna.Study, search: Search) -> None:
    """Enqueue the base row in a new study; in an old one, the trials that were interrupted or failed.

    The parameters go into a new trial; its finished stages are in the store, and the train state of an unfinished one.
    """
    if not study.trials:
        study.enqueue_trial(base_params(search))
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    for trial in _failed(study):
        # A trial that was interrupted while it was made may lack parameters that it was enqueued with.
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        study.enqueue_trial(params, user_attrs={_RETRY_OF: trial.number})


def quiet_ms_of(study: optuna.Study, measure: Callable[[], float]) -> float:
    """Return what the reference network took when the study began; all latencies of its trials are scaled to that."""
    if _QUIET not in study.user_attrs:
        study.set_user_attr(_QUIET, measure())
    return float(study.user_attrs[_QUIET])


def ask(study: optuna.Study, search: Search) -> optuna.Trial:
    """Return the next trial: an enqueued one, or a new one. Not all settings may have been tried."""
    trial = study.ask()
    chosen(search, partial(_suggested, trial))
    return trial


def _suggested(trial: optuna.Trial, path: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case IntDistribution() as numbers:
            return trial.suggest_int(path, numbers.low, numbers.high, step=numbers.step, log=numbers.log)
        case FloatDistribution() as numbers:
            return trial.suggest_float(path, numbers.low, numbers.high, step=numbers.step, log=numbers.log)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(path, choices)
        case _:
            raise TypeError(distribution)


def describe(trial: optuna.Trial, values: Mapping[str, Any], folder: str) -> None:
    """Write number, parameters and row folder of a trial where programs such as optuna-dashboard show them."""
    for name, value in (("number", trial.number), ("parameters", dict(values)), ("row", folder)):
        trial.set_user_attr(name, value)


def tell(
    study: optuna.Study, trial: optuna.Trial, result: TrialResult, search: Search, gates: Sequence[GateResult] = ()
) -> None:
    """Write a result to the storage; gates are hard constraints, by what share of their limit they are exceeded.

    optuna-dashboard does not show these, so a user attribute says which gates failed.
    """
    for gate in gates:
        if gate.measured is not None:
            excess = gate.measured / gate.limit - 1
            trial.set_constraint(gate.name, excess if gate.result == "failed" else min(excess, 0.0))
    if failed := [gate.name for gate in gates if gate.result == "failed"]:
        trial.set_user_attr("failed_gates", failed)
    trial.set_user_attr("stages", [to_json(stage) for stage in result.stages])
    trial.set_user_attr("objectives", dict(result.objectives))
    for name in _RESULT_FIELDS:
        trial.set_user_attr(name, getattr(result, name))
    state = _STATES.get(result.status, TrialState.FAIL)
    study.tell(trial, _optimised(result, search) if state == TrialState.COMPLETE else None, state)


def objective(metric: Metric, value: float | None) -> float | None:
    """Return what the sampler optimises: the metric, or the distance from 1 for a metric that is best at 1."""
    return abs(value - 1) if value is not None and metric.direction == "near 1" else value


def results(study: optuna.Study, search: Search) -> list[TrialResult]:
    """Return the results of all trials that have ended, by number, also those of earlier searches."""
    return [_result(trial, search) for trial in study.trials if trial.state.is_finished()]


def validations(study: optuna.Study) -> dict[int, tuple[tuple[int, float], ...]]:
    """Return what each trial reached on val on its way, as pairs of step and value, by number."""
    return {
        trial.number: tuple(
            sorted((step, value) for step, value in trial.intermediate_values.items() if isfinite(value))
        )
        for trial in study.get_trials(deepcopy=False)
    }


def failures(study: optuna.Study, search: Search) -> list[TrialResult]:
    """Return the results of the trials that failed and were not tried again."""
    return [_result(trial, search) for trial in _failed(study)]


def count_finished(study: optuna.Study) -> int:
    """Return the number of trials that need not be tried again."""
    return len(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _optimised(result: TrialResult, search: Search) -> float | list[float] | None:
    if not search.objectives:
        return objective(search.metric, result.value)
    values = [objective(metric, result.objectives[metric.name]) for metric in search.objectives]
    return [value for value in values if value is not None]


def _failed(study: optuna.Study) -> list[FrozenTrial]:
    retried = {trial.user_attrs.get(_RETRY_OF) for trial in study.trials}
    return [trial for trial in study.get_trials(states=(TrialState.FAIL,)) if trial.number not in retried]


def _result(trial: FrozenTrial, search: Search) -> TrialResult:
    values, attributes = values_of(trial.params, search), trial.user_attrs
    is_whole = all(name in attributes for name in _RESULT_FIELDS)  # a kill may come between two of them
    if trial.state == TrialState.FAIL and not (is_whole and attributes["status"] == "failed"):
        return TrialResult(trial.number, "interrupted", None, values, message="was running when the search ended")
    fields = {name: attributes[name] for name in _RESULT_FIELDS}
    later = {name: attributes[name] for name in _LATER_FIELDS if name in attributes}
    return _RESULT.validate_python({"number": trial.number, "values": values, **fields, **later})


def _study(
    storage: Callable[[], BaseStorage], place: str, name: str, search: Search, identity: str, *, replace: bool
) -> optuna.Study:
    try:
        study = _load(storage(), name, search, replace=replace)
        _ = results(study, search), validations(study)  # whether all trials can be read
        _check_distributions(study, search, identity)
    except OSError:
        raise
    except Exception as error:  # Optuna checks nothing that it reads
        reason = f"{type(error).__name__}: {root_cause(error)}"
        raise RecordError(
            f"{place}: not a study of this search, or damaged ({shown(reason)}); move it away or choose another "
            "--storage (trained stages are kept)"
        ) from None
    if not study.user_attrs:
        study.set_user_attr(_IDENTITY, identity)
    if study.user_attrs.get(_IDENTITY) != identity:
        raise RecordError(
            f"{place}: holds a search of other settings ({_difference(study, search)}); choose another --output, or "
            "--replace to begin anew: trained stages are kept, so settings that it has tried cost nothing, and all "
            "trials are asked anew"
        )
    study.sampler = make_sampler(search, len(study.trials))
    return study


def _difference(study: optuna.Study, search: Search) -> str:
    """Return in which way a study is of another search, the first of objectives, parameters, ranges and the rest."""
    metrics = search.objectives or (search.metric,)
    if study.directions != [_direction(metric) for metric in metrics]:
        return "other objectives"
    expected, stored = distributions(search), dict[str, BaseDistribution]()
    for trial in study.get_trials(deepcopy=False):
        stored |= trial.distributions
    changes = [
        *(f"without {path}" for path in sorted(expected.keys() - stored.keys()) if not search.has_branches),
        *(f"with {path}" for path in sorted(stored.keys() - expected.keys())),
        *(f"another range of {path}" for path in sorted(stored) if expected.get(path, stored[path]) != stored[path]),
    ]
    return ", ".join(changes) if stored and changes else "another metric, base row, seed, data, code or torch"


def _direction(metric: Metric) -> StudyDirection:
    return StudyDirection.MAXIMIZE if metric.direction == "higher" else StudyDirection.MINIMIZE


def _check_distributions(study: optuna.Study, search: Search, identity: str) -> None:
    """Raise ValueError if a trial of this search has other ranges or choices: Optuna would do so at the next trial."""
    expected = distributions(search)
    for trial in study.trials if study.user_attrs.get(_IDENTITY) == identity else ():
        for path, distribution in trial.distributions.items():
            if distribution != expected.get(path):
                raise ValueError(f"trial {trial.number} has another range of {path}")


def _load(storage: BaseStorage, name: str, search: Search, *, replace: bool) -> optuna.Study:
    exists = name in [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
    if exists and not replace:
        return optuna.load_study(study_name=name, storage=storage)
    if exists:
        optuna.delete_study(study_name=name, storage=storage)
    directions = [_direction(metric) for metric in search.objectives or (search.metric,)]
    study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    if search.objectives:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([metric.name for metric in search.objectives])
    return study
