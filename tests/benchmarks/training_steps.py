"""Milliseconds of a training step of gUNet-T, in a process of its own:

    python tests/benchmarks/training_steps.py ours 8

Batch 4, patch 128, float32. `published`: as its authors wrote it, with plain AdamW, the default memory layout and the
allocator as the system has it. `ours` and `compiled`: as this project trains it. Prints a list without the first step.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]


def main(kind: str, steps: int) -> None:
    torch.manual_seed(0)
    degraded, target = torch.rand(2, 4, 3, 128, 128).unbind()
    step = published_step(degraded, target) if kind == "published" else our_step(degraded, target, kind == "compiled")
    times_ms: list[float] = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        step()
        times_ms.append(1000 * (time.perf_counter() - started))
    print(json.dumps(times_ms[1:]))


def published_step(degraded: Tensor, target: Tensor) -> Callable[[], object]:
    from published_gunet import PublishedGUNet

    network = PublishedGUNet().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    image, wanted = 2 * degraded - 1, 2 * target - 1

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.l1_loss(network(image), wanted).backward()
        optimizer.step()

    return step


def our_step(degraded: Tensor, target: Tensor, is_compiled: bool) -> Callable[[], object]:
    from benchmark.experiment.stage import Stage
    from benchmark.inference.device_setup import configure_process
    from benchmark.model import build
    from benchmark.registry import Registry
    from benchmark.training.objective import make_objective
    from benchmark.training.train_state import make_train_state
    from losses import Batch

    configure_process(torch.get_num_threads())
    size = Registry().find("backbone", "gunet").sizes["t"]
    head = {"name": "residual", "padding": "reflect"}
    restorer = build({"backbone": {"name": "gunet", **size}, "head": head}).train()
    stage = Stage.model_validate({"steps": 1, "batch": 4, "patch": 128, "lr": 1e-4, "loss": {"l1": 1.0}})
    state = make_train_state(restorer, stage, torch.device("cpu"))
    objective = make_objective("coarse", stage, Registry())
    images = [image.contiguous(memory_format=torch.channels_last) for image in (degraded, target)]
    batch = Batch(images[0], images[1], degraded[:, :1], None, None)
    network = torch.compile(restorer) if is_compiled else restorer

    def step() -> None:
        state.optimizer.zero_grad(set_to_none=True)
        objective(network(batch.degraded), batch)[0].backward()
        state.optimizer.step()

    return step


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
