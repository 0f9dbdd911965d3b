"""What came of a job that another process carried out: the store and the folder of the run say it.

For executors that start `python -m benchmark job` elsewhere and get no more than an exit code back.
"""

from benchmark.runner.context import Context
from benchmark.runner.events import (
    JobDied,
    JobEvent,
    JobFailed,
    JobFinished,
    JobPruned,
    MeasuredModel,
    OnAnyEvent,
    StageFinished,
    StagePruned,
    StageValidated,
)
from benchmark.runner.job_notes import JobNotes
from benchmark.runner.jobs import Job, MeasureNetwork, TestRow, TrainStage
from benchmark.runner.record_writer import is_finished
from benchmark.runner.row import test_row
from reports.schema import Failure

_FAILED, _REFUSED = 1, 2
"""Exit codes of `python -m benchmark job`."""


class Outcomes:
    """The outcomes of the jobs of one run."""

    def __init__(self, context: Context) -> None:
        """Read nothing yet."""
        self._context, self._notes = context, JobNotes(context.output)

    def begin(self, job: Job) -> None:
        """Remove the note of an earlier attempt at a job, which might have failed, or was for another row."""
        if not self._is_done(job):
            self._notes.remove(job.id)

    def report(self, job: Job, code: int | None, errors: str, seconds: float, on_event: OnAnyEvent) -> None:
        """Report what a job has done, and how it ended.

        Args:
            job: The job.
            code: Exit code of its process; below 0: it was killed; None: nobody knows.
            errors: The last lines that it wrote to its standard error.
            seconds: How long it took.
            on_event: Called with the events.
        """
        note, folder = self._notes.read(job.id), job.row.folder
        for each in note.validations:
            on_event(StageValidated(folder, job.id, each.validation))
        if self._is_done(job):
            measured = MeasuredModel(note.cost, note.gates) if isinstance(job, MeasureNetwork) and note.cost else None
            if isinstance(job, TrainStage) and (result := self._context.store.finished(job.stage.key)):
                on_event(StageFinished(folder, result, result.steps))
            if isinstance(job, TestRow):
                test_row(job.row, job.progress, self._context, on_event)  # reports the record that is there
            on_event(JobFinished(job.id, seconds, measured))
        elif note.pruning:
            on_event(StagePruned(folder, job.id, note.pruning.steps))
            on_event(JobPruned(job.id, note.pruning.validation.validation, note.pruning.reason))
        else:
            on_event(_end(job.id, code, errors, note.failure))

    def _is_done(self, job: Job) -> bool:
        match job:
            case TrainStage(stage=stage):
                return self._context.store.finished(stage.key, verify=True) is not None
            case TestRow(row=row):
                return is_finished(self._context.output / row.folder, row.config_hash, replace=True)
            case MeasureNetwork():
                return self._notes.read(job.id).cost is not None


def _end(job: str, code: int | None, errors: str, failure: Failure | None) -> JobEvent:
    """Return how a job ended that is not done. Only one that said so has failed; others may be tried again."""
    if code in (_FAILED, None) and failure:
        return JobFailed(job, failure, "")
    lines = errors.strip().splitlines()
    if code in (_FAILED, _REFUSED) and lines:
        return JobFailed(job, Failure(message=lines[-1]), errors)
    return JobDied(job, f"its process ended {f'with exit code {code}' if code is not None else 'without a result'}")
