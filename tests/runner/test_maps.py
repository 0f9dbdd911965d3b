"""Losses that compare maps with the truth: mistakes are found before anything is trained."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.errors import ExperimentError
from benchmark.runner.preflight import preflight

Edited = Callable[[str, str], Path]

FACES = "data.{split}={{source: synthetic_faces, preset: severe, count: 2, size: 64, seed: {seed}}}"


def check_of(file: Path, *sets: str, faces: bool = True) -> int:
    """How many rows and baselines `preflight` finds to be run; on drawn faces, or on pairs that know no maps."""
    drawn = [FACES.format(split=split, seed=seed) for seed, split in enumerate(("train", "val", "test"))]
    sets = (*sets, *(drawn if faces else ()))
    ready = prepare(Selection(file, file.parent / "runs" / "small", (), (), sets, "cpu", (), replace=False))
    return len(preflight(ready.plan, ready.context, replace=False))


@pytest.fixture
def file(edited: Edited) -> Path:
    """An experiment of one trained row, with the degradation head."""
    return edited("tables:\n  heads:\n    direct_rgb: {model.head: {name: rgb}}\n", "tables:\n")


def test_maps_that_head_and_data_have_may_be_supervised(file: Path) -> None:
    """Gain and spots on drawn faces, through augmentations that keep them, are no mistake."""
    kept = "protocol.coarse.augment={mask_shift: {}, mixup: {}, jpeg: {probability: 0}}"
    assert check_of(file, "protocol.coarse.loss.map_l1=1.0", kept) == 5


def test_a_true_region_is_always_known(file: Path) -> None:
    """The mask is computed from the pair, so no data lack it and no augmentation drops it."""
    sets = (
        "model.head={name: mask_blend}",
        "protocol.coarse.loss.mask_bce_dice=0.1",
        "protocol.coarse.augment={jpeg: {}}",
    )
    assert check_of(file, *sets, faces=False) == 5


@pytest.mark.parametrize(
    ("sets", "faces", "message"),
    [
        (
            ("protocol.psnr.loss.map_l1=1.0",),
            False,
            "row base: protocol.psnr: loss 'map_l1' supervises gain and spots, which data.train (paired_folders) does "
            "not know; leave the loss out",
        ),
        (
            ("protocol.psnr.loss.map_l1=1.0", "protocol.psnr.augment={flip: {}, jpeg: {}}"),
            True,
            "row base: protocol.psnr: loss 'map_l1' supervises gain and spots, which augmentation 'jpeg' drops; leave",
        ),
        (
            ("protocol.coarse.loss.map_l1=1.0", "model.head={name: rgb}"),
            True,
            "row base: protocol.coarse: loss 'map_l1' supervises gain and spots, which head 'rgb' does not predict",
        ),
        (
            ("protocol.coarse.loss.mask_bce_dice=1.0",),
            False,
            "row base: protocol.coarse: loss 'mask_bce_dice' supervises mask, which head 'degradation' does not "
            "predict",
        ),
        (
            # Its weight is 0, but it is computed all the same.
            ("protocol.psnr.loss.map_l1={weight: 0}",),
            False,
            "which data.train (paired_folders) does not know",
        ),
    ],
    ids=["source", "augmentation", "head", "head of mask_bce_dice", "weight 0"],
)
def test_maps_that_nobody_has_are_refused(file: Path, sets: tuple[str, ...], faces: bool, message: str) -> None:
    """The message names row, stage, loss, maps and who lacks them, in one line."""
    with pytest.raises(ExperimentError, match=re.escape(message)) as error:
        check_of(file, *sets, faces=faces)
    assert "\n" not in str(error.value)
