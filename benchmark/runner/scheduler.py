"""The scheduler: which jobs are ready, which run, which failed, and which comes next.

It starts no process and reads no file. Its callers report what happened and ask what may start. It takes, of the ready
jobs,

1. exclusive jobs, which run while nothing else runs;
2. a job whose remaining path takes longer than an equal share of all waiting work would take each slot: left for
   later, it would keep one slot busy at the end while the others idle;
3. jobs of the base row before jobs of other rows, and one seed after the other (`order`);
4. jobs that complete a row, since their results are what the user waits for;
5. the job with the longest remaining path, in estimated seconds.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator
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


@dataclass(frozen=True)
class JobCounts:
    """How many jobs of a run are in each state; those that were dropped are in none."""

    waiting: int
    running: int
    finished: int
    failed: int


class Scheduler:
    """The state of all jobs of a run. Jobs may be added at any time."""

    def __init__(self, slots: int = 1) -> None:
        """Begin without jobs. `slots`: how many jobs run side by side, which decides on rule 2 alone."""
        self.slots = slots
        self._jobs: dict[str, ScheduledJob] = {}  # in the order of adding: a job stands behind its needs
        self._dependants: defaultdict[str, set[str]] = defaultdict(set)
        self._unmet: dict[str, int] = {}
        """Needs of each waiting job that have not finished."""
        self._running: set[str] = set()
        self._finished: set[str] = set()
        self._failed: dict[str, str] = {}
        self._deaths = Counter[str]()
        self._queue = _ReadyQueue()

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
            self._wait(job)
            for need in job.needs:
                self._dependants[need].add(job.id)

    def next(self) -> str | None:
        """Return the id of the job to start now, which counts as running from then on; None: nothing may start."""
        if any(self._jobs[job].is_exclusive for job in self._running):
            return None
        if not self._queue.is_current:
            self._queue = _ReadyQueue.of([self._jobs[job] for job in self._in_order()], self._unmet)
        first = self._queue.first(self._unmet, self.slots)
        if first is None or (self._jobs[first].is_exclusive and self._running):
            return None
        del self._unmet[first]
        self._queue.waiting_seconds -= self._jobs[first].seconds
        self._running.add(first)
        return first

    def finish(self, job: str) -> None:
        """Note that a running job has finished: what it makes is stored."""
        self._running.remove(job)
        self._finished.add(job)
        for dependant in self._dependants[job] & self._unmet.keys():
            self._unmet[dependant] -= 1
            if not self._unmet[dependant]:
                self._queue.push(dependant)

    def fail(self, job: str) -> list[str]:
        """Note that a job has failed; return the waiting jobs that need it, and have now failed with it.

        These are in the order of adding. Jobs that only they needed are dropped.
        """
        self._running.discard(job)
        self._unmet.pop(job, None)
        self._failed[job] = job
        dependants = {job}
        while more := {other for need in dependants for other in self._dependants[need] & self._unmet.keys()}:
            for other in more:
                self._failed[other] = job
                del self._unmet[other]
            dependants |= more
        dependants.remove(job)
        for other in dependants:
            self._drop_needs(other)
        self._queue.is_current = False
        return [other for other in self._jobs if other in dependants]

    def retry_after_death(self, job: str) -> bool:
        """Note that the process of a running job died; return whether the job will be tried again."""
        self._deaths[job] += 1
        if self._deaths[job] > RETRIES:
            return False
        self._running.remove(job)
        self._wait(self._jobs[job])
        return True

    def wait_again(self, job: str) -> None:
        """Note that a running job ended before it was done; it waits to be started again."""
        self._running.remove(job)
        self._wait(self._jobs[job])

    def drop(self, job: str) -> None:
        """Forget a waiting job, and the waiting jobs that only it needed."""
        del self._unmet[job]
        self._drop_needs(job)
        for need in self._jobs[job].needs:
            self._dependants[need].discard(job)
        del self._jobs[job]
        self._queue.is_current = False

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

    @property
    def counts(self) -> JobCounts:
        """How many jobs are in each state."""
        return JobCounts(len(self._unmet), len(self._running), len(self._finished), len(self._failed))

    def _wait(self, job: ScheduledJob) -> None:
        self._unmet[job.id] = len(set(job.needs) - self._finished)
        self._queue.is_current = False

    def _drop_needs(self, job: str) -> None:
        for need in self._jobs[job].needs:
            if need in self._unmet and not self._dependants[need] & self._unmet.keys():
                self.drop(need)

    def _in_order(self) -> Iterator[str]:
        return (job for job in self._jobs if job in self._unmet)


class _ReadyQueue:
    """The ready jobs by rank and by remaining path, for as long as no waiting job is added or taken away."""

    def __init__(self) -> None:
        """Begin empty, and out of date."""
        self.is_current = False
        self.waiting_seconds = 0.0
        """Of all waiting jobs, ready or not."""
        self._ranks: dict[str, tuple[bool, tuple[int, ...], bool, float, int]] = {}
        """Of every waiting job: the lowest is to start first, of equal ones the first added."""
        self._by_rank: list[tuple[tuple[bool, tuple[int, ...], bool, float, int], str]] = []
        self._by_path: list[tuple[float, int, str]] = []

    @classmethod
    def of(cls, waiting: list[ScheduledJob], unmet: dict[str, int]) -> "_ReadyQueue":
        """Return the queue of the waiting jobs, each of which stands behind its needs; `unmet`: needs by job."""
        queue = cls()
        orders: dict[str, list[tuple[int, ...]]] = {job.id: [] for job in waiting}
        paths = dict.fromkeys(orders, 0.0)
        for place in range(len(waiting) - 1, -1, -1):  # dependants before what they need
            job = waiting[place]
            order, path = min(orders[job.id], default=job.order), job.seconds + paths[job.id]
            for need in job.needs:
                if need in paths:
                    orders[need].append(order)
                    paths[need] = max(paths[need], path)
            queue._ranks[job.id] = (not job.is_exclusive, order, bool(orders[job.id]), -path, place)
            queue.waiting_seconds += job.seconds
            if not unmet[job.id]:
                queue.push(job.id)
        queue.is_current = True
        return queue

    def push(self, job: str) -> None:
        """Add a job that is ready now."""
        if rank := self._ranks.get(job):
            heapq.heappush(self._by_rank, (rank, job))
            heapq.heappush(self._by_path, (*rank[-2:], job))

    def first(self, waiting: dict[str, int], slots: int) -> str | None:
        """Return the job to start first, without taking it away; None: no job is ready."""
        while self._by_rank and self._by_rank[0][1] not in waiting:
            heapq.heappop(self._by_rank)
        while self._by_path and self._by_path[0][-1] not in waiting:
            heapq.heappop(self._by_path)
        if not self._by_rank:
            return None
        (is_shared, *_), first = self._by_rank[0]
        path, _, longest = self._by_path[0]
        return longest if is_shared and -path > self.waiting_seconds / slots else first
