"""A grid of recorded trainings, and searches that look their trials up in it instead of training them.

They ask the suite's own samplers and pruners. A sampler sees each parameter as a whole number, its place on the axis:
so values have an order, and no combination is asked twice. As in a search, the first trial is the base row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import optuna
from optuna.trial import TrialState

from benchmark.experiment.pruner_settings import Pruner
from benchmark.experiment.search_settings import Sampler
from benchmark.experiment.search_space import Parameter, Range, Search
from benchmark.runner.stopping_rule import Validation
from benchmark.search.pruners import CutRule, History, rule_for
from benchmark.search.samplers import make_sampler
from benchmark.search.space import base_params
from benchmark.search.study import ask
from reports.metrics import IMAGE_METRICS
from reports.results.search import read_search
from reports.schema import StageSteps

METRIC = IMAGE_METRICS["psnr"]


@dataclass(frozen=True)
class Point:
    """A combination as it was trained."""

    value: float | None
    """The metric on val; None where the training diverged."""
    validations: tuple[tuple[int, float], ...]
    """Steps and metric on its way, in order."""
    stages: tuple[StageSteps, ...]


@dataclass(frozen=True)
class Grid:
    """All combinations of the values of some parameters."""

    axes: Mapping[str, int]
    """How many values each parameter has, by path."""
    base: tuple[int, ...]
    """Places of the base row's values on the axes."""
    points: Mapping[tuple[int, ...], Point]

    @property
    def best(self) -> float:
        """The highest value of all combinations."""
        return max(point.value for point in self.points.values() if point.value is not None)


@dataclass(frozen=True)
class ReplayedTrial:
    """What a search knew after a trial. Steps are those of all trials so far."""

    regret: float
    """The best value of the grid minus the best that was found."""
    steps: int
    """Without shared stages."""
    shared_steps: int
    """With each stage counted once, as far as the trial that needed most of it."""


def read_grid(folder: Path) -> Grid:
    """Return a recorded grid from the folder of a search or from its study."""
    stored = read_search(folder)
    assert stored.settings is not None  # a grid that was published is whole
    values = {parameter.path: list(parameter.choices) for parameter in stored.settings.parameters}
    points = {
        tuple(of_axis.index(trial.values[path]) for path, of_axis in values.items()): Point(
            trial.value, stored.details[trial.number].validations, stored.details[trial.number].stages
        )
        for trial in stored.trials.trials
        if trial.status in ("done", "diverged")
    }
    base = tuple(values[parameter.path].index(parameter.base) for parameter in stored.settings.parameters)
    grid = Grid({path: len(of_axis) for path, of_axis in values.items()}, base, points)
    missing = set(product(*(range(count) for count in grid.axes.values()))) - points.keys()
    if missing:
        raise SystemExit(f"{folder}: {len(missing)} of the combinations were not trained; run the search to its end")
    return grid


def replay(grid: Grid, sampler: Sampler, pruner: Pruner, seed: int, trials: int) -> list[ReplayedTrial]:
    """Return a search on a grid, trial by trial; the same seed gives the same trials."""
    parameters = tuple(
        Parameter(path, place, Range(0, count - 1, log=False, step=1.0, is_whole=True))
        for (path, count), place in zip(grid.axes.items(), grid.base, strict=True)
    )
    search = Search(METRIC, trials, sampler, seed, parameters, pruner=pruner)
    study = optuna.create_study(direction="maximize", sampler=make_sampler(search, 0))
    study.enqueue_trial(base_params(search))
    histories: list[History] = []
    reached: dict[str, int] = {}
    best, steps, course = -float("inf"), 0, list[ReplayedTrial]()
    base_steps = sum(stage.steps for stage in grid.points[grid.base].stages)
    while len(course) < min(trials, len(grid.points)):
        trial = ask(study, search)
        point = grid.points[tuple(trial.params[path] for path in grid.axes)]
        seen, end = _seen(point, trial.number, histories, search, base_steps)
        for step, value in seen.items():
            trial.report(value, step)
        value = point.value if end is None else None
        study.tell(trial, value, TrialState.PRUNED if value is None else TrialState.COMPLETE)
        histories.append(History(trial.number, seen, value))
        for stage in _until(point.stages, end):
            steps += stage.done
            reached[stage.key] = max(reached.get(stage.key, 0), stage.done)
        best = max(best, -float("inf") if value is None else value)
        course.append(ReplayedTrial(grid.best - best, steps, sum(reached.values())))
    return course


def _seen(
    point: Point, number: int, others: Sequence[History], search: Search, base_steps: int
) -> tuple[dict[int, float], int | None]:
    """Return the validations of a trial until its rule ends it, and the step of that; None: nothing ends it."""
    last = sum(stage.steps for stage in point.stages)
    points = [step for step, _ in point.validations if step < last]
    rule = rule_for(search.pruner, number, points, others, METRIC, base_steps) if number else CutRule(METRIC)
    seen: dict[int, float] = {}
    for step, value in point.validations:
        seen[step] = value
        if step < last and rule.reason_to_stop(Validation(step, value)):
            return seen, step
    return seen, None


def _until(stages: Sequence[StageSteps], end: int | None) -> list[StageSteps]:
    """Return how far each stage is trained of a trial that ends at a step; None: as far as it was recorded."""
    if end is None:
        return list(stages)
    cut, before = list[StageSteps](), 0
    for stage in stages:
        cut.append(StageSteps(key=stage.key, steps=stage.steps, done=min(max(0, end - before), stage.steps)))
        before += stage.steps
    return cut
