"""How fast the small networks train and patches are read: `make bench`, for comparing two states of the code."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.data.sampling import Sampler
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.experiment.stage import Stage
from benchmark.model import build
from benchmark.registry import Registry
from benchmark.training.batches import batch_at, to_device
from benchmark.training.fit import fit
from benchmark.training.learner import make_learner
from benchmark.training.objective import make_objective

STEPS, ROUNDS = 10, 5
STEPS_SCRIPT = Path(__file__).with_name("training_steps.py")


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

    def train() -> None:
        list(fit(make_learner(restorer, stage, cpu), objective, sampler, stage, cpu))

    benchmark.pedantic(train, rounds=5, warmup_rounds=1)


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


def test_what_the_harness_adds_to_a_bare_loop(benchmark: Any, pairs: Path) -> None:
    """`fit` beside a plain loop with the same network, losses, patches and optimiser: `extra_info`, in percent.

    The plain loop gets its batches ready made, so what reading them costs counts as the harness's own.
    """
    cpu, steps = torch.device("cpu"), 2 * STEPS  # two reports
    source = PairedFolders(pairs / "train/degraded", pairs / "train/target")
    sampler = Sampler(source, 0, "coarse", 64, [])
    settings = {"steps": steps, "batch": 4, "patch": 64, "lr": 1e-4, "loss": {"l1": 1.0}}
    stage = Stage.model_validate(settings)
    objective = make_objective("coarse", stage, Registry())
    size = Registry().find("backbone", "gunet").sizes["t"]
    model = {"backbone": {"name": "gunet", **size}, "head": {"name": "degradation"}}
    learners = [make_learner(build(model), stage, cpu) for _ in range(2)]
    ready = [to_device(batch_at(sampler, step, 4), cpu, torch.channels_last) for step in range(1, steps + 1)]

    def bare() -> None:
        learner = learners[0]
        learner.restorer.train()
        for batch in ready:
            loss, _ = objective(learner.restorer(batch.degraded), batch)
            learner.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            learner.optimizer.step()

    def harness() -> None:
        list(fit(learners[1], objective, sampler, stage, cpu))

    times_s: dict[Callable[[], None], list[float]] = {bare: [], harness: []}

    def four() -> None:
        for loop in (bare, harness, harness, bare):
            started = time.perf_counter()
            loop()
            times_s[loop].append(time.perf_counter() - started)

    benchmark.pedantic(four, rounds=ROUNDS, warmup_rounds=1)
    bare_s, harness_s = (statistics.median(times_s[loop][2:]) for loop in (bare, harness))
    benchmark.extra_info.update(bare_s=bare_s, harness_s=harness_s, overhead_percent=100 * (harness_s / bare_s - 1))
