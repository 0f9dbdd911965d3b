"""Auxiliary images in the objective: the same losses once more, against the pair at their size."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.data import SPOT_THRESHOLD_LEVELS
from benchmark.data.sampling import Sampler
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.experiment.stage import Stage
from benchmark.model import build
from benchmark.registry import Registry
from benchmark.training.loop import train
from benchmark.training.objective import Objective, Term, make_objective
from benchmark.training.train_state import make_train_state
from heads import Restoration
from losses import Batch, Loss

MODEL = {"backbone": {"name": "mimo_unet", "width": 4, "depth": 1}, "head": {"name": "degradation"}}


class Brightness(Loss):
    """Computes in whatever precision it is given."""

    formula = "mean restored"
    origin = "this test"

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        return restoration.image.mean()


def make_stage(loss: dict[str, object], patch: int = 32) -> Stage:
    return Stage.model_validate({"steps": 1, "batch": 2, "patch": patch, "lr": 1e-3, "loss": loss})


def objective(patch: int = 32, **loss: object) -> Objective:
    return make_objective("coarse", make_stage(loss, patch), Registry())


def draw(height: int, width: int | None = None, seed: int = 0) -> Batch:
    """A pair with maps, strongly degraded in places."""
    generator = torch.Generator().manual_seed(seed)
    degraded, target, gain, spots = torch.rand(4, 2, 3, height, width or height, generator=generator)
    return Batch(degraded, target, spots_mask(degraded, target), gain, spots)


def spots_mask(degraded: Tensor, target: Tensor) -> Tensor:
    return ((target - degraded).abs().amax(1, keepdim=True) > SPOT_THRESHOLD_LEVELS / 255).float()


def restored_like(batch: Batch, *scales: int) -> Restoration:
    """Random images in the sizes that the scales give, with K and D maps as a head gives them."""
    images = [torch.rand(2, 3, *(side // scale for side in batch.target.shape[-2:])) for scale in (1, *scales)]
    return Restoration(images[0], {"gain": images[0] - 0.5, "spots": images[0]}, tuple(images[1:]))


def test_the_total_contains_every_auxiliary_image() -> None:
    """Each adds its weighted losses against every fourth, second or single pixel; reported are the full image's."""
    batch = draw(32)
    restoration = restored_like(batch, 4, 2, 1)
    total, parts = objective(l1=2.0, psnr=0.5)(restoration, batch)
    expected = 2.0 * parts["l1"] + 0.5 * parts["psnr"]
    for scale, image in zip((4, 2, 1), restoration.auxiliary, strict=True):
        error = image - batch.target[..., ::scale, ::scale]
        expected += 2.0 * error.abs().mean()
        expected += 0.5 * 10 * (error.square().mean((1, 2, 3)) + 1e-8).log10().mean()
    torch.testing.assert_close(total, expected)
    alone, alone_parts = objective(l1=2.0, psnr=0.5)(restoration._replace(auxiliary=()), batch)
    assert total != alone
    assert parts == alone_parts


@settings(deadline=None, max_examples=60)
@given(st.integers(16, 50), st.integers(16, 50), st.sampled_from([1, 2, 4]))
def test_the_pair_is_taken_at_the_pixels_of_the_auxiliary_image(height: int, width: int, scale: int) -> None:
    """An auxiliary image that is the target at every s-th pixel costs nothing, at sides that s does not divide, too."""
    batch = draw(height, width)
    thinned = batch.target[..., ::scale, ::scale][..., : height // scale, : width // scale]
    total, parts = objective(l1=1.0)(Restoration(batch.degraded, {}, (thinned,)), batch)
    assert total == parts["l1"]


def test_the_mask_is_that_of_the_smaller_pair() -> None:
    """A loss inside the spots sees the spots of the thinned pair, and a loss of the change its degraded image."""
    batch = draw(32)
    degraded, target = batch.degraded[..., ::2, ::2], batch.target[..., ::2, ::2]
    smaller = Batch(degraded, target, spots_mask(degraded, target))
    restoration = restored_like(batch, 2)
    for name in ("masked_l1", "mask_loss"):
        total, parts = objective(**{name: 1.0})(restoration, batch)
        loss = Registry().create("loss", name, {})
        torch.testing.assert_close(total, parts[name] + loss(Restoration(restoration.auxiliary[0], {}), smaller))


@pytest.mark.parametrize("loss", [{"map_l1": 1.0}, {"ms_ssim": {"weight": 1.0, "window_size": 7}}], ids=str)
def test_losses_that_do_not_apply_are_left_out(loss: dict[str, object]) -> None:
    """Losses of maps, and losses that need larger sides than an auxiliary image has, judge the full image alone."""
    batch = draw(128)
    total, parts = objective(128, **loss)(restored_like(batch, 4, 2), batch)
    assert total == sum(parts.values())


def test_losses_that_fit_one_size_judge_that_size() -> None:
    """Whether a loss applies is asked of every auxiliary image by itself: sides of 112 are enough, 56 are not."""
    batch = draw(224)
    restoration = restored_like(batch, 4, 2)
    apply = objective(224, ms_ssim={"weight": 1.0, "window_size": 7})
    both, half = (
        apply(restoration, batch)[0],
        apply(restoration._replace(auxiliary=restoration.auxiliary[1:]), batch)[0],
    )
    assert both == half
    assert half > apply(restoration._replace(auxiliary=()), batch)[0]


def test_an_auxiliary_image_without_pixels_counts_nothing() -> None:
    """A patch smaller than the scale leaves nothing of the auxiliary image, and no loss that is not a number."""
    batch = draw(3)
    total, parts = objective(3, l1=1.0)(restored_like(batch, 4), batch)
    assert total == parts["l1"]


def test_half_precision_is_judged_in_float32() -> None:
    """Auxiliary images of an autocast network are cast before their losses, as the full image is."""
    batch = draw(32)
    restoration = restored_like(batch, 2)
    half = restoration._replace(auxiliary=(restoration.auxiliary[0].bfloat16(),))
    total, parts = Objective((Term("brightness", 1.0, Brightness()),))(half, batch)
    assert total.dtype == torch.float32
    assert total == parts["brightness"] + half.auxiliary[0].float().mean()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_trains_the_smaller_outputs(pairs: Path, precision: str) -> None:
    """One step of a stage moves every weight of the convolutions that make the auxiliary images."""
    sampler = Sampler(PairedFolders(pairs / "train/degraded", pairs / "train/target"), 3, "coarse", 32, [])
    stage = make_stage({"l1": 1.0}).model_copy(update={"precision": precision})
    net = build(MODEL)
    before = {name: value.clone() for name, value in net.backbone.named_parameters() if name.startswith("outputs")}
    objective_of_stage = make_objective("coarse", stage, Registry())
    cpu = torch.device("cpu")
    train(make_train_state(net, stage, cpu), objective_of_stage, sampler, stage, cpu)
    after = dict(net.backbone.named_parameters())
    assert len(before) == 4
    assert all((value != after[name]).all() for name, value in before.items())
