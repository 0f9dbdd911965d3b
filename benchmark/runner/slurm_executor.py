"""The SLURM executor of a command that stays: each ready job is one SLURM job, whose end the queue shows.

For searches, which choose a trial by the results of those before it; `run --executor slurm` submits a whole plan and
ends. What came of a job stands in the store; SLURM is only asked which jobs are still in its queue.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchmarkError
from benchmark.runner.context import Context
from benchmark.runner.events import OnAnyEvent
from benchmark.runner.job_command import JobPlans, job_arguments
from benchmark.runner.jobs import Job, MeasureNetwork, TestRow, TrainStage
from benchmark.runner.outcome import Outcomes
from benchmark.runner.slurm import SlurmJob, SlurmQueue, job_script, slurm_name

_SILENT_SECONDS = 300.0
"""How long the controller of the cluster may be away."""
_KEPT_CHARACTERS = 2000
"""Of the log of a job, from the end."""


@dataclass(frozen=True)
class _Submitted:
    """A job that was given to SLURM."""

    job: Job
    slurm_id: str
    log: Path
    started: float


class SlurmExecutor:
    """Carries out jobs as SLURM jobs; see `benchmark.runner.executor.Executor`."""

    def __init__(
        self, context: Context, options: Sequence[str], plans: JobPlans, workers: int | None, poll_seconds: float = 5.0
    ) -> None:
        """Ask for the queue, so that a machine without SLURM is told at once.

        Args:
            context: Of the run.
            options: For sbatch.
            plans: Where the jobs read what to do.
            workers: How many jobs are submitted at once; None: one.
            poll_seconds: Between two looks into the queue.

        Raises:
            BenchmarkError: SLURM is not installed here.
        """
        self._context, self._options, self._plans = context, options, plans
        self._workers, self._poll_seconds = workers or 1, poll_seconds
        self._queue, self._outcomes = SlurmQueue(context.output), Outcomes(context)
        self._submitted: list[_Submitted] = []
        self._answered_at = time.monotonic()
        self._queue.queued()

    @property
    def slots(self) -> int:
        """How many jobs run side by side."""
        return self._workers

    @property
    def has_room(self) -> bool:
        """Whether another job can be submitted."""
        return len(self._submitted) < self._workers

    def start(self, job: Job) -> None:
        """Submit a job; one that an earlier command left in the queue is waited for. Raises BenchmarkError."""
        self._outcomes.begin(job)
        has_gpu = self._context.machine.device.type == "cuda"
        settings = job.stage.settings if isinstance(job, TrainStage) else None
        threads = int(settings.threads) * settings.devices_per_stage if settings else 1
        script = job_script(self._context.output, has_gpu=has_gpu, threads=threads)
        name = slurm_name(self._context.output, f"{job.row.folder}.{_work(job)}")
        arguments = tuple(job_arguments(job, self._context, self._plans))
        self._queue.submit([SlurmJob(job.id, name, (), arguments)], script, self._options)
        slurm_id = self._queue.last_id(job.id)
        log = self._queue.folder / f"{name}.{slurm_id}.log"
        self._submitted.append(_Submitted(job, slurm_id, log, time.perf_counter()))

    def wait(self, on_event: OnAnyEvent) -> None:
        """Wait until a job has left the queue, and report it.

        Raises:
            BenchmarkError: SLURM does not answer for five minutes.
        """
        time.sleep(self._poll_seconds)
        try:
            present = set(self._queue.queued().values())
            self._answered_at = time.monotonic()
        except BenchmarkError:
            if time.monotonic() - self._answered_at > _SILENT_SECONDS:
                raise
            return
        ended = [each for each in self._submitted if each.slurm_id not in present]
        self._submitted = [each for each in self._submitted if each.slurm_id in present]
        for each in ended:
            errors = ""
            with suppress(OSError):
                errors = each.log.read_text(encoding="utf-8", errors="replace")[-_KEPT_CHARACTERS:]
            self._outcomes.report(each.job, None, errors, time.perf_counter() - each.started, on_event)

    def close(self) -> None:
        """Cancel the jobs that are in the queue; those that run store their state."""
        with suppress(BenchmarkError):
            self._queue.cancel([each.slurm_id for each in self._submitted])


def _work(job: Job) -> str:
    match job:
        case TrainStage(stage=stage):
            return stage.name
        case TestRow():
            return "test"
        case MeasureNetwork():
            return "network"
