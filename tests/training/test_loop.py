"""Training one stage: exact, resumable, and honest about failure."""

import dataclasses
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.scheduler import CosineLRScheduler, MultiStepLRScheduler, PolyLRScheduler

from benchmark.data.augmentations.flip import Flip
from benchmark.data.sampling import Sampler
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.errors import ExperimentError, RecordError
from benchmark.experiment.stage import Stage
from benchmark.model import Restorer, build
from benchmark.registry import Registry
from benchmark.training.batches import BatchMaker, batch_at, host_batches, to_device
from benchmark.training.loop import REPORT_STEPS, DivergedError, Progress, is_deterministic, train
from benchmark.training.objective import Objective, make_objective
from benchmark.training.train_state import (
    Checkpoint,
    TrainState,
    check_optimizer,
    load_checkpoint,
    lr_at,
    make_train_state,
    save_checkpoint,
)
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
    settings = {"steps": 25, "batch": 2, "patch": 32, "lr": 1e-3, "loss": {"l1": 1.0}, "precision": "float32"}
    return Stage.model_validate({**settings, **changes})


FLAT = {"name": "constant"}
CONSTANT = make_stage(schedule=FLAT)


def run_stage(
    stage: Stage,
    sampler: Sampler,
    restorer: Restorer,
    on_progress: Callable[[Progress], object] = lambda progress: None,
) -> tuple[TrainState, list[Progress]]:
    """Train a network for a stage; return its train state and all reports."""
    state, reports = make_train_state(restorer, stage, CPU), list[Progress]()

    def note(progress: Progress) -> None:
        reports.append(progress)
        on_progress(progress)

    train(state, make_objective("coarse", stage, Registry()), sampler, stage, CPU, on_progress=note)
    return state, reports


def test_bfloat16_is_refused_where_gradients_would_be_wrong_on_a_cpu() -> None:
    """Of torch's own depthwise convolutions with dilation, by name; in another layout or precision they are right."""
    net = build(MODEL)
    net.backbone.add_module("far", torch.nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4))
    with pytest.raises(ExperimentError, match=r"dilation \(backbone\.far\); use precision: float32, or memory_format"):
        make_train_state(net, make_stage(precision="bfloat16"), CPU)
    make_train_state(net, make_stage(precision="bfloat16", memory_format="contiguous"), CPU)
    make_train_state(net, make_stage(), CPU)


class KilledError(Exception):
    """Raised in the callback to end training in the middle of a stage."""


def run_until_second_report(stage: Stage, sampler: Sampler, restorer: Restorer, file: Path, **best: Any) -> Progress:
    """Train, write a checkpoint at the first report, and end at the second, so that the steps between are lost."""
    state, reports = make_train_state(restorer, stage, CPU), list[Progress]()

    def save(progress: Progress) -> None:
        if reports:
            raise KilledError
        reports.append(progress)
        save_checkpoint(file, state, Checkpoint(progress.step, 1.5, [(progress.step, "loss", progress.loss)], **best))

    with pytest.raises(KilledError):
        train(state, make_objective("coarse", stage, Registry()), sampler, stage, CPU, on_progress=save)
    return reports[0]


def resume(stage: Stage, sampler: Sampler, file: Path) -> tuple[TrainState, Checkpoint]:
    """Finish a stage from its checkpoint in fresh objects; return the train state and the checkpoint."""
    state = make_train_state(build(MODEL, seed=9), stage, CPU)
    checkpoint = load_checkpoint(file, state)
    train(state, make_objective("coarse", stage, Registry()), sampler, stage, CPU, checkpoint.step)
    return state, checkpoint


def same(first: Restorer, second: Restorer) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_training_is_a_function_of_its_inputs(sampler: Sampler) -> None:
    """Two runs from the same weights, settings, data and seed end bit-equal; another seed ends elsewhere."""
    nets = [build(MODEL) for _ in range(3)]
    other = Sampler(sampler.source, 4, sampler.stage, sampler.patch, sampler.augmentations)
    for net, stream in zip(nets, (sampler, sampler, other), strict=True):
        torch.rand(5)  # what the global generator did before must not matter
        run_stage(make_stage(), stream, net)
    assert same(nets[0], nets[1])
    assert not same(nets[0], nets[2])


def test_training_learns(sampler: Sampler) -> None:
    """The loss at the end is clearly below the loss at the start."""
    _, reports = run_stage(make_stage(steps=60, lr=5e-3), sampler, build(MODEL))
    assert reports[-1].loss < 0.7 * reports[0].loss


def test_a_resumed_stage_ends_bit_equal(sampler: Sampler, tmp_path: Path) -> None:
    """Killed after a checkpoint, loaded into fresh objects and finished: the same weights as without a stop."""
    straight, file = build(MODEL), tmp_path / "state.pt"
    run_stage(make_stage(), sampler, straight)
    report = run_until_second_report(make_stage(), sampler, build(MODEL), file)
    state, checkpoint = resume(make_stage(), sampler, file)
    assert checkpoint == Checkpoint(REPORT_STEPS, 1.5, [(REPORT_STEPS, "loss", report.loss)])
    assert same(straight, state.restorer)


def test_no_state_is_step_0(tmp_path: Path) -> None:
    """A stage that was never interrupted starts at its beginning."""
    assert load_checkpoint(tmp_path / "state.pt", make_train_state(build(MODEL), make_stage(), CPU)) == Checkpoint()


def assert_refused(file: Path, content: bytes, state: TrainState, before: dict[str, torch.Tensor]) -> None:
    file.write_bytes(content)
    with pytest.raises(RecordError, match=r"state\.pt: is not what was stored"):
        load_checkpoint(file, state)
    assert all(torch.equal(value, before[name]) for name, value in state.restorer.state_dict().items())


def test_a_damaged_state_is_refused(sampler: Sampler, tmp_path: Path) -> None:
    """One flipped bit, wherever it is, or a cut or lengthened file: nothing of it is loaded."""
    file, state = tmp_path / "state.pt", make_train_state(build(MODEL), make_stage(), CPU)
    run_until_second_report(make_stage(), sampler, build(MODEL), file)
    sound, before = file.read_bytes(), {name: value.clone() for name, value in state.restorer.state_dict().items()}
    rng = random.Random(0)
    places = [0, 1, 31, 100, len(sound) - 33, len(sound) - 32, len(sound) - 1, *rng.sample(range(len(sound)), 143)]
    for place in places:
        flipped = bytearray(sound)
        flipped[place] ^= 1 << rng.randrange(8)
        assert_refused(file, bytes(flipped), state, before)
    for cut in (b"", b"garbage", sound[:32], sound[: len(sound) // 2], sound[:-1], sound[:-32], sound + b"\0"):
        assert_refused(file, cut, state, before)
    file.write_bytes(sound)
    assert load_checkpoint(file, state).step == REPORT_STEPS


def test_reports_cover_every_step_once(sampler: Sampler) -> None:
    """Reports come at fixed steps, at validation steps and at the last step."""
    assert [report.step for report in run_stage(make_stage(), sampler, build(MODEL))[1]] == [10, 20, 25]
    often = make_stage(validate_every=7)
    assert [report.step for report in run_stage(often, sampler, build(MODEL))[1]] == [7, 10, 14, 20, 21, 25]


@dataclasses.dataclass(frozen=True)
class Spoiled(Objective):
    """NaN at some steps, which it recognises by their batches."""

    sampler: Sampler | None = None
    steps: tuple[int, ...] = ()

    def __call__(self, restoration: Restoration, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        assert self.sampler
        loss, parts = super().__call__(restoration, batch)
        spoiled = (to_device(batch_at(self.sampler, step, 2), CPU, torch.contiguous_format) for step in self.steps)
        is_spoiled = any(torch.equal(batch.degraded, other.degraded) for other in spoiled)
        return (loss * float("nan") if is_spoiled else loss), parts


def spoiled(sampler: Sampler, steps: tuple[int, ...], net: Restorer) -> list[Progress]:
    """All reports of a stage whose loss is not finite at these steps."""
    objective = Spoiled(make_objective("coarse", CONSTANT, Registry()).terms, sampler=sampler, steps=steps)
    reports: list[Progress] = []
    train(make_train_state(net, CONSTANT, CPU), objective, sampler, CONSTANT, CPU, on_progress=reports.append)
    return reports


def test_steps_that_are_not_finite_are_skipped(sampler: Sampler) -> None:
    """As if they had never run: neither weights, buffers nor the optimiser remember them, and reports count them."""
    net, without = build(MODEL), build(MODEL)
    reports = spoiled(sampler, (4, 13, 17), net)
    assert [report.skipped_steps for report in reports] == [(4,), (4, 13, 17), (4, 13, 17)]
    assert all(np.isfinite([report.loss, report.gradient_norm]).all() for report in reports)

    state, objective = make_train_state(without, CONSTANT, CPU), make_objective("coarse", CONSTANT, Registry())
    for done, last in ((0, 3), (4, 12), (13, 16), (17, 25)):
        train(state, objective, sampler, make_stage(steps=last, schedule=FLAT), CPU, done)
    assert same(net, without)


def test_too_many_bad_steps_end_the_stage_with_step_and_batch(sampler: Sampler) -> None:
    """The message has the step, the images of its batch, and the steps skipped before it."""
    with pytest.raises(DivergedError) as error:
        spoiled(sampler, (4, 13, 17, 22), build(MODEL))
    assert (error.value.stage, error.value.step) == ("coarse", 22)
    assert "step 22: the loss is nan" in str(error.value) and "; skipped before: step 4, 13, 17" in str(error.value)
    assert all(name in str(error.value) for name in batch_at(sampler, 22, 2).names)


def test_two_bad_steps_in_a_row_end_the_stage(sampler: Sampler) -> None:
    """Another batch did not help: the weights are bad."""
    with pytest.raises(DivergedError, match="step 7: the loss is nan") as error:
        spoiled(sampler, (6, 7), build(MODEL))
    assert "skipped before: step 6" in str(error.value)


def test_clipping_bounds_the_first_step(sampler: Sampler) -> None:
    """With a tiny clip norm the gradients that reach the optimiser have that norm; without, they are larger."""
    norms = {}
    for clip in (None, 1e-3):
        net = build(MODEL)
        run_stage(make_stage(steps=1, clip_norm=clip), sampler, net)
        norms[clip] = float(torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None]))
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert norms[None] > 2e-3


def test_too_small_a_patch_is_an_error_before_training() -> None:
    """A loss that needs larger patches is an error of the file, with the least side."""
    with pytest.raises(ExperimentError, match=r"'ms_ssim' needs patches of at least 161 pixels, patch is 32"):
        make_objective("score", make_stage(loss={"ms_ssim": 1.0}), Registry())


def test_a_loss_over_the_batch_cannot_be_accumulated() -> None:
    """The logarithm of a pooled error is no mean of parts: the file says so before training."""
    pooled = {"psnr": {"weight": 1.0, "over": "batch"}}
    with pytest.raises(ExperimentError, match="'psnr' is computed over the whole batch, accumulate is 2"):
        make_objective("psnr", make_stage(loss=pooled, accumulate=2), Registry())
    assert make_objective("psnr", make_stage(loss=pooled), Registry()).names == ("psnr",)


def test_loss_terms_are_weighted(sampler: Sampler) -> None:
    """The objective is the weighted sum of its parts, and reports the parts without weights."""
    objective = make_objective("coarse", make_stage(loss={"l1": 2.0, "psnr": 0.5}), Registry())
    batch = to_device(batch_at(sampler, 1, 2), CPU, torch.contiguous_format)
    total, parts = objective(build(MODEL)(batch.degraded), batch)
    assert total.item() == pytest.approx(2.0 * parts["l1"].item() + 0.5 * parts["psnr"].item(), rel=1e-6)


def test_batches_in_advance_are_the_batches(sampler: Sampler) -> None:
    """Made in the background by any number of threads, in order and complete."""
    for threads in (1, 4):
        ahead = list(host_batches(sampler, range(3, 19), 2, maker=BatchMaker(threads)))
        for step, batch in zip(range(3, 19), ahead, strict=True):
            assert np.array_equal(batch.degraded, batch_at(sampler, step, 2).degraded)
    assert next(host_batches(sampler, itertools.count(1), 2)).degraded.shape == (2, 32, 32, 3)


def test_the_mask_is_exact_at_the_threshold(sampler: Sampler) -> None:
    """A difference of 30 levels is no spot, of 31 levels is one, whatever float rounding does."""
    batch = batch_at(sampler, 1, 1)
    levels = np.arange(0, 220, dtype=np.uint8).reshape(1, 1, -1, 1).repeat(3, 3)
    for difference, expected in ((30, 0.0), (31, 1.0)):
        made = type(batch)(batch.names, levels, levels + np.uint8(difference), None, None)
        assert torch.all(to_device(made, CPU, torch.channels_last).mask == expected)


def test_a_batch_can_be_used_twice(sampler: Sampler) -> None:
    """Steps are replayed after one that is not finite; unclipped noise is float32 on the host, too."""
    batch = batch_at(sampler, 1, 2)
    batch = dataclasses.replace(batch, degraded=batch.degraded.astype(np.float32))
    first, second = (to_device(batch, CPU, torch.channels_last).degraded for _ in range(2))
    assert torch.equal(first, second) and first.max() <= 1


NAMES = ["cosine", "linear", "polynomial", "exponential", "step", "constant"]


@given(st.integers(1, 500), st.integers(0, 100), st.floats(1e-3, 1), st.sampled_from(NAMES))
def test_the_learning_rate_stays_in_its_bounds(steps: int, warmup: int, final: float, name: str) -> None:
    """It rises during warm-up, never exceeds lr, never rises afterwards, and ends at its final share."""
    stage = make_stage(steps=steps, schedule={"name": name, "warmup_steps": warmup, "final_share": final})
    rates = [lr_at(stage, step) for step in range(1, steps + 1)]
    assert all(0 <= rate <= stage.lr * (1 + 1e-12) for rate in rates)
    after = rates[warmup:]
    assert all(b <= a + 1e-15 for a, b in itertools.pairwise(after))
    if after and name not in ("constant", "step"):
        assert after[-1] == pytest.approx(stage.lr * final, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "timms"),
    [
        ("cosine", lambda optimizer: CosineLRScheduler(optimizer, t_initial=40, lr_min=1e-5)),
        ("polynomial", lambda optimizer: PolyLRScheduler(optimizer, power=2.0, t_initial=40, lr_min=1e-5)),
        ("step", lambda optimizer: MultiStepLRScheduler(optimizer, decay_t=[20, 30], decay_rate=0.1)),
    ],
)
def test_schedules_are_those_of_timm(name: str, timms) -> None:
    """Step by step the rates of timm's scheduler of that name, which keeps state where ours needs none."""
    scheduler = timms(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3))
    stage = make_stage(steps=40, schedule={"name": name})
    for step in range(2, 40):
        # Its milestones are steps from 0 on and lie one step earlier.
        theirs = scheduler._get_lr(step - 2 if name == "step" else step)[0]
        assert lr_at(stage, step) == pytest.approx(theirs, rel=1e-9)


def test_bfloat16_trains_close_to_float32(sampler: Sampler) -> None:
    """Autocast changes the rounding of the network, not what is learned; weights stay float32."""
    nets = {precision: build(MODEL) for precision in ("float32", "bfloat16")}
    last = {}
    for precision, net in nets.items():
        last[precision] = run_stage(make_stage(precision=precision), sampler, net)[1][-1].loss
    assert all(value.dtype != torch.bfloat16 for value in nets["bfloat16"].state_dict().values())
    assert last["bfloat16"] == pytest.approx(last["float32"], rel=0.1)


def flat_weights(net: Restorer) -> torch.Tensor:
    return torch.cat([value.flatten().double() for value in net.state_dict().values()])


# Layer norm instead of batch norm: the statistics of a microbatch are not those of the batch.
NORMALISED_ALONE = {"backbone": {"name": "nafnet", "width": 4}, "head": {"name": "residual"}}


def test_microbatches_train_as_the_whole_batch(sampler: Sampler) -> None:
    """A loss that is a mean over images has the same gradient in one piece and in four."""
    ends = []
    for parts in (1, 4):
        net = build(NORMALISED_ALONE)
        _, reports = run_stage(make_stage(batch=4, accumulate=parts, steps=5), sampler, net)
        ends.append((flat_weights(net), reports[-1].loss, reports[-1].gradient_norm))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-5)


def test_the_average_follows_weights_and_buffers(sampler: Sampler) -> None:
    """With a decay of 0 it is the last weights with their statistics; with more it lags behind them."""
    for decay, is_last in ((0.0, True), (0.9, False)):
        net = build(MODEL)
        state, _ = run_stage(make_stage(ema={"decay": decay, "warmup": False}, output="ema"), sampler, net)
        averaged, last = state.averaged_weights(), net.state_dict()
        statistics = [name for name in last if name.endswith("running_mean")]
        assert statistics
        for name in (*statistics, "head.conv.weight"):
            assert torch.equal(averaged[name], last[name]) == is_last


def test_the_average_goes_on_after_a_resume(sampler: Sampler, tmp_path: Path) -> None:
    """Stored and loaded with the rest of the state, bit for bit, with the best weights seen so far."""
    stage, file = make_stage(ema={"decay": 0.9}, output="ema"), tmp_path / "state.pt"
    straight, _ = run_stage(stage, sampler, build(MODEL))
    run_until_second_report(stage, sampler, build(MODEL), file, best_psnr=31.5, best_weights={"a": torch.ones(2)})
    resumed, checkpoint = resume(stage, sampler, file)
    assert checkpoint.best_weights is not None
    assert (checkpoint.best_psnr, checkpoint.best_weights["a"].tolist()) == (31.5, [1.0, 1.0])
    expected, averaged = straight.averaged_weights(), resumed.averaged_weights()
    assert all(torch.equal(expected[name], averaged[name]) for name in expected)


def test_frozen_statistics_stay_as_they_were(sampler: Sampler) -> None:
    """For the last fraction of the steps BatchNorm keeps its statistics, while the weights go on learning."""
    net, stage, before = build(MODEL), make_stage(steps=20, freeze_bn_fraction=0.5), dict[str, torch.Tensor]()

    def note(progress: Progress) -> None:
        if progress.step == 10:
            before.update({name: value.clone() for name, value in net.state_dict().items()})

    run_stage(stage, sampler, net, note)
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert not any("running" in name or "num_batches" in name for name in moved)
    assert any(name.endswith("weight") for name in moved)


@pytest.mark.slow  # the CPU has no fast float16
def test_float16_scales_the_loss_and_learns(sampler: Sampler) -> None:
    """Steps that overflow at the first, high scales are no failure; the loss falls and weights stay float32."""
    net = build(NORMALISED_ALONE)
    state, reports = run_stage(make_stage(precision="float16", steps=40, lr=5e-3), sampler, net)
    assert reports[-1].loss < 0.9 * reports[0].loss
    assert state.scaler.get_scale() >= 1
    assert all(value.dtype == torch.float32 for value in net.state_dict().values())


def test_gradients_no_scale_can_hold_end_the_stage(sampler: Sampler) -> None:
    """Infinite gradients of a finite loss: the scale falls to nothing, and the message says what to use instead."""

    class Steep(Objective):
        def __call__(self, restoration: Restoration, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            loss, parts = super().__call__(restoration, batch)
            zero = (restoration.image - restoration.image.detach()).abs().sum()
            return loss + zero.sqrt(), parts  # the square root has no finite slope at 0

    stage = make_stage(precision="float16", steps=40)
    objective = Steep(make_objective("coarse", stage, Registry()).terms)
    with pytest.raises(DivergedError, match="use precision bfloat16"):
        train(make_train_state(build(MODEL), stage, CPU), objective, sampler, stage, CPU)


@pytest.mark.parametrize("settings", [{"name": "lion"}, {"name": "adan"}, {"name": "sgd", "momentum": 0.8}], ids=str)
def test_optimisers_of_timm_train_and_resume(sampler: Sampler, tmp_path: Path, settings: dict[str, object]) -> None:
    """By their names there, with their options; the state they keep is stored as AdamW's is."""
    stage, file = make_stage(optimizer=settings), tmp_path / "state.pt"
    straight, _ = run_stage(stage, sampler, build(MODEL))
    run_until_second_report(stage, sampler, build(MODEL), file)
    assert same(straight.restorer, resume(stage, sampler, file)[0].restorer)
    assert not same(straight.restorer, build(MODEL))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "adamv"}, "timm has no 'adamv'"),
        ({"name": "sgd", "betas": [0.9, 0.99], "eps": 1e-8, "colour": 1}, "cannot be made with"),
        ({"name": "adamw", "colour": 1}, "cannot be made with"),
        ({"name": "adahessian"}, "second derivatives"),
    ],
    ids=str,
)
def test_an_unknown_optimiser_is_an_error(settings: dict[str, object], message: str) -> None:
    """A name that timm lacks and an option that the optimiser lacks are mistakes of the file."""
    with pytest.raises(ExperimentError, match=message):
        make_train_state(build(MODEL), make_stage(optimizer=settings), CPU)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "lamb", "betas": [0.1, 0.2, 0.3]}, "cannot take a step with .*betas.*: too many values"),
        ({"name": "adamw", "maximize": "yes"}, "cannot take a step with .*'maximize': 'yes'.*: _fused_adamw"),
        ({"name": "adan", "betas": [0.9, 0.99]}, "cannot be made with .*index out of range"),
        pytest.param(
            {"name": "fusedadam"},
            "'fusedadam' cannot be made with {}: CUDA required",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU"),
        ),
    ],
    ids=str,
)
def test_optimisers_that_refuse_late_are_found_before_training(settings: dict[str, object], message: str) -> None:
    """Some check their options, or what is installed, by an assertion or in the first step."""
    with pytest.raises(ExperimentError, match=message) as error:
        check_optimizer(make_stage(optimizer=settings))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["adamw", "adan", "lamb", "lion", "sgd"])
def test_optimisers_that_train_pass_the_check(name: str) -> None:
    """With the options that they have of their own."""
    check_optimizer(make_stage(optimizer={"name": name}))


def test_images_stand_in_place_of_steps() -> None:
    """As many steps as it takes to see that many; both at once are a mistake, as are settings that nothing uses."""
    settings = {"batch": 4, "patch": 32, "lr": 1e-3, "loss": {"l1": 1.0}}
    by_images = Stage.model_validate({**settings, "images": 10})
    assert by_images.steps == 3
    assert by_images.model_dump() == Stage.model_validate({**settings, "steps": 3}).model_dump()
    for settings_to_refuse, message in (
        ({"images": 10, "steps": 3}, "steps or images"),
        ({"steps": 3, "accumulate": 3}, "equal parts"),
        ({"steps": 3, "output": "ema"}, "needs an average"),
        ({"steps": 3, "ema": {}}, "nothing would use the average"),
        ({"steps": 3, "schedule": {"milestones": [0.9]}}, "milestones is a setting of the schedule step"),
    ):
        with pytest.raises(ValueError, match=message):
            Stage.model_validate({**settings, **settings_to_refuse})


def test_training_stops_after_the_step_at_hand(sampler: Sampler) -> None:
    """A stop gives a report of that very step and no more; resumed after every step, training ends bit-equal."""
    straight, net = build(MODEL), build(MODEL)
    run_stage(make_stage(), sampler, straight)
    state, objective = make_train_state(net, make_stage(), CPU), make_objective("coarse", make_stage(), Registry())
    for done in range(25):
        reports: list[Progress] = []
        train(state, objective, sampler, make_stage(), CPU, done, (), lambda: True, reports.append)
        assert [report.step for report in reports] == [done + 1]
    assert same(straight, net)


@pytest.mark.slow
def test_a_compiled_network_trains_the_same(sampler: Sampler) -> None:
    """Up to rounding; the weights keep their names."""
    plain, compiled = build(MODEL), build(MODEL)
    ends = [
        run_stage(make_stage(steps=5, compile=is_compiled), sampler, net)[1][-1].loss
        for net, is_compiled in ((plain, False), (compiled, True))
    ]
    assert ends[1] == pytest.approx(ends[0], rel=1e-4)
    assert plain.state_dict().keys() == compiled.state_dict().keys()


class Unsteady(Objective):
    """Weighs its loss by chance, as a kernel that adds in any order rounds by chance."""

    def __call__(self, restoration: Restoration, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss, parts = super().__call__(restoration, batch)
        return loss * random.Random().uniform(0.5, 1.5), parts


@pytest.mark.parametrize(("kind", "expected"), [(Objective, True), (Unsteady, False)])
def test_the_determinism_check_compares_two_equal_steps(
    sampler: Sampler, kind: type[Objective], expected: bool
) -> None:
    """The CPU repeats itself, a loss with chance in it does not; either way the train state stays as it was."""
    stage = make_stage(steps=9, lr=1e-2, ema={}, output="ema", optimizer={"name": "sgd"})
    state = make_train_state(build(MODEL), stage, CPU)
    before = {name: value.clone() for name, value in state.restorer.state_dict().items()}
    objective = kind(make_objective("coarse", stage, Registry()).terms)
    assert is_deterministic(state, objective, sampler, stage, CPU) == expected
    assert all(torch.equal(value, before[name]) for name, value in state.restorer.state_dict().items())
