"""The Optuna study behind a search: a journal on disk, from which an interrupted search resumes."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter

from benchmark.errors import RecordError
from benchmark.experiment.search_space import Search
from benchmark.lease import LeaseFolder
from benchmark.search.samplers import make_sampler
from benchmark.search.space import base_params, distributions, values_of
from benchmark.search.trial_results import TrialResult
from reports.metrics import Metric
from reports.schema import GateResult

_STATES = {"done": TrialState.COMPLETE, "rejected": TrialState.PRUNED, "diverged": TrialState.PRUNED}
"""Results that Optuna learns from. A failed or interrupted trial says nothing about its parameters."""
_RESULT_FIELDS = ("status", "value", "steps_trained", "steps_reused", "seconds", "message")
_FIRST_BYTES = b'{"op_code":'
_IDENTITY, _RETRY_OF = "identity", "retry_of"


_RESULT: TypeAdapter[TrialResult] = TypeAdapter(TrialResult)


class _NoLock(JournalFileSymlinkLock):
    """The lease of the journal excludes other writers; Optuna's own lock would outlive a killed search."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


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
        study.enqueue_trial(base_params(search))
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    for trial in _failed(study):
        # A trial that was interrupted while it was made may lack parameters that it was enqueued with.
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        study.enqueue_trial(params, user_attrs={_RETRY_OF: trial.number})


def ask(study: optuna.Study, search: Search) -> optuna.Trial:
    """Return the next trial: an enqueued one, or a new one. Not all settings may have been tried."""
    return study.ask(distributions(search))


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


def results(study: optuna.Study, search: Search) -> list[TrialResult]:
    """Return the results of all trials that have ended, by number, also those of earlier searches."""
    return [_result(trial, search) for trial in study.trials if trial.state.is_finished()]


def failures(study: optuna.Study, search: Search) -> list[TrialResult]:
    """Return the results of the trials that failed and were not tried again."""
    return [_result(trial, search) for trial in _failed(study)]


def count_finished(study: optuna.Study) -> int:
    """Return the number of trials that need not be tried again."""
    return len(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))


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
    study.sampler = make_sampler(search, len(study.trials))
    return study


def _check_distributions(study: optuna.Study, search: Search, identity: str) -> None:
    """Raise ValueError if a trial of this search has other ranges or choices: Optuna would do so at the next trial."""
    expected = distributions(search)
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
