"""The trainings of `auto`: the experiment that is written, run, and cut where it would not end within the budget."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import click

from benchmark.audit.starter_recipe import Effort, row_names
from benchmark.cli.options import Selection
from benchmark.errors import RecordError
from benchmark.files import write_text
from benchmark.interrupts import stopped_when
from benchmark.runner.auto_budget import Budget, Training, cut_to_trained, difference, shortened
from benchmark.runner.stage_store import STATE

_LEAST_SHARE = 0.4
"""Of what is left of the budget, for a shorter training: on a very busy machine nothing would be left by estimates."""

_LAST_SHARE = 0.2
"""Of the budget, the most that is kept for the end while nothing is trained."""


@dataclass(frozen=True)
class WrittenExperiment:
    """An experiment that `auto` wrote: how much is trained, and its text for any effort."""

    effort: Effort
    text: Callable[[Effort], str]


def run_within(
    context: click.Context, selection: Selection, written: WrittenExperiment | None, budget: Budget
) -> int | None:
    """Run an experiment; what would not end within the budget is cut from it, and said.

    Where after half of the time for trainings none has ended, nor would end in time as fast as it goes, a single one of
    fewer steps takes the rest. When the time is over, what is trained is kept, and the rest is cut. What is cut stays
    stored as far as it has come.

    Args:
        context: Of the command.
        selection: The experiment.
        written: How its file was written; None: the user may have edited it, and it stays.
        budget: What is left for everything.

    Returns:
        The exit code of `run`; None where no training has ended in time.
    """
    from benchmark.cli.run import command as run

    call = partial(context.invoke, run, **asdict(selection), yes=True)
    watch = _Watch(selection.file.parent / ".stages", budget)
    late = partial(watch.is_late, written.effort.steps) if written else lambda: False
    with stopped_when(watch.is_over) as is_over, stopped_when(late) as is_late:
        code: int = call()
        if not (is_over() or is_late()):
            return code
    if written is None:
        click.echo("the budget is over: rows that are not finished are left out; the same command goes on with them")
        return call(budget_seconds=1e-3)
    progress = _progress(selection, written.effort)
    effort = cut_to_trained(written.effort, progress.trained, all_seeds=progress.all_seeds) or shortened(
        written.effort, progress.steps, watch.training_seconds, max(watch.left, _LEAST_SHARE * budget.left)
    )
    if effort:
        kept = difference(written.effort, effort)
        click.echo(f"training takes longer than estimated; kept in {selection.file}: {kept or 'everything'}")
        write_text(selection.file, written.text(effort))
        last = min(budget.needed("finish"), _LAST_SHARE * budget.seconds)  # else nothing at all would be shipped
        with stopped_when(lambda: budget.left < last and not watch.has_trained()) as is_over:
            code = call()
            if not is_over():
                return code
    click.echo("the budget is over before any training has ended; the same command goes on, with a new budget")
    return None


class _Watch:
    """How the time of a run passes, by the folders of its stages."""

    def __init__(self, stages: Path, budget: Budget) -> None:
        """Begin; the stages that are there already do not count."""
        self._stages, self._budget = stages, budget
        self._started, self._ends = budget.spent, budget.spent + budget.for_training
        self._before = set(stages.glob("*"))
        self._read: dict[Path, tuple[int, int, float]] = {}
        """When a state was written, with its step and seconds."""
        self._begun: float | None = None
        """When the first training began."""

    @property
    def starting_seconds(self) -> float:
        """What came before the first training: reading data, baselines, processes."""
        return (self._begun or self._budget.spent) - self._started

    @property
    def training_seconds(self) -> float:
        """Since the first training began."""
        return self._budget.spent - (self._begun or self._budget.spent)

    @property
    def left(self) -> float:
        """For a training of a new run: until the time is over, less what comes before the training."""
        return self._ends - self._budget.spent - self.starting_seconds

    def has_trained(self) -> bool:
        """Return whether a training has ended."""
        return any((folder / "meta.json").exists() for folder in self._new())

    def is_over(self) -> bool:
        """Return whether the time for training is over."""
        return self._budget.spent > self._ends

    def is_late(self, steps: int) -> bool:
        """Return whether half of the time for trainings is over, and none has ended or would end in time.

        Args:
            steps: Of each training; how many are made, by when, stands in the states that it stores once in a while.
        """
        if self._begun is None:
            self._begun = self._budget.spent if self._new() else None
            return False
        if self._budget.spent < (self._begun + self._ends) / 2 or self.has_trained():
            return False
        times = [seconds / step for step, seconds in map(self._progress, self._new()) if step]
        return bool(times) and self._begun + min(times) * steps > self._ends

    def _progress(self, stage: Path) -> tuple[int, float]:
        """Return step and seconds of the state that a stage has stored; it is read again when it has changed."""
        from benchmark.training.train_state import stored_progress

        file = stage / STATE
        with suppress(OSError, RecordError):  # it is there later
            changed = file.stat().st_mtime_ns
            if self._read.get(stage, (0,))[0] != changed:
                self._read[stage] = (changed, *stored_progress(file))
        return self._read.get(stage, (0, 0, 0.0))[1:]

    def _new(self) -> set[Path]:
        return {folder for folder in set(self._stages.glob("*")) - self._before if not folder.name.startswith(".")}


@dataclass(frozen=True)
class _Progress:
    """How far the trainings of an experiment have come."""

    trained: frozenset[Training]
    all_seeds: bool
    """Whether all rows are trained with all seeds."""
    steps: int
    """Of trainings that have not ended."""


def _progress(selection: Selection, effort: Effort) -> _Progress:
    from benchmark.cli.experiment_setup import prepare
    from benchmark.training.train_state import stored_progress

    prepared = prepare(selection)
    store, rivals = prepared.context.store, dict(zip(row_names(effort.rivals), effort.rivals, strict=True))
    names = {f"tuning/{row}=lr_{rate:g}": (rivals[row], rate) for row in rivals for rate in effort.rates}
    if prepared.candidates is None:
        names = {row: (rival, effort.rates[0]) for row, rival in rivals.items()}
    first = prepared.candidates.rows if prepared.candidates else [row for row in prepared.plan.rows if row.seed == 0]
    keys = {row.row: [stage.key for stage in row.stages] for row in first}
    last = {stage.key for row in prepared.plan.rows for stage in row.stages}
    finished = {key for key in {*last, *(key for each in keys.values() for key in each)} if store.finished(key)}
    unfinished = {key for each in keys.values() for key in each} - finished
    return _Progress(
        frozenset(training for name, training in names.items() if finished.issuperset(keys[name])),
        last <= finished,
        sum(stored_progress(store.state_file(key))[0] for key in unfinished),
    )
