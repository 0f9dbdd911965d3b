"""Table: how long the scheduler keeps many devices busy, beside what no schedule can beat.

    python tests/benchmarks/makespan_table.py

The real scheduler on simulated devices of equal speed. A stage takes as long as it has steps; rows whose steps take
longer than others are not told apart. `killed`: 5 % of the jobs, once each, at a random moment; they go on from a state
that is stored every 5,000 steps; mean and worst of 50 draws beside the undisturbed run.
"""

import random
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from benchmark.cli.experiment_setup import prepare  # noqa: E402
from benchmark.cli.options import Selection  # noqa: E402
from benchmark.runner.row_jobs import training_jobs  # noqa: E402
from benchmark.runner.scheduler import ScheduledJob  # noqa: E402
from benchmark.runner.simulation import Simulated, released_bound, simulate  # noqa: E402

DEVICES = (1, 4, 16, 64)
DRAWS, KILLED_SHARE, STATE_STEPS = 50, 0.05, 5000.0


def main() -> None:
    print(__doc__)
    print(f"{'shape':12} {'devices':>7} {'bound, steps':>13} {'makespan/bound':>14}   killed/undisturbed: mean, worst")
    for name, jobs in {"gunet_full": gunet_full(), "24 trials": search()}.items():
        for devices in DEVICES:
            bound, undisturbed = released_bound(jobs, devices), simulate(jobs, devices).seconds
            ratios = [simulate_kills(jobs, devices, seed).seconds / undisturbed for seed in range(DRAWS)]
            kills = f"{sum(ratios) / len(ratios):.3f} {max(ratios):.3f}"
            print(f"{name:12} {devices:7} {bound:13,.0f} {undisturbed / bound:14.3f}   {kills:>13}")


def gunet_full() -> list[ScheduledJob]:
    """All rows and seeds of experiments/gunet_full.yaml with all their steps."""
    file = ROOT / "experiments/gunet_full.yaml"
    plan = prepare(Selection(file, None, (), (), (), "cpu", (), replace=False)).whole
    return training_jobs(plan.rows, {key: float(stage.steps) for key, stage in plan.stages.items()})


def search() -> list[ScheduledJob]:
    """24 trials: eight settings of the last stage, below three of the second, below one first stage."""
    jobs = [ScheduledJob("first", seconds=100_000.0)]
    for second in range(3):
        jobs.append(ScheduledJob(f"second {second}", ("first",), seconds=50_000.0))
        jobs += [ScheduledJob(f"last {second} {n}", (f"second {second}",), seconds=30_000.0) for n in range(8)]
    return jobs


def simulate_kills(jobs: Sequence[ScheduledJob], devices: int, seed: int) -> Simulated:
    """Simulate a run in which a share of the jobs is killed once."""
    rng, trained = random.Random(seed), [job.id for job in jobs if job.seconds]
    victims = set(rng.sample(trained, round(KILLED_SHARE * len(trained))))

    def kill(job: str, left: float) -> float | None:
        if job not in victims:
            return None
        victims.remove(job)
        return left * rng.random()

    return simulate(jobs, devices, kill=kill, state_seconds=STATE_STEPS)


if __name__ == "__main__":
    main()
