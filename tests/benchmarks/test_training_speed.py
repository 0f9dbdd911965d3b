"""How fast the small networks train and patches are read: `make bench`, for comparing two states of the code."""

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
from benchmark.training.fit import fit
from benchmark.training.learner import make_learner
from benchmark.training.objective import make_objective

STEPS = 10


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
