"""What the training loop adds to a bare one, in percent, in a process set up as training is:

    OMP_NUM_THREADS=2 python tests/benchmarks/harness_overhead.py 6

The bare loop has the same network (gUNet-T), losses, patches and optimiser, and gets its batches ready made: all that
reading, reports, snapshots and checks cost counts as added. Batch 4, patch 128, float32, loops of 20 steps, A B B A in
each round. Prints, for each round, the percentage of wall time and that of the process's CPU time; the latter, with
one thread, is what other programs on the machine disturb least.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

STEPS = 20  # two reports
SETTINGS = {"steps": STEPS, "batch": 4, "patch": 128, "lr": 1e-4, "loss": {"l1": 1.0}}


def main(rounds: int) -> None:
    from benchmark.inference.device_setup import configure_process

    configure_process(torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        bare, harness = loops(Path(folder))
        for loop in (bare, harness):
            loop()
        print(json.dumps([one_round(bare, harness) for _ in range(rounds)]))


def one_round(bare: Callable[[], object], harness: Callable[[], object]) -> tuple[float, float]:
    """By how many percent the harness takes longer: in wall time, and in CPU time."""
    first, second, third, last = (seconds(loop) for loop in (bare, harness, harness, bare))
    wall, cpu = (100 * ((second[kind] + third[kind]) / (first[kind] + last[kind]) - 1) for kind in range(2))
    return round(wall, 2), round(cpu, 2)


def loops(folder: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    from benchmark.data.cache import cached
    from benchmark.data.sampling import Sampler
    from benchmark.data.sources.synthetic_faces import SyntheticFaces
    from benchmark.experiment.stage import Stage
    from benchmark.model import build
    from benchmark.registry import Registry
    from benchmark.training.batches import batch_at, to_device
    from benchmark.training.loop import train
    from benchmark.training.objective import make_objective
    from benchmark.training.train_state import make_train_state

    cpu, stage = torch.device("cpu"), Stage.model_validate(SETTINGS)
    source = cached(SyntheticFaces("severe", count=6, size=256), folder, 1)
    sampler = Sampler(source, 0, "coarse", stage.patch, [])
    objective = make_objective("coarse", stage, Registry())
    size = Registry().find("backbone", "gunet").sizes["t"]
    model = {"backbone": {"name": "gunet", **size}, "head": {"name": "degradation"}}
    states = [make_train_state(build(model).train(), stage, cpu) for _ in range(2)]
    ready = [to_device(batch_at(sampler, step, stage.batch), cpu, torch.channels_last) for step in range(1, STEPS + 1)]

    def bare() -> None:
        for batch in ready:
            loss, _ = objective(states[0].restorer(batch.degraded), batch)
            states[0].optimizer.zero_grad(set_to_none=True)
            loss.backward()
            states[0].optimizer.step()

    return bare, lambda: train(states[1], objective, sampler, stage, cpu)


def seconds(loop: Callable[[], object]) -> tuple[float, float]:
    """Wall time and CPU time of a loop."""
    started = time.perf_counter(), time.process_time()
    loop()
    return time.perf_counter() - started[0], time.process_time() - started[1]


if __name__ == "__main__":
    main(int(sys.argv[1]))
