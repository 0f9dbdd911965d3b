"""Trains a small network as one of several ranks; for `test_data_parallel.py`.

    python rank_driver.py PAIRS FOLDER RANK COUNT CASE STEPS [CASE STEPS ...]

Ranks meet at a file in FOLDER, and the first one writes `CASE.pt`: losses of the reports, the last gradients, weights.
"""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from benchmark.data.augmentations.flip import Flip
from benchmark.data.sampling import Sampler
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.experiment.stage import Stage
from benchmark.model import Restorer, build
from benchmark.registry import Registry
from benchmark.training.distributed import Ranks
from benchmark.training.loop import Progress, train
from benchmark.training.objective import Objective, make_objective
from benchmark.training.train_state import make_train_state
from heads import Restoration
from losses import Batch

BATCH = 12
CPU = torch.device("cpu")
LAYER_NORM = {
    "backbone": {"name": "nafnet", "width": 4, "depths": [1, 1, 1]},
    "head": {"name": "degradation"},
}
# Its convolutions have no biases: before BatchNorm, their gradients are rounding alone, which Adam scales up.
BATCH_NORM = {
    "backbone": {"name": "unet", "width": 4, "levels": 2, "norm": "batch", "activation": "gelu", "down": "conv"},
    "head": {"name": "residual"},
}
POOLED = {"psnr": {"over": "batch"}, "masked_l1": 1.0, "hard_samples": {"share": 0.25}, "l1": 1.0}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "double": (LAYER_NORM, {}),
    "double_accumulated": (LAYER_NORM, {"accumulate": 2}),
    "float": (LAYER_NORM, {"loss": {"l1": 1.0, "psnr": 0.01}}),
    "pooled": (LAYER_NORM, {"loss": POOLED}),
    "batch_norm": (BATCH_NORM, {"loss": {"charbonnier": 1.0}, "freeze_bn_fraction": 0.2}),
    "spoiled": (LAYER_NORM, {"schedule": {"name": "constant"}}),
}
SPOILED_STEP = 4


class DoubleRestorer(Restorer):
    """A network in float64, so that what is left of a difference is no rounding."""

    def forward(self, degraded: Tensor) -> Restoration:
        return super().forward(degraded.double())


class SquaredError(Objective):
    """A smooth loss in the type of the network; other losses are float32."""

    def __call__(self, restoration: Restoration, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss = (restoration.image - batch.target).square().mean()
        return loss, {"l1": loss.detach()}


class Spoiled(Objective):
    """Is not a number for the images of the last rank in one step, and fine for all others."""

    step = 0

    def __call__(self, restoration: Restoration, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss, parts = super().__call__(restoration, batch)
        type(self).step += 1  # a replayed step has a later number
        is_spoiled = type(self).step == SPOILED_STEP and self.ranks.rank == self.ranks.count - 1
        return loss * (float("nan") if is_spoiled else 1.0), parts


def train_case(name: str, pairs: Path, steps: int, ranks: Ranks) -> dict[str, Any]:
    """Train a network for some steps; return the losses of its reports, the last gradients and the weights."""
    torch.set_num_threads(1)
    model, changes = CASES[name]
    # A validation is a report, so the losses are those of every step.
    restorer, every = build(model, seed=5), {"validate_every": 1} if name == "batch_norm" else {}
    settings = {"steps": steps, "batch": BATCH, "patch": 16, "lr": 1e-3, "loss": {"l1": 1.0}, "precision": "float32"}
    stage = Stage.model_validate({**settings, **every, **changes})
    objective = make_objective("coarse", stage, Registry(), ranks)
    if name.startswith("double"):
        restorer = DoubleRestorer(restorer.backbone, restorer.head).double()
        objective = SquaredError(objective.terms, ranks=ranks)
    if name == "spoiled":
        objective = Spoiled(objective.terms, ranks=ranks)
    source = PairedFolders(pairs / "train/degraded", pairs / "train/target")
    sampler = Sampler(source, seed=3, stage="coarse", patch=16, augmentations=[Flip()])
    reports: list[Progress] = []
    train(
        make_train_state(restorer, stage, CPU), objective, sampler, stage, CPU, on_progress=reports.append, ranks=ranks
    )
    return {
        "losses": [report.loss for report in reports],
        "parts": [report.parts for report in reports],
        "norms": [report.gradient_norm for report in reports],
        "skipped": reports[-1].skipped_steps,
        "gradients": [None if weight.grad is None else weight.grad.clone() for weight in restorer.parameters()],
        "weights": {key: value.clone() for key, value in restorer.state_dict().items()},
    }


def main() -> None:
    """Train the cases of the command line; all ranks must end with the same weights."""
    pairs, folder, ranks = Path(sys.argv[1]), Path(sys.argv[2]), Ranks(int(sys.argv[3]), int(sys.argv[4]))
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=ranks.rank, world_size=ranks.count)
    for name, steps in zip(sys.argv[5::2], sys.argv[6::2], strict=True):
        result = train_case(name, pairs, int(steps), ranks)
        for weights in ranks.gather(result["weights"]):
            assert all(torch.equal(value, weights[key]) for key, value in result["weights"].items())
        if ranks.is_first:
            torch.save(result, folder / f"{name}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
