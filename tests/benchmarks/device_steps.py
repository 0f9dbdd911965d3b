"""Milliseconds of a training step of one network on any device, in each precision, eager and compiled:

    python tests/benchmarks/device_steps.py nafnet --device cuda --batch 8 --patch 256 --steps 30

The network has its size `small` and the degradation head, unless --size says other. gUNet of size t is timed beside the
one written as its authors wrote it (`published`). Prints one line of JSON: for each way the median and interquartile
range of a step, images a second, the largest memory of the device, and the loss of the last step, which shows whether a
lower precision learns the same. A way that the device cannot take has its error there instead.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

WARMUP_STEPS = 3
LR = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone")
    parser.add_argument("--size", default="small")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--eager", action="store_true", help="without the compiled ways, which take minutes on a CPU")
    options = parser.parse_args()
    ways = ["float32", "bfloat16"] + ([] if options.eager else ["float32 compiled", "bfloat16 compiled"])
    ways += ["published"] if (options.backbone, options.size) == ("gunet", "t") else []
    times: dict[str, Any] = {}
    for way in ways:
        try:
            times[way] = timed(way, options, torch.device(options.device))
        except Exception as error:  # out of memory, no such kernel: a result, too
            times[way] = {"error": " ".join(str(error).split())[:300]}
    print(json.dumps({**vars(options), "torch": torch.__version__, "threads": torch.get_num_threads(), "ways": times}))


def timed(way: str, options: argparse.Namespace, device: torch.device) -> dict[str, float]:
    """Return what a step takes; the first steps, in which kernels are compiled and chosen, do not count."""
    from benchmark.inference.device_setup import configure_process

    configure_process(torch.get_num_threads())
    torch.manual_seed(0)
    degraded, target = torch.rand(2, options.batch, 3, options.patch, options.patch).to(device).unbind()
    make_step = published_step if way == "published" else our_step
    step, times_ms, loss = make_step(way, options, degraded, target), list[float](), 0.0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(WARMUP_STEPS + options.steps):
        started = time.perf_counter()
        loss = step().item()  # waits for the device
        times_ms.append(1000 * (time.perf_counter() - started))
    low, median, high = statistics.quantiles(times_ms[WARMUP_STEPS:], n=4)
    figures = {"median_ms": round(median, 3), "interquartile_ms": round(high - low, 3), "last_loss": loss}
    peak = {"peak_bytes": torch.cuda.max_memory_allocated(device)} if device.type == "cuda" else {}
    return figures | {"images_per_s": round(1000 * options.batch / median, 2)} | peak


def our_step(way: str, options: argparse.Namespace, degraded: Tensor, target: Tensor) -> Callable[[], Tensor]:
    from benchmark.experiment.stage import Stage
    from benchmark.model import build
    from benchmark.registry import Registry
    from benchmark.training.objective import make_objective
    from benchmark.training.train_state import make_train_state
    from losses import Batch

    registry = Registry()
    size = registry.find("backbone", options.backbone).sizes[options.size]
    restorer = build({"backbone": {"name": options.backbone, **size}, "head": {"name": "degradation"}}).train()
    settings = {"steps": 1, "batch": options.batch, "patch": options.patch, "lr": LR, "loss": {"l1": 1.0}}
    stage = Stage.model_validate(settings)
    state, objective = make_train_state(restorer, stage, degraded.device), make_objective("coarse", stage, registry)
    degraded, target = (image.contiguous(memory_format=torch.channels_last) for image in (degraded, target))
    batch = Batch(degraded, target, degraded[:, :1], None, None)
    network = torch.compile(restorer) if "compiled" in way else restorer

    def step() -> Tensor:
        state.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(degraded.device.type, torch.bfloat16, enabled="bfloat16" in way):
            restoration = network(batch.degraded)
        loss = objective(restoration, batch)[0]
        loss.backward()
        state.optimizer.step()
        return loss.detach()

    return step


def published_step(_way: str, _options: argparse.Namespace, degraded: Tensor, target: Tensor) -> Callable[[], Tensor]:
    from published_gunet import PublishedGUNet

    network = PublishedGUNet().train().to(degraded.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR)
    image, scaled_target = 2 * degraded - 1, 2 * target - 1

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.l1_loss(network(image), scaled_target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


if __name__ == "__main__":
    main()
