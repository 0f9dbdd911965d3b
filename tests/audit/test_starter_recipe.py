"""The starter recipe: what pairs are like decides how they are trained on, and the text is an experiment that loads."""

from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.audit.measurements import PairMeasurements, match_folders, measure_files
from benchmark.audit.starter_experiment import link_pairs, split_pairs
from benchmark.audit.starter_recipe import RIVALS, Effort, Traits, recipe_text, row_names, traits_of
from benchmark.experiment.load import load
from benchmark.registry import Registry

SIZE = (48, 72)
EFFORT = Effort(RIVALS[:3], steps=40, rates=(1e-3, 3e-3), seeds=2)


def write_pairs(folder: Path, count: int, *, spots: int, gain: float) -> None:
    """Pictures of random squares, darkened by a gain, with dark spots of 4 x 4 pixels."""
    rng = np.random.default_rng(0)
    for index in range(count):
        squares = rng.integers(120, 220, (6, 9, 3), np.uint8)
        target = np.asarray(Image.fromarray(squares).resize(SIZE[::-1], Image.Resampling.BILINEAR))
        degraded = np.rint(target * gain)
        for top, left in rng.integers(0, 44, (spots, 2)):
            degraded[top : top + 4, left : left + 4] *= 0.4
        for role, image in (("degraded", degraded), ("target", target)):
            file = folder / role / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.astype(np.uint8)).save(file)


def measured(folder: Path) -> list[PairMeasurements]:
    pairs = match_folders(folder / "degraded", folder / "target").pairs
    results = [measure_files(pairs, index) for index in range(len(pairs))]
    assert all(isinstance(result, PairMeasurements) for result in results)
    return [result for result in results if isinstance(result, PairMeasurements)]


def experiment_of(folder: Path, effort: Effort = EFFORT) -> tuple[Traits, str, Path]:
    usable = measured(folder)
    traits, splits = traits_of(usable), split_pairs(usable)
    assert splits is not None
    link_pairs(splits, match_folders(folder / "degraded", folder / "target").pairs, folder / "check")
    gates = ("latency: {limit_ms: 50, image: [48, 72]}",)
    text = recipe_text("By a test.\nOf two lines.", "my pairs", splits, traits, effort, gates, "check")
    file = folder / "experiment.yaml"
    file.write_text(text)
    return traits, text, file


def test_rare_spots_get_patches_that_hold_them(tmp_path: Path) -> None:
    """Two small spots a picture hold the error: patches are cut around them, and a mask says where to change."""
    write_pairs(tmp_path, 8, spots=2, gain=1.0)
    traits, text, file = experiment_of(tmp_path)
    assert traits.has_rare_spots and traits.image == SIZE and traits.smallest_side == 48
    recipe = load(file, Registry()).rows[0].recipe
    assert recipe.config["protocol"]["train"]["augment"]["spot_crop"]["share"] > 0
    assert recipe.config["model"]["head"]["name"] == "mask_blend"
    assert f"Spots cover {100 * traits.spot_share:.2g} % of the pixels" in text


def test_a_change_of_the_whole_picture_is_trained_on_all_patches(tmp_path: Path) -> None:
    """A gain has no spots to look for; its head is the equation of the degradation."""
    write_pairs(tmp_path, 8, spots=0, gain=0.9)
    traits, _, file = experiment_of(tmp_path)
    assert not traits.has_rare_spots
    config = load(file, Registry()).rows[0].recipe.config
    assert "spot_crop" not in config["protocol"]["train"]["augment"]
    assert config["model"]["head"]["name"] == "degradation"


def test_pictures_that_are_spots_all_over_have_no_rare_spots() -> None:
    """What covers a tenth of the pixels is in every patch; equal pictures have nothing to look for."""
    assert not Traits((400, 300), 300, spot_share=0.1, spot_energy=0.9).has_rare_spots
    assert not Traits((400, 300), 300, spot_share=0.0, spot_energy=0.0).has_rare_spots
    assert Traits((400, 300), 300, spot_share=0.01, spot_energy=0.9).has_rare_spots


def test_rows_rates_seeds_and_limits_are_those_of_the_effort(tmp_path: Path) -> None:
    """Each network is a row, each rate a candidate of tuning, the limit a gate; patches fit the images."""
    write_pairs(tmp_path, 8, spots=2, gain=1.0)
    _, text, file = experiment_of(tmp_path)
    assert text.startswith("# By a test.\n# Of two lines.\n")
    experiment = load(file, Registry())
    assert tuple(row.name for row in experiment.rows) == row_names(EFFORT.rivals)
    assert experiment.seeds == (0, 1) and experiment.tuning is not None
    assert list(experiment.tuning.candidates["base"]) == ["lr_0.001", "lr_0.003"]
    stage = experiment.rows[0].recipe.config["protocol"]["train"]
    assert stage["steps"] == 40 and stage["patch"] == 48
    assert experiment.rows[0].recipe.gates["latency"].image == SIZE


def test_a_single_rate_is_not_tuned(tmp_path: Path) -> None:
    """Nor does a single network have a table."""
    write_pairs(tmp_path, 8, spots=2, gain=1.0)
    _, text, file = experiment_of(tmp_path, Effort(RIVALS[:1], 10, (2e-3,), 1))
    assert "tuning" not in text and "tables" not in text
    assert load(file, Registry()).rows[0].recipe.config["protocol"]["train"]["lr"] == 2e-3
