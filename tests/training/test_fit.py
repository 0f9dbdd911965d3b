"""Training one stage: exact, resumable, and honest about failure."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark.data.augmentations.flip import Flip
from benchmark.data.sampling import Sampler
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.errors import ExperimentError
from benchmark.experiment.schema import Stage
from benchmark.model import Restorer, build
from benchmark.registry import Registry
from benchmark.training.batches import batch_at, host_batches, to_device
from benchmark.training.fit import REPORT_STEPS, DivergedError, Progress, fit, make_optimizer
from benchmark.training.objective import Objective, make_objective
from benchmark.training.schedule import lr_at
from benchmark.training.state import Reached, load_state, save_state
from heads import Restoration
from losses import Batch

CPU = torch.device("cpu")
# BatchNorm buffers (gunet) and a half-finished report interval are what a careless resume loses.
MODEL = {
    "backbone": {"name": "gunet", "width": 4, "depths": [1, 1, 1], "input_scales": 2},
    "head": {"name": "degradation"},
}


@pytest.fixture
def sampler(pairs: Path) -> Sampler:
    source = PairedFolders(pairs / "train/degraded", pairs / "train/target")
    return Sampler(source, seed=3, stage="coarse", patch=32, augmentations=[Flip()])


def make_stage(**changes: object) -> Stage:
    return Stage.model_validate({"steps": 25, "batch": 2, "patch": 32, "lr": 1e-3, "loss": {"l1": 1.0}, **changes})


FLAT = {"name": "constant"}
CONSTANT = make_stage(schedule=FLAT)


def start(
    stage: Stage, sampler: Sampler, restorer: Restorer, done: int = 0
) -> tuple[torch.optim.AdamW, Iterator[Progress]]:
    optimizer = make_optimizer(restorer, stage)
    objective = make_objective("coarse", stage, Registry())
    return optimizer, fit(restorer, optimizer, objective, sampler, stage, CPU, done)


def same(first: Restorer, second: Restorer) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_training_is_a_function_of_its_inputs(sampler: Sampler) -> None:
    """Two runs from the same weights, settings, data and seed end bit-equal; another seed ends elsewhere."""
    nets = [build(MODEL) for _ in range(3)]
    other = Sampler(sampler.source, 4, sampler.stage, sampler.patch, sampler.augmentations)
    for net, stream in zip(nets, (sampler, sampler, other), strict=True):
        torch.rand(5)  # what the global generator did before must not matter
        list(start(make_stage(), stream, net)[1])
    assert same(nets[0], nets[1])
    assert not same(nets[0], nets[2])


def test_training_learns(sampler: Sampler) -> None:
    """The loss at the end is clearly below the loss at the start."""
    reports = list(start(make_stage(steps=60, lr=5e-3), sampler, build(MODEL))[1])
    assert reports[-1].loss < 0.7 * reports[0].loss


def test_a_resumed_stage_ends_bit_equal(sampler: Sampler, tmp_path: Path) -> None:
    """Stopped at a report, stored, loaded into fresh objects and finished: the same weights as without a stop."""
    straight, stopped, resumed = build(MODEL), build(MODEL), build(MODEL, seed=9)
    list(start(make_stage(), sampler, straight)[1])
    optimizer, running = start(make_stage(), sampler, stopped)
    report = next(running)
    save_state(
        tmp_path / "state.pt", stopped, optimizer, Reached(report.step, 1.5, [(report.step, "loss", report.loss)])
    )
    next(running)  # steps that are lost

    stage = make_stage()
    optimizer = make_optimizer(resumed, stage)
    reached = load_state(tmp_path / "state.pt", resumed, optimizer)
    assert reached == Reached(REPORT_STEPS, 1.5, [(REPORT_STEPS, "loss", report.loss)])
    list(fit(resumed, optimizer, make_objective("coarse", stage, Registry()), sampler, stage, CPU, reached.step))
    assert same(straight, resumed)


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"PK\x03\x04half"])
def test_an_unreadable_state_starts_anew(tmp_path: Path, content: bytes | None) -> None:
    """A state that is missing or torn costs the steps in it and nothing else."""
    file, net = tmp_path / "state.pt", build(MODEL)
    if content is not None:
        file.write_bytes(content)
    assert load_state(file, net, make_optimizer(net, make_stage())).step == 0


def test_reports_cover_every_step_once(sampler: Sampler) -> None:
    """Reports come at fixed steps and at the last one."""
    assert [report.step for report in start(make_stage(), sampler, build(MODEL))[1]] == [10, 20, 25]


@dataclasses.dataclass(frozen=True)
class Spoiled(Objective):
    """Not a number at some steps; it knows a step by its batch, as a loss would."""

    sampler: Sampler | None = None
    steps: tuple[int, ...] = ()

    def __call__(self, restoration: Restoration, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        assert self.sampler
        loss, parts = super().__call__(restoration, batch)
        spoiled = (to_device(batch_at(self.sampler, step, 2), CPU, torch.contiguous_format) for step in self.steps)
        is_spoiled = any(torch.equal(batch.degraded, one.degraded) for one in spoiled)
        return (loss * float("nan") if is_spoiled else loss), parts


def spoiled(sampler: Sampler, steps: tuple[int, ...], net: Restorer) -> list[Progress]:
    """All reports of a stage whose loss is not finite at these steps."""
    objective = Spoiled(make_objective("coarse", CONSTANT, Registry()).terms, sampler, steps)
    return list(fit(net, make_optimizer(net, CONSTANT), objective, sampler, CONSTANT, CPU))


def test_steps_that_are_not_finite_are_taken_back(sampler: Sampler) -> None:
    """As if they had never been: neither weights, buffers nor the optimiser remember them, and reports count them."""
    net, without = build(MODEL), build(MODEL)
    reports = spoiled(sampler, (4, 13, 17), net)
    assert [report.left_out for report in reports] == [(4,), (4, 13, 17), (4, 13, 17)]
    assert all(np.isfinite([report.loss, report.gradient_norm]).all() for report in reports)

    optimizer, objective = make_optimizer(without, CONSTANT), make_objective("coarse", CONSTANT, Registry())
    for done, last in ((0, 3), (4, 12), (13, 16), (17, 25)):
        list(fit(without, optimizer, objective, sampler, make_stage(steps=last, schedule=FLAT), CPU, done))
    assert same(net, without)


def test_too_many_bad_steps_end_the_stage_with_step_and_batch(sampler: Sampler) -> None:
    """The message has the step, the images of its batch, and how many were left out before it."""
    with pytest.raises(DivergedError) as error:
        spoiled(sampler, (4, 13, 17, 22), build(MODEL))
    assert (error.value.stage, error.value.step) == ("coarse", 22)
    assert "step 22: the loss is nan" in str(error.value) and "; left out before: step 4, 13, 17" in str(error.value)
    assert all(name in str(error.value) for name in batch_at(sampler, 22, 2).names)


def test_two_bad_steps_in_a_row_end_the_stage(sampler: Sampler) -> None:
    """Another batch did not help: the weights are bad."""
    with pytest.raises(DivergedError, match="step 7: the loss is nan") as error:
        spoiled(sampler, (6, 7), build(MODEL))
    assert "left out before: step 6" in str(error.value)


def test_clipping_bounds_the_first_step(sampler: Sampler) -> None:
    """With a tiny clip norm the gradients that reach the optimiser have that norm; without, they are larger."""
    norms = {}
    for clip in (None, 1e-3):
        net = build(MODEL)
        next(start(make_stage(steps=1, clip_norm=clip), sampler, net)[1])
        norms[clip] = float(torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None]))
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert norms[None] > 2e-3


def test_too_small_a_patch_is_told_before_training() -> None:
    """A loss that needs larger patches is an error of the file, with the least side."""
    with pytest.raises(ExperimentError, match=r"'ms_ssim' needs patches of at least 161 pixels, patch is 32"):
        make_objective("score", make_stage(loss={"ms_ssim": 1.0}), Registry())


def test_loss_terms_are_weighted(sampler: Sampler) -> None:
    """The objective is the weighted sum of its parts, and reports the parts without weights."""
    objective = make_objective("coarse", make_stage(loss={"l1": 2.0, "psnr": 0.5}), Registry())
    batch = to_device(batch_at(sampler, 1, 2), CPU, torch.contiguous_format)
    total, parts = objective(build(MODEL)(batch.degraded), batch)
    assert total.item() == pytest.approx(2.0 * parts["l1"].item() + 0.5 * parts["psnr"].item(), rel=1e-6)


def test_batches_in_advance_are_the_batches(sampler: Sampler) -> None:
    """Made in the background or not, in order and complete."""
    ahead = list(host_batches(sampler, range(3, 9), 2))
    for step, batch in zip(range(3, 9), ahead, strict=True):
        assert np.array_equal(batch.degraded, batch_at(sampler, step, 2).degraded)
    assert next(host_batches(sampler, itertools.count(1), 2)).degraded.shape == (2, 32, 32, 3)


def test_the_mask_is_exact_at_the_threshold(sampler: Sampler) -> None:
    """A difference of 30 levels is no spot, of 31 levels is one, whatever float rounding does."""
    batch = batch_at(sampler, 1, 1)
    levels = np.arange(0, 220, dtype=np.uint8).reshape(1, 1, -1, 1).repeat(3, 3)
    for difference, expected in ((30, 0.0), (31, 1.0)):
        made = type(batch)(batch.names, levels, levels + np.uint8(difference), None, None)
        assert torch.all(to_device(made, CPU, torch.channels_last).mask == expected)


@given(st.integers(1, 500), st.integers(0, 100), st.floats(0, 1), st.sampled_from(["cosine", "constant"]))
def test_the_learning_rate_stays_in_its_bounds(steps: int, warmup: int, final: float, name: str) -> None:
    """It rises during warm-up, never exceeds lr, never rises afterwards, and ends at its final share."""
    stage = make_stage(steps=steps, schedule={"name": name, "warmup_steps": warmup, "final_share": final})
    rates = [lr_at(stage, step) for step in range(1, steps + 1)]
    assert all(0 <= rate <= stage.lr * (1 + 1e-12) for rate in rates)
    after = rates[warmup:]
    assert all(b <= a + 1e-15 for a, b in itertools.pairwise(after))
    if after and name == "cosine":
        assert after[-1] == pytest.approx(stage.lr * final, abs=1e-12)


def test_bfloat16_trains_close_to_float32(sampler: Sampler) -> None:
    """Autocast changes the rounding of the network, not what is learned; weights stay float32."""
    nets = {precision: build(MODEL) for precision in ("float32", "bfloat16")}
    last = {}
    for precision, net in nets.items():
        last[precision] = list(start(make_stage(precision=precision), sampler, net)[1])[-1].loss
    assert all(value.dtype != torch.bfloat16 for value in nets["bfloat16"].state_dict().values())
    assert last["bfloat16"] == pytest.approx(last["float32"], rel=0.1)
