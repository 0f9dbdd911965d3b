"""How fast the small networks train and patches are read: `make bench`, for comparing two states of the code."""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.data.sampling import Sampler
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.experiment.stage import Stage
from benchmark.model import build
from benchmark.registry import Registry
from benchmark.training.batches import batch_at
from benchmark.training.loop import train
from benchmark.training.objective import make_objective
from benchmark.training.train_state import make_train_state

STEPS, ROUNDS = 10, 5
STEPS_SCRIPT = Path(__file__).with_name("training_steps.py")
OVERHEAD_SCRIPT = Path(__file__).with_name("harness_overhead.py")


@pytest.fixture
def sampler(pairs: Path) -> Sampler:
    return Sampler(PairedFolders(pairs / "train/degraded", pairs / "train/target"), 0, "coarse", 64, [])


@pytest.mark.parametrize("name", ["gunet", "nafnet", "restormer_lite"])
def test_ten_training_steps(benchmark: Any, sampler: Sampler, name: str) -> None:
    """The whole loop: reading, network, losses, optimiser; batch 4 of 64-pixel patches."""
    sizes = Registry().find("backbone", name).sizes
    restorer = build({"backbone": {"name": name, **sizes["tiny"]}, "head": {"name": "degradation"}})
    stage = Stage.model_validate({"steps": STEPS, "batch": 4, "patch": 64, "lr": 1e-4, "loss": {"l1": 1.0}})
    objective, cpu = make_objective("coarse", stage, Registry()), torch.device("cpu")

    def train_ten() -> None:
        train(make_train_state(restorer, stage, cpu), objective, sampler, stage, cpu)

    benchmark.pedantic(train_ten, rounds=5, warmup_rounds=1)


def test_a_batch_of_patches(benchmark: Any, sampler: Sampler) -> None:
    """Decoding and cropping without a cache; the cache makes it faster still."""
    assert benchmark(batch_at, sampler, 1, 8).degraded.shape == (8, 64, 64, 3)


@pytest.mark.parametrize("kind", ["ours", pytest.param("compiled", marks=pytest.mark.slow)])
def test_a_step_of_gunet_t_beside_the_published_one(benchmark: Any, kind: str) -> None:
    """Batch 4, patch 128, float32, each in processes of its own; wants OMP_NUM_THREADS=2 and a quiet machine.

    Interleaved A B B A, so that whatever else the machine does falls on both; the ratio of the medians is what counts.
    """
    times_ms: dict[str, list[float]] = {"published": [], kind: []}

    def four() -> None:
        for one in ("published", kind, kind, "published"):
            command = [sys.executable, str(STEPS_SCRIPT), one, str(STEPS)]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
            times_ms[one] += json.loads(done.stdout)

    benchmark.pedantic(four, rounds=ROUNDS)
    published_ms, ours_ms = (statistics.median(times_ms[one]) for one in ("published", kind))
    medians = {"published_ms": published_ms, "ours_ms": ours_ms}
    benchmark.extra_info.update(medians, ratio=published_ms / ours_ms, threads=torch.get_num_threads())


def test_what_the_harness_adds_to_a_bare_loop(benchmark: Any) -> None:
    """`train` beside a plain loop with the same network, losses, patches and optimiser: `extra_info`, in percent."""
    found_percent: list[tuple[float, float]] = []

    def one_process() -> None:
        command = [sys.executable, str(OVERHEAD_SCRIPT), str(ROUNDS)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
        found_percent.extend(json.loads(done.stdout))

    benchmark.pedantic(one_process, rounds=1)
    wall, cpu = (statistics.median(one) for one in zip(*found_percent, strict=True))
    benchmark.extra_info.update(overhead_percent=wall, overhead_cpu_percent=cpu, rounds_percent=found_percent)
    assert len(found_percent) == ROUNDS
