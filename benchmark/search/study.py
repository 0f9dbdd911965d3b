"""The Optuna study behind a search: a journal on disk that outlives whatever ends the search."""

import fcntl
import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from benchmark.errors import RecordError
from benchmark.experiment.search_space import Choices, Parameter, Range, Search
from reports.metrics import metric as facts

_BEGIN = b'{"op_code":'
_IDENTITY, _RETRY_OF = "identity", "retry_of"


@contextmanager
def open_study(
    journal: Path, name: str, search: Search, identity: str, *, replace: bool
) -> Generator[optuna.Study, None, None]:
    """The study called `name` in a journal, made if need be; no other search can open the journal meanwhile.

    `identity` stands for all that makes trials comparable. Raises RecordError if the study there has another one and
    `replace` is not set, if the journal cannot be read, or if another search has it open.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal.parent.mkdir(parents=True, exist_ok=True)
    _check_is_journal(journal)
    with journal.open("ab+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it however the process ends
        except OSError:
            raise RecordError(
                f"{journal}: another search is writing to it; wait for it or choose another --output"
            ) from None
        _drop_half_a_line(journal)
        yield _study(journal, name, search, identity, replace=replace)


def take_up(study: optuna.Study, search: Search) -> None:
    """Begin with the base row, or go on: what ran when the search ended, and what failed, is to be tried again.

    The parameters go into a new trial; its finished stages are in the store, and so is the state of the unfinished one.
    """
    if not study.trials:
        study.enqueue_trial({parameter.path: _label(parameter.base) for parameter in search.parameters})
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    for trial in failed(study):
        study.enqueue_trial(_chosen(trial), user_attrs={_RETRY_OF: trial.number})


def failed(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that failed and were not tried again."""
    tried_again = {trial.user_attrs.get(_RETRY_OF) for trial in study.trials}
    return [trial for trial in study.get_trials(states=(TrialState.FAIL,)) if trial.number not in tried_again]


def ask(study: optuna.Study, search: Search) -> optuna.Trial:
    """The next trial: one that waits to be tried again, or a new one."""
    return study.ask({parameter.path: _distribution(parameter) for parameter in search.parameters})


def values_of(params: Mapping[str, Any], search: Search) -> dict[str, Any]:
    """What a trial sets, by path, from what Optuna chose; a trial interrupted while it was made may lack some."""
    domains = {parameter.path: parameter.domain for parameter in search.parameters}
    return {path: _value(domains[path], params[path]) for path in domains if path in params}


def count_finished(study: optuna.Study) -> int:
    """Trials that are not to be tried again."""
    return len(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))


def importances(study: optuna.Study) -> dict[str, float]:
    """By path, the share of what the metric varies by that is due to a parameter (PED-ANOVA, Watanabe et al. 2023)."""
    return optuna.importance.get_param_importances(study)


def _study(journal: Path, name: str, search: Search, identity: str, *, replace: bool) -> optuna.Study:
    storage = _storage(journal)
    if replace and name in [summary.study_name for summary in optuna.get_all_study_summaries(storage)]:
        optuna.delete_study(study_name=name, storage=storage)
    study = optuna.create_study(
        storage=storage, study_name=name, direction=_direction(search.metric), load_if_exists=True
    )
    if not study.user_attrs:
        study.set_user_attr(_IDENTITY, identity)
    if study.user_attrs.get(_IDENTITY) != identity:
        raise RecordError(
            f"{journal}: holds a search of other settings (parameters, ranges, base row, data, code or torch changed); "
            "choose another --output, or --replace to begin anew (trained stages are kept)"
        )
    study.sampler = _sampler(search, len(study.trials))
    return study


def _storage(journal: Path) -> JournalStorage:
    try:
        return JournalStorage(JournalFileBackend(str(journal)))
    except (ValueError, KeyError, TypeError) as error:  # whatever else is in that file
        raise RecordError(
            f"{journal}: not an Optuna journal ({error}); move it away or choose another --storage"
        ) from None


def _check_is_journal(journal: Path) -> None:
    """Raises RecordError for a file that is something else, before anything is written to it."""
    if not journal.exists():
        return
    if journal.is_dir():
        raise RecordError(f"{journal}: is a folder; name a file with --storage")
    with journal.open("rb") as file:
        begin = file.read(len(_BEGIN))
    if begin != _BEGIN[: len(begin)]:  # a kill may have left less of the first line, or nothing
        raise RecordError(f"{journal}: not an Optuna journal; move it away or choose another --storage")


def _drop_half_a_line(journal: Path) -> None:
    """Cut off what a kill or a full disk has left of a line: the next one would be written behind it."""
    text = journal.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        with journal.open("rb+") as handle:
            handle.truncate(whole)


def _direction(metric: str) -> Literal["maximize", "minimize"]:
    return "maximize" if facts(metric).direction == "higher" else "minimize"


def _sampler(search: Search, trials_so_far: int) -> BaseSampler:
    """Seeded anew where a search is taken up, or it would draw the numbers of its beginning again."""
    seed = search.seed + trials_so_far
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    # A third of the trials, and no more than Optuna's own 10, are drawn at random before good ones are modelled.
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
    """Optuna chooses among scalars; lists and mappings go by their JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else value


def _value(domain: Range | Choices, chosen: Any) -> Any:
    values: Sequence[Any] = domain.values if isinstance(domain, Choices) else ()
    return next((value for value in values if _label(value) == chosen), chosen)


def _chosen(trial: FrozenTrial) -> dict[str, Any]:
    """What is known of a trial's parameters, also if it was interrupted before they were all written."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}
