"""The real scheduler on simulated devices: how near it comes to what no schedule can beat."""

import random

import pytest

from benchmark.runner.scheduler import ScheduledJob
from benchmark.runner.simulation import released_bound, simulate


def chain(name: str, *seconds: float, after: str = "", order: tuple[int, int] = (0, 1)) -> list[ScheduledJob]:
    """The stages of a row, one behind the other, and the test of the row, which takes no time."""
    jobs: list[ScheduledJob] = []
    for index, duration in enumerate(seconds):
        needs = (jobs[-1].id,) if jobs else (after,) if after else ()
        jobs.append(ScheduledJob(f"{name} {index}", needs, seconds=duration))
    return [*jobs, ScheduledJob(f"test of {name}", tuple(job.id for job in jobs), order)]


def ablations(rows: int, seeds: int) -> list[ScheduledJob]:
    """The shape of a study: rows of three stages, some that share stages with the base row, one of a single stage."""
    jobs: list[ScheduledJob] = []
    for seed in range(seeds):
        jobs += chain(f"base{seed}", 100, 50, 30, order=(seed, 0))
        for row in range(rows):
            jobs += chain(f"row{row} {seed}", 100, 50, 30, order=(seed, 1))
        jobs += chain(f"last{seed}", 30, after=f"base{seed} 1", order=(seed, 1))
        jobs += chain(f"swapped{seed}", 30, 50, after=f"base{seed} 0", order=(seed, 1))
        jobs += chain(f"long{seed}", 180, order=(seed, 1))
    return jobs


def search() -> list[ScheduledJob]:
    """24 trials over the last stage, below three settings of the stage before, below one first stage."""
    jobs = [ScheduledJob("first", seconds=100)]
    for middle in range(3):
        jobs.append(ScheduledJob(f"middle{middle}", ("first",), seconds=50))
        for trial in range(8):
            jobs += chain(f"trial{middle}{trial}", 30, after=f"middle{middle}")
    return jobs


@pytest.mark.parametrize("devices", [1, 4, 16, 64])
@pytest.mark.parametrize("jobs", [ablations(18, 3), ablations(5, 5), search()], ids=["full", "short", "search"])
def test_no_schedule_is_much_shorter(jobs: list[ScheduledJob], devices: int) -> None:
    """Seed by seed with the base row first, and still within 8 % of the bound, or of the optimum where that is known.

    18 rows of three seeds on 64 devices: any schedule that ends before 210 must run more than 64 jobs just before 180.
    """
    optimum = 210.0 if len(jobs) == len(ablations(18, 3)) and devices == 64 else released_bound(jobs, devices)
    assert optimum <= simulate(jobs, devices).seconds <= 1.08 * optimum


@pytest.mark.parametrize(("devices", "bound"), [(4, 330.0), (16, 195.0), (64, 180.0)])
def test_the_bound_knows_that_devices_idle_behind_a_shared_stage(devices: int, bound: float) -> None:
    """All trials of a search wait for its first stage, so work divided by devices says too little."""
    assert released_bound(search(), devices) == bound


@pytest.mark.parametrize("devices", [1, 4, 16, 64])
def test_kills_cost_little_where_stages_go_on_from_stored_states(devices: int) -> None:
    """One job of twenty is killed once, at any moment: at most a tenth longer, whichever jobs they are."""
    jobs = ablations(18, 3)
    undisturbed = simulate(jobs, devices).seconds
    for seed in range(10):
        rng = random.Random(seed)
        victims = {job.id for job in rng.sample([job for job in jobs if job.seconds], 10)}

        def kill(job: str, left: float, victims: set[str] = victims, rng: random.Random = rng) -> float | None:
            if job not in victims:
                return None
            victims.remove(job)
            return left * rng.random()

        killed = simulate(jobs, devices, kill=kill, state_seconds=5)
        assert killed.kills == 10 and killed.failed == ()
        assert killed.seconds <= 1.10 * undisturbed


def test_a_job_killed_three_times_fails_with_all_that_need_it() -> None:
    """The other rows go on, and the time of each attempt counts."""
    jobs = [*chain("bad", 10, 5), *chain("good", 7)]
    outcome = simulate(jobs, 1, kill=lambda job, left: left / 2 if job == "bad 0" else None)
    assert outcome.failed == ("bad 0", "bad 1", "test of bad")
    assert outcome.kills == 3 and outcome.seconds == outcome.busy_seconds == 3 * 5 + 7


def test_a_killed_job_keeps_what_it_stored() -> None:
    """Of 10 seconds, killed after 7 with a state every 2 seconds, 4 are left: 7 + 4."""
    kills = iter([7.0])
    outcome = simulate(chain("row", 10), 1, kill=lambda job, left: next(kills, None) if left else None, state_seconds=2)
    assert outcome.seconds == 11.0


def test_a_long_chain_starts_before_rows_that_the_user_would_rather_see() -> None:
    """Where it would keep one device busy at the end while the other idles; else the order of rows holds."""
    jobs = [*chain("base", 1, order=(0, 0)), *chain("late", 9, order=(1, 1)), *chain("early", 4, 4, order=(0, 1))]
    assert simulate(jobs, 2).seconds == 9.0
    assert simulate(jobs, 1).seconds == 18.0
