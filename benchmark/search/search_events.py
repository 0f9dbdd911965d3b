"""What a search reports while it runs, and what it has found."""

from dataclasses import dataclass

from benchmark.runner.events import Event
from benchmark.search.trial_results import TrialResult
from reports.schema import Importance, SearchSteps


@dataclass(frozen=True)
class SearchStarted:
    """`todo` of `total` trials are to be run, `workers` at once. `total`: no more than there are different settings."""

    todo: int
    total: int
    workers: int
    at_most_seconds: float
    """The estimate if trials share no stage in which they may differ."""
    gates: tuple[str, ...]
    """Gate results of the base row, a line each."""


@dataclass(frozen=True)
class TrialFinished:
    """A trial has ended, as one of `done` of `total` trials."""

    folder: str
    result: TrialResult
    best: TrialResult | None
    """The best trial so far; with several objectives, the one that is picked."""
    done: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class ConfirmStarted:
    """`trials` and the base row are trained with fresh `seeds`, as far as their stages are not stored."""

    trials: tuple[int, ...]
    seeds: tuple[int, ...]
    stages: int
    """Stages to train."""
    steps: int
    """Steps of these."""
    seconds: float
    """The estimate for these."""
    note: str
    """Why the estimate may be too high; empty where it is not."""
    workers: int


@dataclass(frozen=True)
class Outcome:
    """What a search has found."""

    trials: list[TrialResult]
    """All of the study, also those of earlier searches."""
    failed: list[TrialResult]
    """Those that the next search tries again."""
    importances: tuple[Importance, ...]
    """Of the parameters; empty after too few trials, and with several objectives."""
    steps: SearchSteps
    """Of all trials."""
    best: TrialResult | None = None
    """The trial of best.yaml."""
    front: tuple[TrialResult, ...] = ()
    """With several objectives, the trials that no other beats in all of them."""


SearchEvent = Event | SearchStarted | TrialFinished
