"""All that is stored of a search: the table of its trials, search.json and confirm.json."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from reports.errors import FileFormatError
from reports.metrics import Metric, own_metric
from reports.results.trials import TRIALS, Trial, Trials, read
from reports.schema import ConfirmFile, Objective, SearchedTrial, SearchFile
from reports.schema import read as read_file

Model = TypeVar("Model", SearchFile, ConfirmFile)


@dataclass(frozen=True)
class StoredSearch:
    """A search as its folder has it."""

    trials: Trials
    settings: SearchFile | None
    """None where search.json is missing or damaged."""
    confirmed: ConfirmFile | None
    """None as long as nothing is confirmed."""
    damage: tuple[str, ...]
    """A line for each file that cannot be read."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Of a search that has several."""
        return self.settings.objectives if self.settings else ()

    @property
    def details(self) -> dict[int, SearchedTrial]:
        """What the table does not hold, by number of the trial."""
        return {trial.number: trial for trial in self.settings.trials} if self.settings else {}


def read_search(folder: Path) -> StoredSearch:
    """Return the search in a folder.

    Raises:
        ReportError: The table of trials cannot be read.
    """
    damage: list[str] = []

    trials = read(folder / TRIALS)
    settings = _stored(SearchFile, folder / "search.json", damage)
    confirmed = _stored(ConfirmFile, folder / "confirm.json", damage)
    return StoredSearch(trials, settings, confirmed, tuple(damage))


def ranked(trials: tuple[Trial, ...], metric: Metric) -> list[Trial]:
    """Return the trials that finished training, the best first; of equal ones the earlier first."""
    finished = [(metric.sort_key(trial.value), trial.number, trial) for trial in trials if trial.value is not None]
    return [trial for *_, trial in sorted(finished, key=lambda entry: entry[:2])]


def as_metric(objective: Objective) -> Metric:
    """Return the facts of an objective as those of a metric."""
    metric = own_metric(objective.name, objective.unit, objective.direction, "", objective.decimals)
    return replace(metric, label=objective.label)


def _stored(model: type[Model], file: Path, damage: list[str]) -> Model | None:
    """Return the content of a file; None where there is none, or where it is damaged, which `damage` then says."""
    try:
        return read_file(model, file) if file.exists() else None
    except FileFormatError as error:
        damage.append(f"{file}: {error}")
        return None
