"""Splits that share an image are found by its pixels."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from benchmark.data import Source
from benchmark.data.cache import cached
from benchmark.data.sources.multiple import Multiple
from benchmark.data.sources.noise import Noise
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.data.split_leakage import check_contents
from benchmark.errors import DataError
from benchmark.experiment.schema import SourceSpec
from benchmark.registry import Registry


def ready(source: Source, root: Path) -> Source:
    return cached(source, root, 1)


@pytest.fixture
def copy(pairs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pairs, tmp_path / "copy"))


def splits(folder: Path, root: Path) -> dict[str, Source]:
    names = ("train", "val", "test")
    return {
        split: ready(PairedFolders(folder / split / "degraded", folder / split / "target"), root) for split in names
    }


def test_splits_without_a_common_image_pass(copy: Path, tmp_path: Path) -> None:
    """Different pictures are no mistake, also not when names are equal."""
    check_contents("base", splits(copy, tmp_path / "cache"))


@pytest.mark.parametrize("side", ["target", "degraded"])
def test_a_common_image_is_named_in_both_splits(copy: Path, tmp_path: Path, side: str) -> None:
    """Under another name, in another format, with another partner: the pixels tell."""
    image = Image.open(copy / "train" / side / "picture_01.png")
    (copy / "test" / side / "picture_00.png").unlink()
    image.save(copy / "test" / side / "picture_00.bmp")
    with pytest.raises(DataError) as error:
        check_contents("base", splits(copy, tmp_path / "cache"))
    assert str(error.value).startswith(
        f"row base: data.train and data.test share images, 1 in all: 'picture_01' ({side}) of train is "
        f"'picture_00' ({side}) of test, pixel for pixel"
    )


def test_what_was_changed_is_looked_at_again(copy: Path, tmp_path: Path) -> None:
    """A copy that was made after the first run is found by the second."""
    check_contents("base", splits(copy, tmp_path / "cache"))
    shutil.copy(copy / "train/target/picture_00.png", copy / "val/target/picture_00.png")
    with pytest.raises(DataError, match=r"'picture_00' \(target\) of train is 'picture_00' \(target\) of val"):
        check_contents("base", splits(copy, tmp_path / "cache"))


def test_an_image_within_a_mix_is_found(copy: Path, tmp_path: Path) -> None:
    """Noise differs between splits, the clean picture below it does not."""

    def noise(split: str, seed: int) -> SourceSpec:
        return SourceSpec.model_validate({"source": "noise", "folder": copy / split / "target", "seed": seed})

    mix = ready(Multiple([noise("train", 0), noise("val", 0)], Registry()), tmp_path / "cache")
    test = ready(Noise(copy / "val/target", seed=1), tmp_path / "cache")
    with pytest.raises(DataError, match=r"share images, 2 in all: 'picture_00' \(target\) of train"):
        check_contents("base", {"train": mix, "test": test})
