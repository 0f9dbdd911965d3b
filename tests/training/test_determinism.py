"""The probe of a set-up: are its steps the same bits each time?"""

import random
from pathlib import Path

import pytest
import torch

from benchmark.data.sampling import Sampler
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.experiment.stage import Stage
from benchmark.model import build
from benchmark.registry import Registry
from benchmark.training.determinism import is_repeatable
from benchmark.training.objective import Objective, make_objective
from benchmark.training.train_state import make_learner
from heads import Restoration
from losses import Batch

MODEL = {
    "backbone": {"name": "gunet", "width": 4, "depths": [1, 1, 1], "input_scales": 2},
    "head": {"name": "degradation"},
}


class Unsteady(Objective):
    """Weighs its loss by chance, as a kernel that adds in any order rounds by chance."""

    def __call__(self, restoration: Restoration, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss, parts = super().__call__(restoration, batch)
        return loss * random.Random().uniform(0.5, 1.5), parts


@pytest.mark.parametrize(("kind", "expected"), [(Objective, True), (Unsteady, False)])
def test_two_equal_steps_are_compared(pairs: Path, kind: type[Objective], expected: bool) -> None:
    """The CPU repeats itself, a loss with chance in it does not; either way the learner is left as it was."""
    cpu = torch.device("cpu")
    stage = Stage.model_validate(
        {
            "steps": 9,
            "batch": 2,
            "patch": 32,
            "lr": 1e-2,
            "loss": {"l1": 1.0},
            "ema": {},
            "output": "ema",
            "optimizer": {"name": "sgd"},
        }
    )
    sampler = Sampler(PairedFolders(pairs / "train/degraded", pairs / "train/target"), 3, "coarse", 32, [])
    learner = make_learner(build(MODEL), stage, cpu)
    before = {name: value.clone() for name, value in learner.restorer.state_dict().items()}
    objective = kind(make_objective("coarse", stage, Registry()).terms)
    assert is_repeatable(learner, objective, sampler, stage, cpu) == expected
    assert all(torch.equal(value, before[name]) for name, value in learner.restorer.state_dict().items())
