"""What must hold on a GPU. `make gpu PART=1` runs these; without a GPU they are skipped.

RESTORATION_TEST_DEVICE=cpu runs them on the CPU, to try the tests themselves.
"""

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.data.augmentations.flip import Flip
from benchmark.data.sampling import Sampler
from benchmark.data.sources.synthetic_faces import SyntheticFaces
from benchmark.experiment.stage import Stage
from benchmark.inference.device_setup import configure_process
from benchmark.model import Restorer, build
from benchmark.registry import Registry
from benchmark.training.batches import BatchMaker, batch_at, batch_maker, host_batches, to_device
from benchmark.training.loop import Progress, train
from benchmark.training.objective import make_objective
from benchmark.training.train_state import Checkpoint, load_checkpoint, make_train_state, save_checkpoint

DEVICE = torch.device(os.environ.get("RESTORATION_TEST_DEVICE", "cuda"))
CPU = torch.device("cpu")
pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(DEVICE.type == "cuda" and not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SIDE_PX = 64


@pytest.fixture(scope="module", autouse=True)
def process() -> None:
    """As a training process: exact float32."""
    configure_process(torch.get_num_threads())


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return Sampler(SyntheticFaces("severe", count=2, size=96), 0, "coarse", SIDE_PX, [Flip()])


def tiny(name: str) -> Restorer:
    sizes = Registry().find("backbone", name).sizes
    torch.manual_seed(0)
    return build({"backbone": {"name": name, **sizes["tiny"]}, "head": {"name": "degradation"}})


@pytest.mark.parametrize("name", Registry().names("backbone"))
def test_a_tiny_network_restores_as_on_the_cpu(name: str) -> None:
    """In float64, where the order of sums cannot matter, images agree to 1e-6 and gradients to 1e-5 of the largest."""
    here, there = tiny(name).double().eval().to(DEVICE), tiny(name).double().eval()
    image = torch.rand(1, 3, SIDE_PX, SIDE_PX, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    restored, expected = here(image.to(DEVICE)).image, there(image).image
    assert torch.allclose(restored.cpu(), expected, rtol=0, atol=1e-6)
    for output in (restored, expected):
        output.square().mean().backward()
    pairs = [(a.grad, b.grad) for a, b in zip(here.parameters(), there.parameters(), strict=True)]
    largest = max(float(b.abs().max()) for _, b in pairs if b is not None)
    off = [float((a.cpu() - b).abs().max()) for a, b in pairs if a is not None and b is not None]
    assert off and max(off) <= 1e-5 * largest


def test_batches_in_page_locked_memory_are_the_batches(sampler: Sampler) -> None:
    """Made by several threads and copied while the device works, they arrive in order and complete."""
    maker = BatchMaker(4, page_locked=True) if DEVICE.type == "cuda" else batch_maker(DEVICE)
    for step, host in enumerate(host_batches(sampler, range(1, 20), 2, maker=maker), 1):
        batch = to_device(host, DEVICE, torch.channels_last)
        expected = to_device(batch_at(sampler, step, 2), CPU, torch.channels_last)
        assert all(torch.equal(a.cpu(), b) for a, b in zip(batch, expected, strict=True) if a is not None)


def test_a_resumed_stage_learns_on(sampler: Sampler, tmp_path: Path) -> None:
    """From a checkpoint of step 20 a stage ends where the uninterrupted one ends, but for the order of sums."""
    settings = {"steps": 40, "batch": 2, "patch": SIDE_PX, "lr": 1e-3, "loss": {"l1": 1.0}, "precision": "float32"}
    stage, objective = (
        Stage.model_validate(settings),
        make_objective("coarse", Stage.model_validate(settings), Registry()),
    )
    state, file = make_train_state(tiny("gunet"), stage, DEVICE), tmp_path / "state.pt"

    def save(progress: Progress) -> None:
        if progress.step == 20:
            save_checkpoint(file, state, Checkpoint(progress.step, 1.0, []))

    train(state, objective, sampler, stage, DEVICE, on_progress=save)
    resumed = make_train_state(tiny("gunet"), stage, DEVICE)
    train(resumed, objective, sampler, stage, DEVICE, load_checkpoint(file, resumed).step)
    ends = [copy.deepcopy(made.restorer).cpu().state_dict() for made in (state, resumed)]
    start = tiny("gunet").state_dict()
    for name, value in ends[0].items():
        if value.is_floating_point():
            moved = float((value - start[name]).abs().max())
            assert np.isclose(float((value - ends[1][name]).abs().max()), 0, atol=0.02 * moved + 1e-6), name


def test_training_moves_the_weights_as_on_the_cpu(sampler: Sampler) -> None:
    """After 20 steps with the same patches the loss is that of the CPU within one percent."""
    settings = {"steps": 20, "batch": 2, "patch": SIDE_PX, "lr": 1e-3, "loss": {"l1": 1.0}, "precision": "float32"}
    stage, losses = Stage.model_validate(settings), list[float]()
    for device in (DEVICE, CPU):
        state = make_train_state(tiny("gunet"), stage, device)
        objective, reports = make_objective("coarse", stage, Registry()), list[Progress]()
        train(state, objective, sampler, stage, device, on_progress=reports.append)
        losses.append(reports[-1].loss)
    assert losses[0] == pytest.approx(losses[1], rel=0.01)
