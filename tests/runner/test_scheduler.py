"""The scheduler: which jobs may start, in which order, and what a failure means for the others."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.runner.scheduler import RETRIES, ScheduledJob, Scheduler


def scheduler_of(*jobs: ScheduledJob) -> Scheduler:
    scheduler = Scheduler()
    for job in jobs:
        scheduler.add(job)
    return scheduler


def run_alone(scheduler: Scheduler) -> list[str]:
    """Run all jobs one after the other; return their ids in the order of starting."""
    started: list[str] = []
    while job := scheduler.next():
        started.append(job)
        scheduler.finish(job)
    return started


def test_the_base_row_comes_first_and_seeds_one_after_the_other() -> None:
    """What a job needs inherits its order, whatever the order of adding and the estimates."""
    jobs = []
    for seed in (0, 1):
        for row in ("long", "base"):
            stage = ScheduledJob(f"{row}{seed} stage", seconds=9.0 if row == "long" else 1.0)
            jobs += [stage, ScheduledJob(f"{row}{seed} test", (stage.id,), (seed, int(row != "base")))]
    assert run_alone(scheduler_of(*jobs)) == [
        f"{row}{seed} {job}" for seed in (0, 1) for row in ("base", "long") for job in ("stage", "test")
    ]


def test_a_shared_stage_has_the_order_of_the_first_row_that_needs_it() -> None:
    """Also if a row of a later seed was added before."""
    jobs = [ScheduledJob("other"), ScheduledJob("shared")]
    jobs += [ScheduledJob("late", ("shared",), (1, 1)), ScheduledJob("middle", ("other",), (0, 1))]
    jobs += [ScheduledJob("early", ("shared",), (0, 0))]
    assert run_alone(scheduler_of(*jobs)) == ["shared", "early", "other", "middle", "late"]


def test_the_longest_remaining_path_comes_first() -> None:
    """A short stage with a long one behind it comes before a stage of middle length."""
    jobs = [
        ScheduledJob("middle", seconds=5),
        ScheduledJob("short", seconds=1),
        ScheduledJob("long", ("short",), seconds=9),
    ]
    jobs += [ScheduledJob("test of middle", ("middle",)), ScheduledJob("test of long", ("long",))]
    scheduler = scheduler_of(*jobs)
    assert [scheduler.next(), scheduler.next(), scheduler.next()] == ["short", "middle", None]


def test_a_job_that_completes_a_row_comes_before_others() -> None:
    """The user waits for results, and a test is short."""
    scheduler = scheduler_of(ScheduledJob("a"), ScheduledJob("b", seconds=9), ScheduledJob("test a", ("a",)))
    scheduler.add(ScheduledJob("test b", ("b",)))
    assert scheduler.next() == "b"
    assert scheduler.next() == "a"
    scheduler.finish("a")
    scheduler.add(ScheduledJob("c", seconds=99))
    scheduler.add(ScheduledJob("test c", ("c",)))
    assert scheduler.next() == "test a"


def test_an_exclusive_job_runs_while_nothing_else_runs() -> None:
    """It waits for running jobs, nothing overtakes it meanwhile, and nothing starts beside it."""
    scheduler = scheduler_of(ScheduledJob("a"), ScheduledJob("b"))
    assert scheduler.next() == "a"
    scheduler.add(ScheduledJob("measure", is_exclusive=True))
    assert scheduler.next() is None
    scheduler.finish("a")
    assert scheduler.next() == "measure"
    assert scheduler.next() is None
    scheduler.finish("measure")
    assert scheduler.next() == "b"


def test_a_failed_job_fails_all_that_need_it() -> None:
    """Directly or not, also those that are added later; what only they needed is dropped, the others go on."""
    scheduler = scheduler_of(
        ScheduledJob("bad"),
        ScheduledJob("good"),
        ScheduledJob("child", ("bad",)),
        ScheduledJob("only for child's test"),
        ScheduledJob("test of child", ("child", "only for child's test")),
        ScheduledJob("test of good", ("good",)),
    )
    assert scheduler.next() == "bad"
    assert scheduler.fail("bad") == ["child", "test of child"]
    scheduler.add(ScheduledJob("late", ("child",)))
    assert [scheduler.cause(job) for job in ("bad", "child", "late", "good")] == ["bad", "bad", "bad", None]
    assert run_alone(scheduler) == ["good", "test of good"]


def test_a_job_whose_process_died_is_tried_again_twice() -> None:
    """Then it is for the caller to fail it."""
    scheduler = scheduler_of(ScheduledJob("a"))
    for _ in range(RETRIES):
        assert scheduler.next() == "a"
        assert scheduler.retry_after_death("a")
    assert scheduler.next() == "a"
    assert not scheduler.retry_after_death("a")
    assert scheduler.fail("a") == []
    assert scheduler.is_idle and scheduler.next() is None and scheduler.cause("a") == "a"


def test_a_dropped_job_takes_along_what_only_it_needed() -> None:
    """What others need stays; a dropped job may be added again."""
    jobs = [ScheduledJob("shared"), ScheduledJob("own", ("shared",))]
    jobs += [ScheduledJob("test", ("own",)), ScheduledJob("other test", ("shared",))]
    scheduler = scheduler_of(*jobs)
    scheduler.drop("test")
    assert [scheduler.knows(job.id) for job in jobs] == [True, False, False, True]
    scheduler.add(jobs[1])
    assert run_alone(scheduler) == ["shared", "other test", "own"]


def test_a_job_cannot_need_what_is_not_known() -> None:
    """It would wait for ever."""
    with pytest.raises(ValueError, match="needs b, which was never added"):
        Scheduler().add(ScheduledJob("a", ("b",)))


@st.composite
def graphs(draw: st.DrawFn) -> list[ScheduledJob]:
    """Up to twelve jobs that need any of those before them."""
    jobs: list[ScheduledJob] = []
    for index in range(draw(st.integers(1, 12))):
        needs = draw(st.sets(st.sampled_from([job.id for job in jobs]), max_size=3)) if jobs else set[str]()
        order = (draw(st.integers(0, 2)), draw(st.integers(0, 1)))
        seconds, is_exclusive = draw(st.floats(0, 9)), draw(st.integers(0, 4)) == 0
        jobs.append(ScheduledJob(str(index), tuple(sorted(needs)), order, seconds, is_exclusive))
    return jobs


class Simulation:
    """Workers that finish, fail or lose their process at random, while jobs are added."""

    def __init__(self, jobs: list[ScheduledJob], rng: random.Random) -> None:
        self.scheduler, self.jobs, self.rng = Scheduler(), {job.id: job for job in jobs}, rng
        self.running, self.finished, self.failed = list[str](), list[str](), dict[str, str]()

    def add(self, id: str) -> None:
        for need in self.jobs[id].needs:
            if not self.scheduler.knows(need):  # it was dropped
                self.add(need)
        self.scheduler.add(self.jobs[id])
        if cause := self.scheduler.cause(id):
            self.failed.setdefault(id, cause)

    def start(self, workers: int) -> None:
        while len(self.running) < workers and (id := self.scheduler.next()):
            assert all(need in self.finished for need in self.jobs[id].needs)
            self.running.append(id)
            assert len(self.running) == 1 or not any(self.jobs[other].is_exclusive for other in self.running)

    def end_one(self) -> None:
        id, fate = self.running.pop(self.rng.randrange(len(self.running))), self.rng.random()
        if fate < 0.15 and self.scheduler.retry_after_death(id):
            return
        if fate < 0.3:
            ended = (id, *self.scheduler.fail(id))
            assert not self.failed.keys() & set(ended)
            self.failed |= dict.fromkeys(ended, id)
        else:
            self.scheduler.finish(id)
            self.finished.append(id)


@given(graphs(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_every_job_ends_once_and_after_its_needs(jobs: list[ScheduledJob], workers: int, rng: random.Random) -> None:
    """However jobs end: each ends once, needs come first, and a failure reaches all dependants and nobody else."""
    simulation, waiting = Simulation(jobs, rng), [job.id for job in jobs]
    while waiting or simulation.running:
        while waiting and (not simulation.running or rng.random() < 0.6):
            simulation.add(waiting.pop(0))
            simulation.start(workers)
        if simulation.running:
            simulation.end_one()
            simulation.start(workers)
    finished, failed = simulation.finished, simulation.failed
    assert simulation.scheduler.is_idle
    assert len(finished) == len(set(finished)) and not set(finished) & failed.keys()
    assert not [job for job in jobs if job.id in finished and any(need in failed for need in job.needs)]
    assert all(cause == id or set(simulation.jobs[id].needs) & failed.keys() for id, cause in failed.items())
    for id in simulation.jobs.keys() - set(finished) - failed.keys():  # dropped, because only failed jobs needed it
        dependants = [job.id for job in jobs if id in job.needs]
        assert dependants and not set(dependants) & set(finished)
