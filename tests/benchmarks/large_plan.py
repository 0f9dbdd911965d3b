"""Seconds and memory of a plan of 10,000 stages: 500 rows x 5 seeds x 4 stages, in a process of its own.

    python tests/benchmarks/large_plan.py

Prints JSON: wall and CPU seconds from the text of the experiment file to the plan, without the imports before them; the
seconds that the scheduler needs to run all jobs on 64 simulated devices; stages; and the most memory of the process.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

import torch  # noqa: E402

from benchmark.cli.experiment_setup import prepare  # noqa: E402
from benchmark.cli.options import Selection  # noqa: E402
from benchmark.gates.cost import peak_memory_bytes  # noqa: E402
from benchmark.runner.row_jobs import training_jobs  # noqa: E402
from benchmark.runner.simulation import simulate  # noqa: E402

ROWS, SEEDS = 500, 5
HEAD = """\
name: large
data:
  train: {source: synthetic_faces, preset: contest, count: 8, size: 64, seed: 0}
  val: {source: synthetic_faces, preset: contest, count: 2, size: 64, seed: 1}
  test: {source: synthetic_faces, preset: contest, count: 2, size: 64, seed: 2}
photographs: false
model:
  backbone: {name: dncnn, size: tiny}
  head: {name: residual}
protocol:
  order: [one, two, three, four]
"""
STAGE = "  {name}: {{steps: 1000, batch: 2, patch: 32, lr: 0.01, loss: {{l1: 1.0}}, augment: {{flip: {{}}}}}}\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCHMARK_CACHE"] = folder
        file = Path(folder) / "large.yaml"
        file.write_text(experiment())
        started = time.perf_counter(), time.process_time()
        plan = prepare(Selection(file, Path(folder) / "large", (), (), (), "cpu", (), replace=False)).plan
        planned = time.perf_counter(), time.process_time()
    jobs = training_jobs(plan.rows, {key: 1.0 + len(key) for key in plan.stages})
    simulate(jobs, 64)
    measured = {
        "stages": len(plan.stages),
        "seconds": round(planned[0] - started[0], 2),
        "cpu_seconds": round(planned[1] - started[1], 2),
        "scheduler_cpu_seconds": round(time.process_time() - planned[1], 2),
        "peak_megabytes": peak_memory_bytes(torch.device("cpu")) // 10**6,
    }
    print(json.dumps(measured))


def experiment() -> str:
    """Return a file whose rows each have a first stage of their own, so that no stage is shared."""
    stages = "".join(STAGE.format(name=name) for name in ("one", "two", "three", "four"))
    rows = "".join(f"    row{row}: {{protocol.one.lr: {1e-5 * (row + 1):.3g}}}\n" for row in range(ROWS - 1))
    seeds = [*range(SEEDS)]
    return f"{HEAD}{stages}seeds: {seeds}\ntables:\n  rates:\n{rows}"


if __name__ == "__main__":
    main()
