"""How fast the small networks train and patches are read: `make bench`, for comparing two states of the code."""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmark.data.sampling import Sampler
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.experiment.stage import Stage
from benchmark.model import build
from benchmark.registry import Registry
from benchmark.training.batches import batch_at
from benchmark.training.fit import fit
from benchmark.training.learner import make_learner
from benchmark.training.objective import make_objective
from losses import Batch

sys.path.append(str(Path(__file__).parent))
from published_gunet import PublishedGUNet

STEPS, ROUNDS = 10, 5


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


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_step_of_gunet_t_beside_the_published_one(benchmark: Any, compiled: bool) -> None:
    """Batch 4, patch 128, float32, one allocator; wants OMP_NUM_THREADS=2 and a quiet machine.

    Interleaved A B B A, so that whatever else the machine does falls on both; the ratio of the medians is what counts.
    """
    degraded, target = torch.rand(2, 4, 3, 128, 128).unbind()
    published, ours = _published_step(degraded, target), _our_step(degraded, target, compiled)
    published_ms: list[float] = []
    ours_ms: list[float] = []

    def four() -> None:
        for step, times_ms in ((published, published_ms), (ours, ours_ms), (ours, ours_ms), (published, published_ms)):
            started = time.perf_counter()
            step()
            times_ms.append(1000 * (time.perf_counter() - started))

    four()  # compilation and first use
    published_ms.clear()
    ours_ms.clear()
    benchmark.pedantic(four, rounds=ROUNDS)

    medians = {"published_ms": statistics.median(published_ms), "ours_ms": statistics.median(ours_ms)}
    ratio = medians["published_ms"] / medians["ours_ms"]
    benchmark.extra_info.update(medians, ratio=ratio, threads=torch.get_num_threads(), compiled=compiled)


def _published_step(degraded: Tensor, target: Tensor) -> Callable[[], object]:
    network = PublishedGUNet().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    image, wanted = 2 * degraded - 1, 2 * target - 1

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.l1_loss(network(image), wanted).backward()
        optimizer.step()

    return step


def _our_step(degraded: Tensor, target: Tensor, compiled: bool) -> Callable[[], object]:
    size = Registry().find("backbone", "gunet").sizes["t"]
    restorer = build(
        {"backbone": {"name": "gunet", **size}, "head": {"name": "residual", "padding": "reflect"}}
    ).train()
    stage = Stage.model_validate({"steps": 1, "batch": 4, "patch": 128, "lr": 1e-4, "loss": {"l1": 1.0}})
    learner = make_learner(restorer, stage, torch.device("cpu"))
    objective = make_objective("coarse", stage, Registry())
    last = {"memory_format": torch.channels_last}
    batch = Batch(degraded.contiguous(**last), target.contiguous(**last), degraded[:, :1], None, None)
    network: Callable[[Tensor], Any] = torch.compile(restorer) if compiled else restorer

    def step() -> None:
        learner.optimizer.zero_grad(set_to_none=True)
        objective(network(batch.degraded), batch)[0].backward()
        learner.optimizer.step()

    return step
