"""What carries out the jobs of a run: processes of this machine, or those of a cluster."""

from typing import Protocol

from benchmark.runner.context import Context
from benchmark.runner.events import OnAnyEvent
from benchmark.runner.job_command import JobPlans
from benchmark.runner.jobs import Job


class Executor(Protocol):
    """Carries out ready jobs side by side and reports events; the truth is the store."""

    @property
    def slots(self) -> int:
        """How many jobs run side by side, for the order in which they start."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether another job can be started."""
        ...

    def start(self, job: Job) -> None:
        """Start a job whose needs are stored; called only while there is room."""
        ...

    def wait(self, on_event: OnAnyEvent) -> None:
        """Wait until something happens, and report it.

        Each job ends with one JobEvent. A JobStarted and a JobEnded around it tell a display where it runs; an executor
        that does not know the place leaves them out.
        """
        ...

    def close(self) -> None:
        """End what was started; jobs that still run store their state first."""
        ...


class OpenExecutor(Protocol):
    """Makes an executor for the jobs of one call of `run_rows`, which closes it."""

    def __call__(self, context: Context, plans: JobPlans, workers: int | None) -> Executor:
        """Return the executor.

        Args:
            context: Of the run.
            plans: Where processes elsewhere read what to do.
            workers: How many jobs run side by side at most; None: as many as there is room for.

        Raises:
            BenchmarkError: Its cluster does not answer, or does not fit.
        """
        ...
