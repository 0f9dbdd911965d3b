"""The Optuna study behind a search: a journal on disk, from which an interrupted search resumes."""

import json
import math
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState
from pydantic import FiniteFloat, TypeAdapter

from benchmark.errors import RecordError
from benchmark.experiment.search_space import Choices, Parameter, Range, Search
from benchmark.lease import LeaseFolder
from reports.metrics import Metric
from reports.schema import GateResult

Status = Literal["done", "rejected", "diverged", "failed", "interrupted"]

_STATES = {"done": TrialState.COMPLETE, "rejected": TrialState.PRUNED, "diverged": TrialState.PRUNED}
"""Results that Optuna learns from. A failed or interrupted trial says nothing about its parameters."""
_RESULT_FIELDS = ("status", "value", "steps_trained", "steps_reused", "seconds", "message")
_FIRST_BYTES = b'{"op_code":'
_IDENTITY, _RETRY_OF = "identity", "retry_of"


@dataclass(frozen=True)
class TrialResult:
    """The outcome of a trial."""

    number: int
    status: Status
    value: FiniteFloat | None
    """The metric on val; None if the trial was not trained to its end."""
    values: dict[str, Any]
    """The parameters by path, as they stand in YAML."""
    steps_trained: int = 0
    steps_reused: int = 0
    """Of its steps, those that were in the store before."""
    seconds: FiniteFloat = 0.0
    message: str = ""
    """Why it was not trained to its end."""


_RESULT: TypeAdapter[TrialResult] = TypeAdapter(TrialResult)


class _NoLock(JournalFileSymlinkLock):
    """The lease of the journal excludes other writers; Optuna's own lock would outlive a killed search."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


class _UntriedSampler(BaseSampler):
    """Samples as another sampler does; what was tried in the study, it replaces by random settings that were not."""

    def __init__(self, sampler: BaseSampler, search: Search, seed: int) -> None:
        self._sampler, self._random = sampler, RandomSampler(seed=seed)
        self._distributions = {parameter.path: _distribution(parameter) for parameter in search.parameters}

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        tried, sampler = _tried(study), self._sampler
        while True:  # it ends: `ask` is not called when all settings were tried
            params = {
                path: sampler.sample_independent(study, trial, path, distribution)
                for path, distribution in search_space.items()
            }
            if _identity_of(params) not in tried:
                return params
            sampler = self._random

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)


@contextmanager
def open_study(
    journal: Path, name: str, search: Search, identity: str, *, replace: bool
) -> Generator[optuna.Study, None, None]:
    """Open the study `name` in a journal, which is made if need be; no other search can open it meanwhile.

    Args:
        journal: The file.
        name: The name of the study.
        search: Its parameters and sampler.
        identity: Hash of everything that makes trials comparable.
        replace: Delete a study of another identity instead of refusing it.

    Raises:
        RecordError: The study has another identity, the journal is another file or cannot be read, or another search
            has it open.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal.parent.mkdir(parents=True, exist_ok=True)
    _check_is_journal(journal)
    lease = LeaseFolder(journal.parent).acquire_patiently(f".{journal.name}.lease")
    if lease is None:
        raise RecordError(f"{journal}: another search is writing to it; wait for it or choose another --output")
    try:
        _drop_torn_line(journal)
        yield _study(journal, name, search, identity, replace=replace)
    finally:
        lease.release()


def resume(study: optuna.Study, search: Search) -> None:
    """Enqueue the base row in a new study; in an old one, the trials that were interrupted or failed.

    The parameters go into a new trial; its finished stages are in the store, and the train state of an unfinished one.
    """
    if not study.trials:
        study.enqueue_trial({parameter.path: _label(parameter.base) for parameter in search.parameters})
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    for trial in _failed(study):
        # A trial that was interrupted while it was made may lack parameters that it was enqueued with.
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        study.enqueue_trial(params, user_attrs={_RETRY_OF: trial.number})


def space_size(search: Search) -> float:
    """Return the number of different settings; infinite where a parameter may be any number of a range."""
    return math.prod(_count(parameter.domain) for parameter in search.parameters)


def ask(study: optuna.Study, search: Search) -> optuna.Trial:
    """Return the next trial: an enqueued one, or a new one. Not all settings may have been tried."""
    return study.ask({parameter.path: _distribution(parameter) for parameter in search.parameters})


def tell(
    study: optuna.Study, trial: optuna.Trial, result: TrialResult, metric: Metric, gates: Sequence[GateResult] = ()
) -> None:
    """Write a result to the journal; gates are hard constraints, by what share of their limit they are exceeded."""
    for gate in gates:
        if gate.measured is not None:
            excess = gate.measured / gate.limit - 1
            trial.set_constraint(gate.name, excess if gate.result == "failed" else min(excess, 0.0))
    for name in _RESULT_FIELDS:
        trial.set_user_attr(name, getattr(result, name))
    state = _STATES.get(result.status, TrialState.FAIL)
    study.tell(trial, objective(metric, result.value) if state == TrialState.COMPLETE else None, state)


def objective(metric: Metric, value: float | None) -> float | None:
    """Return what the sampler optimises: the metric, or the distance from 1 for a metric that is best at 1."""
    return abs(value - 1) if value is not None and metric.direction == "near 1" else value


def values_of(params: Mapping[str, Any], search: Search) -> dict[str, Any]:
    """Return the settings of a trial by path, from the parameters in the journal; an interrupted one may lack some."""
    domains = {parameter.path: parameter.domain for parameter in search.parameters}
    return {path: _value(domains[path], params[path]) for path in domains if path in params}


def results(study: optuna.Study, search: Search) -> list[TrialResult]:
    """Return the results of all trials that have ended, by number, also those of earlier searches."""
    return [_result(trial, search) for trial in study.trials if trial.state.is_finished()]


def failures(study: optuna.Study, search: Search) -> list[TrialResult]:
    """Return the results of the trials that failed and were not tried again."""
    return [_result(trial, search) for trial in _failed(study)]


def count_finished(study: optuna.Study) -> int:
    """Return the number of trials that need not be tried again."""
    return len(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _count(domain: Range | Choices) -> float:
    if isinstance(domain, Choices):
        return len(domain.values)
    step = domain.step or (1.0 if domain.is_whole else 0.0)
    return round((domain.high - domain.low) / step) + 1 if step else math.inf


def _tried(study: optuna.Study) -> set[tuple[str, ...]]:
    """Return the settings of all trials, also of those that wait or run."""
    return {_identity_of({**trial.system_attrs.get("fixed_params", {}), **trial.params}) for trial in study.trials}


def _identity_of(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what equal settings have in common; a number of steps above the low end has rounding errors."""
    values = (params[path] for path in sorted(params))
    return tuple(f"{value:.12g}" if isinstance(value, float) else repr(value) for value in values)


def _failed(study: optuna.Study) -> list[FrozenTrial]:
    retried = {trial.user_attrs.get(_RETRY_OF) for trial in study.trials}
    return [trial for trial in study.get_trials(states=(TrialState.FAIL,)) if trial.number not in retried]


def _result(trial: FrozenTrial, search: Search) -> TrialResult:
    values, attributes = values_of(trial.params, search), trial.user_attrs
    is_whole = all(name in attributes for name in _RESULT_FIELDS)  # a kill may come between two of them
    if trial.state == TrialState.FAIL and not (is_whole and attributes["status"] == "failed"):
        return TrialResult(trial.number, "interrupted", None, values, message="was running when the search ended")
    fields = {name: attributes[name] for name in _RESULT_FIELDS}
    return _RESULT.validate_python({"number": trial.number, "values": values, **fields})


def _study(journal: Path, name: str, search: Search, identity: str, *, replace: bool) -> optuna.Study:
    try:
        study = _load(journal, name, search, replace=replace)
        results(study, search)  # whether all trials can be read
        _check_distributions(study, search, identity)
    except OSError:
        raise
    except Exception as error:  # Optuna checks nothing that it reads
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise RecordError(
            f"{journal}: not an Optuna journal of this search, or damaged ({reason}); move it away or choose another "
            "--storage (trained stages are kept)"
        ) from None
    if not study.user_attrs:
        study.set_user_attr(_IDENTITY, identity)
    if study.user_attrs.get(_IDENTITY) != identity:
        raise RecordError(
            f"{journal}: holds a search of other settings (parameters, ranges, base row, data, code or torch changed); "
            "choose another --output, or --replace to begin anew (trained stages are kept)"
        )
    seed = search.seed + len(study.trials)  # without another seed, a sampler would repeat its first samples
    study.sampler = _sampler(search, seed)
    if math.isfinite(space_size(search)):
        study.sampler = _UntriedSampler(study.sampler, search, seed)
    return study


def _check_distributions(study: optuna.Study, search: Search, identity: str) -> None:
    """Raise ValueError if a trial of this search has other ranges or choices: Optuna would do so at the next trial."""
    expected = {parameter.path: _distribution(parameter) for parameter in search.parameters}
    for trial in study.trials if study.user_attrs.get(_IDENTITY) == identity else ():
        for path, distribution in trial.distributions.items():
            if distribution != expected.get(path):
                raise ValueError(f"trial {trial.number} has another range of {path}")


def _load(journal: Path, name: str, search: Search, *, replace: bool) -> optuna.Study:
    storage = JournalStorage(JournalFileBackend(str(journal), _NoLock(str(journal))))
    exists = name in [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
    if exists and not replace:
        return optuna.load_study(study_name=name, storage=storage)
    if exists:
        optuna.delete_study(study_name=name, storage=storage)
    direction = "maximize" if search.metric.direction == "higher" else "minimize"
    return optuna.create_study(storage=storage, study_name=name, direction=direction)


def _check_is_journal(journal: Path) -> None:
    """Raise RecordError for another kind of file, before anything is written to it."""
    if not journal.exists():
        return
    if not journal.is_file():
        raise RecordError(f"{journal}: is a folder or a device, no file; name a file with --storage")
    with journal.open("rb") as file:
        first = file.read(len(_FIRST_BYTES))
    if first != _FIRST_BYTES[: len(first)]:  # a kill may have left less of the first line, or nothing
        raise RecordError(f"{journal}: not an Optuna journal; move it away or choose another --storage")


def _drop_torn_line(journal: Path) -> None:
    """Remove the incomplete last line that a kill or a full disk has left; the next line would be appended to it."""
    journal.touch()
    os.truncate(journal, journal.read_bytes().rfind(b"\n") + 1)


def _sampler(search: Search, seed: int) -> BaseSampler:
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    # A third of the trials, and at most Optuna's own 10, are drawn at random before good ones are modelled.
    return TPESampler(seed=seed, n_startup_trials=min(10, max(4, search.trials // 3)))


def _distribution(parameter: Parameter) -> BaseDistribution:
    match parameter.domain:
        case Choices(values=values):
            return CategoricalDistribution([_label(value) for value in values])
        case Range(is_whole=True) as numbers:
            return IntDistribution(int(numbers.low), int(numbers.high), numbers.log, int(numbers.step or 1))
        case Range() as numbers:
            return FloatDistribution(numbers.low, numbers.high, numbers.log, numbers.step)


def _label(value: Any) -> Any:
    """Return a value as Optuna takes it: it chooses among scalars, so lists and mappings become JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def _value(domain: Range | Choices, label: Any) -> Any:
    values: Sequence[Any] = domain.values if isinstance(domain, Choices) else ()
    return next((value for value in values if _label(value) == label), label)
