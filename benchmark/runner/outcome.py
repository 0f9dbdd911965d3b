"""What came of a job that another process carried out: the store and the folder of the run say it.

For executors that start `python -m benchmark job` elsewhere and get no more than an exit code back.
"""

from functools import cached_property

from benchmark.runner.context import Context
from benchmark.runner.events import (
    JobDied,
    JobEvent,
    JobFailed,
    JobFinished,
    MeasuredModel,
    OnAnyEvent,
    StageFinished,
)
from benchmark.runner.job_list import JobList
from benchmark.runner.jobs import Job, MeasureNetwork, TestRow, TrainStage
from benchmark.runner.plan_file import read_plan
from benchmark.runner.record_writer import is_finished
from benchmark.runner.row import test_row
from reports.schema import Failure

_FAILED, _REFUSED = 1, 2
"""Exit codes of `python -m benchmark job`."""


class Outcomes:
    """The outcomes of the jobs of one run, whose plan.json is written."""

    def __init__(self, context: Context) -> None:
        """Read nothing yet."""
        self._context = context

    @cached_property
    def _jobs(self) -> JobList:
        return JobList(read_plan(self._context.output), self._context.output, self._context.store)

    def report(self, job: Job, code: int, errors: str, seconds: float, on_event: OnAnyEvent) -> None:
        """Report what a job has done, and how it ended.

        Args:
            job: The job.
            code: Exit code of its process; below 0: it was killed.
            errors: The last lines that it wrote to its standard error.
            seconds: How long it took.
            on_event: Called with the events.
        """
        note = self._jobs.note(job.id)
        if self._is_done(job):
            measured = MeasuredModel(note.cost, note.gates) if isinstance(job, MeasureNetwork) and note.cost else None
            if isinstance(job, TrainStage) and (result := self._context.store.finished(job.stage.key)):
                on_event(StageFinished(job.row.folder, result, result.steps))
            if isinstance(job, TestRow):
                test_row(job.row, job.progress, self._context, on_event)  # reports the record that is there
            on_event(JobFinished(job.id, seconds, measured))
        else:
            on_event(_end(job.id, code, errors, note.failure))

    def _is_done(self, job: Job) -> bool:
        match job:
            case TrainStage(stage=stage):
                return self._context.store.finished(stage.key, verify=True) is not None
            case TestRow(row=row):
                return is_finished(self._context.output / row.folder, row.config_hash, replace=True)
            case MeasureNetwork():
                return self._jobs.note(job.id).cost is not None


def _end(job: str, code: int, errors: str, failure: Failure | None) -> JobEvent:
    """Return how a job ended that is not done. Only one that said so has failed; others may be tried again."""
    if code == _FAILED and failure:
        return JobFailed(job, failure, "")
    lines = errors.strip().splitlines()
    if code in (_FAILED, _REFUSED) and lines:
        return JobFailed(job, Failure(message=lines[-1]), errors)
    return JobDied(job, f"its process ended with exit code {code}")
