"""Run rows: measure their networks, train their stages, test them, write their records."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Literal

from benchmark.experiment.plan import PlannedRow, id_of_test
from benchmark.runner.context import Context
from benchmark.runner.events import (
    Event,
    GatesChecked,
    JobDied,
    JobEvent,
    JobFailed,
    JobFinished,
    JobPruned,
    JobRetried,
    JobsCounted,
    JobStopped,
    MeasuredModel,
    NetworkMeasured,
    OnEvent,
    RowFinished,
    RowStarted,
    StageFinished,
    StageValidated,
)
from benchmark.runner.executor import Executor
from benchmark.runner.jobs import Job, MeasureNetwork, TestRow, TrainStage, failure_of_row, rejection_of
from benchmark.runner.local_executor import LocalExecutor
from benchmark.runner.preflight import memory_shortfall
from benchmark.runner.pruning_rules import Validation
from benchmark.runner.row import RowProgress, describe_gate, end_untested
from benchmark.runner.row_jobs import AnyRow, row_jobs
from benchmark.runner.scheduler import Scheduler
from benchmark.runner.stopping_rule import Pruning, judge_stored
from reports.schema import Failure, Record


def run_rows(
    rows: Sequence[AnyRow],
    context: Context,
    devices: Sequence[str],
    on_event: OnEvent,
    *,
    estimates: Mapping[str, float] | None = None,
    more_rows: Callable[[], Sequence[AnyRow]] | None = None,
    measured: Mapping[str, MeasuredModel] | None = None,
    is_trial: bool = False,
    executor: Executor | None = None,
    pruning: Pruning | None = None,
) -> list[Record]:
    """Run rows and return their records. A row that fails is recorded, and the others continue.

    Args:
        rows: What to run.
        context: Where to write, and what the rows read.
        devices: Of each worker.
        on_event: Called with everything that happens.
        estimates: Seconds of stages by key, for the order of jobs.
        more_rows: Called while fewer rows than slots are unfinished; returns further rows, or none to end.
        measured: Networks that are measured already, by `PlannedRow.network`.
        is_trial: The rows are trials of a search: any failed gate rejects them, and they are scored on val, not test.
        executor: Carries out the jobs, and is closed at the end; None: workers on `devices`.
        pruning: Ends rows before their last step, by their validations; None: all are trained to their end.

    Raises:
        OSError: The disk is full.
    """
    with closing(executor or LocalExecutor(context, devices)) as executor:
        scheduler = Scheduler(executor.slots)
        run = _Run(scheduler, context, on_event, estimates or {}, dict(measured or {}), pruning, is_trial=is_trial)
        for row in rows:
            run.add(row)
        while True:
            while more_rows and len(run.unfinished) < executor.slots and (more := more_rows()):
                for row in more:
                    run.add(row)
            while executor.has_room and (job := run.next_job()):
                executor.start(job)
            run.count_jobs()
            if run.scheduler.is_idle:
                return run.records
            executor.wait(run.handle)


class _Run:
    """The rows of a run, and what their jobs have done so far."""

    def __init__(
        self,
        scheduler: Scheduler,
        context: Context,
        on_event: OnEvent,
        estimates: Mapping[str, float],
        measured: dict[str, MeasuredModel],
        pruning: Pruning | None,
        *,
        is_trial: bool,
    ) -> None:
        """Begin without rows. `measured`: by `PlannedRow.network`."""
        self.scheduler = scheduler
        self.records: list[Record] = []
        self.unfinished: dict[str, AnyRow] = {}
        """By the id of the job that tests them."""
        self._context, self._on_event, self._estimates, self._measured = context, on_event, estimates, measured
        self._pruning, self._is_trial = pruning, is_trial
        self._jobs: dict[str, Job] = {}
        self._rows_of_stages: dict[str, list[PlannedRow]] = {}
        """By key of an unfinished stage, in the order of adding."""
        self._progress: dict[str, RowProgress] = {}
        """By folder of the row."""
        self._failures: dict[str, tuple[Failure, str]] = {}
        self._counts = scheduler.counts

    def add(self, row: AnyRow) -> None:
        """Add the jobs of a row; the row ends at once where it is known that it cannot run."""
        jobs = row_jobs(
            row,
            is_trial=self._is_trial,
            is_measured=isinstance(row, PlannedRow) and row.network in self._measured,
            is_stored=lambda key: self._context.store.finished(key, verify=True) is not None,
            estimates=self._estimates,
        )
        test = jobs[-1][0]
        self.unfinished[test.id] = row
        self._progress[row.folder] = RowProgress(is_trial=self._is_trial)
        for job, scheduled in jobs:
            self._jobs.setdefault(job.id, job)
            self.scheduler.add(scheduled)
            if isinstance(job, TrainStage):
                self._rows_of_stages.setdefault(job.id, []).append(job.row)
        if not isinstance(row, PlannedRow):
            return
        for stage in row.stages_with_teacher:
            if stage.key not in self._rows_of_stages:
                self._context.store.tidy(stage.key)
        if cause := self.scheduler.cause(test.id):
            self._end_failed(test.id, cause)
        elif row.network in self._measured:
            self._judge(test.id, row)
        self._prune_by_stored(test.id, row)

    def next_job(self) -> Job | None:
        """Return the job to start now, with all that is known of its row; None: nothing may start."""
        id = self.scheduler.next()
        if id is None:
            return None
        job = self._jobs[id]
        if isinstance(job, TrainStage):
            # The row that the stage was added for may have ended: the first unfinished one trains it.
            row = next(iter(self._rows_with(id).values()))
            self._jobs[id] = job = TrainStage(row, job.stage, self._pruning.rule(row) if self._pruning else None)
        if not isinstance(job, MeasureNetwork):
            self._start(job.row)
        return dataclasses.replace(job, progress=self._progress[job.row.folder]) if isinstance(job, TestRow) else job

    def handle(self, event: Event | JobEvent) -> None:
        """Update the state of the run after an event, and report it."""
        if isinstance(event, JobEvent):
            self._end_job(event)
            return
        if isinstance(event, StageFinished):
            self._note(event.folder, trained=self._progress[event.folder].trained | {event.result.key})
        if isinstance(event, StageValidated) and self._pruning:
            for row in self._rows_with(event.key).values():
                self._pruning.note(row, event.validation)
        if isinstance(event, RowFinished):
            self.records.append(event.record)
        self._on_event(event)

    def _end_job(self, event: JobEvent) -> None:
        match event:
            case JobFinished(job=id):
                self.scheduler.finish(id)
                job = self._jobs[id]
                if isinstance(job, TrainStage):
                    self._note_trained(job, event.seconds)
                if isinstance(job, MeasureNetwork) and event.measured:
                    self._note_measured(job.row, event.measured)
                self.unfinished.pop(id, None)
            case JobFailed(job=id, failure=failure, traceback=traceback):
                self._fail(id, failure, traceback)
            case JobDied(job=id, reason=reason):
                if self.scheduler.retry_after_death(id):
                    self._on_event(JobRetried(self._jobs[id].row.folder, reason))
                else:
                    self._fail(id, Failure(message=reason), "")
            case JobPruned(job=id):
                self.scheduler.wait_again(id)
                self._prune_by_rule(id, event)
            case JobStopped(error=error):
                raise error

    def _note_trained(self, job: TrainStage, seconds: float) -> None:
        """Keep how long a stage took, and end the rows whose rule is against what it reached."""
        folder = job.row.folder
        self._note(folder, seconds=self._progress[folder].seconds + seconds)
        for test, row in self._rows_with(job.stage.key).items():
            self._prune_by_stored(test, row)

    def count_jobs(self) -> None:
        """Report how many jobs are in each state, where that has changed."""
        counts = self.scheduler.counts
        if counts != self._counts:
            self._counts = counts
            self._on_event(JobsCounted(counts.waiting, counts.running, counts.finished + counts.failed))

    def _start(self, row: AnyRow) -> None:
        """Report that a row starts, with its first job."""
        progress = self._progress[row.folder]
        if progress.started is None:
            self._note(row.folder, started=datetime.now(UTC))
            self._on_event(RowStarted(row.folder))
            if progress.measured:
                self._on_event(GatesChecked(row.folder, tuple(map(describe_gate, progress.measured.gates))))

    def _note(self, folder: str, **changes: Any) -> None:
        self._progress[folder] = dataclasses.replace(self._progress[folder], **changes)

    def _note_measured(self, measured_row: PlannedRow, measured: MeasuredModel) -> None:
        """Keep what was measured, and end the rows that it rejects."""
        network = measured_row.network
        self._measured[network] = measured
        networks = [job for job in self._jobs.values() if isinstance(job, MeasureNetwork)]
        done = sum(job.row.network in self._measured for job in networks)
        self._on_event(NetworkMeasured(measured_row.folder, done, len(networks)))
        for test, row in list(self.unfinished.items()):
            if isinstance(row, PlannedRow) and row.network == network:
                self._judge(test, row)

    def _judge(self, test: str, row: PlannedRow) -> None:
        """End a row whose network is rejected by a gate or does not fit into memory."""
        measured = self._measured[row.network]
        self._note(row.folder, measured=measured)
        if rejection := rejection_of(measured, is_trial=self._is_trial):
            self._start(row)
            self._end(test, "rejected", rejection)
        elif shortfall := memory_shortfall(row, self._context):
            self._end(test, "failed", Failure(message=shortfall))
        else:
            return
        self.scheduler.drop(test)

    def _rows_with(self, key: str) -> dict[str, PlannedRow]:
        """Return the unfinished rows that wait for a stage, in the order of adding, by the id of their last job."""
        rows = {id_of_test(row.folder, row.config_hash): row for row in self._rows_of_stages.get(key, ())}
        return {test: row for test, row in rows.items() if test in self.unfinished}

    def _prune_by_stored(self, test: str, row: PlannedRow) -> None:
        """End a row that its rule is against, by the validations of its stored stages."""
        if self._pruning and test in self.unfinished and (end := judge_stored(row, self._pruning, self._context.store)):
            self._prune(test, row, *end)

    def _prune_by_rule(self, key: str, event: JobPruned) -> None:
        """End the row that a stage was trained for, and those that share the stage and whose rule says the same."""
        folder, pruning = self._jobs[key].row.folder, self._pruning
        assert pruning is not None  # else no job has a rule
        for test, row in self._rows_with(key).items():
            own_reason = event.reason if row.folder == folder else None
            if reason := own_reason or pruning.rule(row).reason_to_stop(event.validation):
                self._prune(test, row, event.validation, reason)

    def _prune(self, test: str, row: PlannedRow, validation: Validation, reason: str) -> None:
        steps = sum(stage.steps for stage in row.stages)
        failure = Failure(message=f"pruned at step {validation.step} of {steps}: {reason}", step=validation.step)
        self._start(row)
        self._end(test, "rejected", failure)
        self.scheduler.drop(test)

    def _fail(self, job: str, failure: Failure, traceback: str) -> None:
        """Note a failed job, and end the rows that need it."""
        self._failures[job] = failure, traceback
        for failed in (job, *self.scheduler.fail(job)):
            if failed in self.unfinished:
                self._end_failed(failed, job)

    def _end_failed(self, test: str, cause: str) -> None:
        """End a row because of a failed job: its own, or that of another row that shares the stage."""
        row, (failure, traceback) = self.unfinished[test], self._failures[cause]
        self._end(test, "failed", *failure_of_row(row, self._jobs[cause], failure, traceback))

    def _end(self, test: str, status: Literal["failed", "rejected"], failure: Failure, traceback: str = "") -> None:
        row = self.unfinished.pop(test)
        end_untested(row, status, failure, traceback, self._progress[row.folder], self._context, self.handle)
