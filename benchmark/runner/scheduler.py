"""The scheduler: which jobs are ready, which run, which failed, and which comes next.

It starts no process and reads no file. Its callers report what happened and ask what may start. It takes, of the ready
jobs,

1. exclusive jobs, which run while nothing else runs;
2. jobs of the base row before jobs of other rows, and one seed after the other (`order`);
3. jobs that complete a row, since their results are what the user waits for;
4. the job with the longest remaining path, in estimated seconds, so that no worker is left with a long one at the end.
"""

from collections import Counter
from dataclasses import dataclass

RETRIES = 2
"""How often a job whose process died is tried again."""


@dataclass(frozen=True)
class ScheduledJob:
    """What the scheduler must know of a job."""

    id: str
    needs: tuple[str, ...] = ()
    """Ids of the jobs that must have finished before."""
    order: tuple[int, ...] = ()
    """Lower comes first. What a job needs inherits its order."""
    seconds: float = 0.0
    """Estimate."""
    is_exclusive: bool = False


class Scheduler:
    """The state of all jobs of a run. Jobs may be added at any time."""

    def __init__(self) -> None:
        """Begin without jobs."""
        self._jobs: dict[str, ScheduledJob] = {}  # in the order of adding: a job stands behind its needs
        self._waiting: set[str] = set()
        self._running: set[str] = set()
        self._finished: set[str] = set()
        self._failed: dict[str, str] = {}
        self._deaths = Counter[str]()

    def add(self, job: ScheduledJob) -> None:
        """Add a job. Its needs must have been added before; a job that is known is not added again.

        A job with a failed need has failed, too.
        """
        if unknown := [need for need in job.needs if not self.knows(need)]:
            raise ValueError(f"job {job.id} needs {unknown[0]}, which was never added")
        if job.id in self._jobs:
            return
        self._jobs[job.id] = job
        if failed := [need for need in job.needs if need in self._failed]:
            self._failed[job.id] = self._failed[failed[0]]
        else:
            self._waiting.add(job.id)

    def next(self) -> str | None:
        """Return the id of the job to start now, which counts as running from then on; None: nothing may start."""
        if any(self._jobs[job].is_exclusive for job in self._running):
            return None
        ready = [job for job in self._in_order() if self._finished.issuperset(self._jobs[job].needs)]
        first = min(ready, key=self._priorities().__getitem__, default=None)
        if first is None or (self._jobs[first].is_exclusive and self._running):
            return None
        self._waiting.remove(first)
        self._running.add(first)
        return first

    def finish(self, job: str) -> None:
        """Note that a running job has finished: what it makes is stored."""
        self._running.remove(job)
        self._finished.add(job)

    def fail(self, job: str) -> list[str]:
        """Note that a job has failed; return the waiting jobs that need it, and have now failed with it.

        These are in the order of adding. Jobs that only they needed are dropped.
        """
        self._running.discard(job)
        self._waiting.discard(job)
        self._failed[job] = job
        dependants: list[str] = []
        for other in self._in_order():  # needs come first, so one pass finds them all
            if any(self._failed.get(need) == job for need in self._jobs[other].needs):
                self._failed[other] = job
                self._waiting.remove(other)
                dependants.append(other)
        for other in dependants:
            self._drop_needs(other)
        return dependants

    def retry_after_death(self, job: str) -> bool:
        """Note that the process of a running job died; return whether the job will be tried again."""
        self._deaths[job] += 1
        if self._deaths[job] > RETRIES:
            return False
        self._running.remove(job)
        self._waiting.add(job)
        return True

    def drop(self, job: str) -> None:
        """Forget a waiting job, and the waiting jobs that only it needed."""
        self._waiting.remove(job)
        self._drop_needs(job)
        del self._jobs[job]

    def cause(self, job: str) -> str | None:
        """Return the job whose failure made this one fail (perhaps itself); None if it has not failed."""
        return self._failed.get(job)

    def knows(self, job: str) -> bool:
        """Return whether a job was added, and not dropped since."""
        return job in self._jobs

    @property
    def is_idle(self) -> bool:
        """Whether no job runs."""
        return not self._running

    def _drop_needs(self, job: str) -> None:
        for need in self._jobs[job].needs:
            if need in self._waiting and not any(need in self._jobs[other].needs for other in self._waiting):
                self.drop(need)

    def _in_order(self) -> list[str]:
        return [job for job in self._jobs if job in self._waiting]

    def _priorities(self) -> dict[str, tuple[bool, tuple[int, ...], bool, float]]:
        """Return a sort key for every waiting job: the lowest is to start first, of equal ones the first added."""
        orders: dict[str, list[tuple[int, ...]]] = {job: [] for job in self._waiting}
        paths = dict.fromkeys(self._waiting, 0.0)
        priorities: dict[str, tuple[bool, tuple[int, ...], bool, float]] = {}
        for id in reversed(self._in_order()):  # dependants before what they need
            job = self._jobs[id]
            order, path = min(orders[id], default=job.order), job.seconds + paths[id]
            for need in job.needs:
                if need in paths:
                    orders[need].append(order)
                    paths[need] = max(paths[need], path)
            priorities[id] = (not job.is_exclusive, order, bool(orders[id]), -path)
        return priorities
