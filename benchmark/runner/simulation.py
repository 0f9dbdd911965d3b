"""How long the jobs of a run take on many devices: the real scheduler on devices whose time is simulated."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmark.runner.scheduler import ScheduledJob, Scheduler

Kill = Callable[[str, float], float | None]
"""Id of a job and the seconds it has left -> the seconds after which its process is killed; None: it is not."""


@dataclass(frozen=True)
class Simulated:
    """What became of simulated jobs."""

    seconds: float
    """Until the last job has ended."""
    busy_seconds: float
    """Of all devices together."""
    kills: int
    failed: tuple[str, ...]
    """Jobs that were killed too often, and those that need them."""


class SimulatedExecutor:
    """Devices on which time passes only when `wait` is called."""

    def __init__(self, devices: int) -> None:
        """Begin with idle devices, at second 0."""
        self.now, self.busy_seconds = 0.0, 0.0
        self._devices = devices
        self._running: list[tuple[float, str, bool]] = []

    @property
    def has_room(self) -> bool:
        """Whether another job can be started."""
        return len(self._running) < self._devices

    def start(self, job: str, seconds: float, *, is_killed: bool) -> None:
        """Start a job that ends, or is killed, after some seconds."""
        heapq.heappush(self._running, (self.now + seconds, job, is_killed))
        self.busy_seconds += seconds

    def wait(self) -> tuple[str, bool]:
        """Let time pass until a job ends; return the job, and whether it was killed."""
        self.now, job, is_killed = heapq.heappop(self._running)
        return job, is_killed


def simulate(
    jobs: Iterable[ScheduledJob],
    devices: int,
    *,
    kill: Kill = lambda _job, _left: None,
    state_seconds: float | None = None,
) -> Simulated:
    """Run jobs on devices of equal speed, each for its estimated seconds.

    Args:
        jobs: Each behind those it needs.
        devices: Number of devices; one job runs on one of them.
        kill: Decides at the start of a job whether its process is killed.
        state_seconds: A killed job goes on from the last multiple of this; None: from its beginning.
    """
    scheduler, executor = Scheduler(devices), SimulatedExecutor(devices)
    left: dict[str, float] = {}
    for job in jobs:
        scheduler.add(job)
        left[job.id] = job.seconds
    kills, failed = 0, list[str]()
    while True:
        while executor.has_room and (id := scheduler.next()):
            killed_after = kill(id, left[id])
            executor.start(id, left[id] if killed_after is None else killed_after, is_killed=killed_after is not None)
            if killed_after is not None and state_seconds is not None:
                left[id] -= killed_after // state_seconds * state_seconds
        if scheduler.is_idle:
            return Simulated(executor.now, executor.busy_seconds, kills, tuple(failed))
        id, is_killed = executor.wait()
        if not is_killed:
            scheduler.finish(id)
            continue
        kills += 1
        if not scheduler.retry_after_death(id):
            failed += [id, *scheduler.fail(id)]


def released_bound(jobs: Sequence[ScheduledJob], devices: int) -> float:
    """Return the seconds that no schedule on this many devices can go below.

    What can begin at second r or later takes until r plus its share of each device, for every r; and the longest chain
    runs one job after the other.

    Args:
        jobs: Each behind those it needs.
        devices: Number of devices.
    """
    ends: dict[str, float] = {}
    work: dict[float, float] = {}
    for job in jobs:
        start = max((ends[need] for need in job.needs), default=0.0)
        ends[job.id] = start + job.seconds
        work[start] = work.get(start, 0.0) + job.seconds
    bound, later = max(ends.values(), default=0.0), 0.0
    for start in sorted(work, reverse=True):
        later += work[start]
        bound = max(bound, start + later / devices)
    return bound
