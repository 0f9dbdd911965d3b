"""`data show`: one picture of pairs, before and after augmentation."""

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from benchmark.cli.data.show import command
from benchmark.errors import BenchmarkError

ROOT = Path(__file__).parents[2]
TILE_PX, GAP_PX = 256, 6


def show(*arguments: object) -> None:
    command.main([str(argument) for argument in arguments], standalone_mode=False)


def tiles(file: Path) -> list[list[np.ndarray]]:
    """The pictures of a sheet, column by column, without the labels at the left."""
    sheet = np.asarray(Image.open(file).convert("RGB"))
    rows, columns = ((side - GAP_PX) // (TILE_PX + GAP_PX) for side in sheet.shape[:2])
    places = [range(GAP_PX, count * (TILE_PX + GAP_PX), TILE_PX + GAP_PX) for count in (rows, columns)]
    return [[sheet[y : y + TILE_PX, x : x + TILE_PX] for y in places[0]] for x in places[1]][1:]


@pytest.fixture
def source(pairs: Path) -> str:
    """A source of two pairs, as the command line takes it."""
    return f"paired_folders: {{degraded: {pairs}/val/degraded, target: {pairs}/val/target}}"


def test_pairs_of_an_experiment(command: Callable[..., tuple[int, str, str]], experiment_file: Path) -> None:
    """Four rows a pair, the whole small images, and their names."""
    code, out, err = command("data", "show", experiment_file, "--split", "val", "--out", "a/b.png")
    assert code == 0, err
    assert "patches of 64 pixels" in out and "picture_00" in out and "picture_01" in out
    columns = tiles(experiment_file.parent / "a/b.png")
    assert [len(column) for column in columns] == [4, 4]
    for degraded, target, difference, spots in columns:
        levels = np.abs(degraded.astype(int) - target).max(2)
        assert np.array_equal(difference[..., 0], np.minimum(4 * levels, 255))
        assert set(np.unique(spots)) == {0, 255} and (spots[levels > 30] == 255).all()


def test_statistics_are_of_whole_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --statistics the numbers are printed, whatever patch is drawn; without it they are not."""
    arguments = ("--source", "synthetic_faces: {preset: severe, size: 96}", "--count", 2, "--out", tmp_path / "a.png")
    show(*arguments, "--patch", 16, "--statistics")
    small = capsys.readouterr().out.splitlines()
    show(*arguments, "--statistics")
    assert small[1:] == capsys.readouterr().out.splitlines()[1:]
    assert small[1].endswith("of 2 pairs") and small[3].startswith("PSNR without spots") and " dB [" in small[3]
    show(*arguments)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_after_stands_below_before(source: str, tmp_path: Path) -> None:
    """Options in YAML act; what is not augmented is the same above and below."""
    file = tmp_path / "sheet.png"
    show("--source", source, "--patch", 32, "--augment", "jpeg: {probability: 1, quality_range: [5, 5]}", "--out", file)
    columns = tiles(file)
    assert [len(column) for column in columns] == [8, 8]
    for column in columns:
        assert np.array_equal(column[1], column[5])
        assert np.abs(column[0].astype(int) - column[4]).mean() > 2


def test_several_augmentations_act_in_their_order(source: str, tmp_path: Path) -> None:
    """Two gains of a half on the degraded image make a quarter; equal commands make equal files."""
    gain = "channel_gain: {gain_range: [0.5, 0.5]}"
    for name in ("first.png", "second.png"):
        show(
            "--source",
            source,
            "--augment",
            gain,
            "--augment",
            "flip",
            "--augment",
            "spot_crop",
            "--out",
            tmp_path / name,
        )
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    brightness = [np.mean([column[row].mean() for column in tiles(tmp_path / "first.png")]) for row in (1, 5)]
    assert brightness[1] == pytest.approx(brightness[0] / 2, rel=0.05)
    show("--source", source, "--augment", gain, "--seed", 1, "--count", 1, "--patch", 20, "--out", tmp_path / "one.png")
    assert len(tiles(tmp_path / "one.png")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--augment", "mask_shfit"], "no augmentation 'mask_shfit'; did you mean 'mask_shift'"),
        (
            ["--augment", "jpeg: {quality: 1}"],
            "--augment jpeg: augmentation 'jpeg' has no option 'quality'; did you mean 'quality_range'",
        ),
        (
            ["--augment", "jpeg: {probability: often}"],
            "--augment jpeg: augmentation 'jpeg', option 'probability': ",
        ),
        (["--augment", "jpeg: {probability: 2}"], "probability is 2.0; it must be from 0 to 1"),
        (["--augment", "{jpeg: {}, flip: {}}"], "write one name"),
        (["--augment", "jpeg: {"], "--augment:1"),
        (["--augment", "spot_crop", "--augment", "random_resize"], "both choose where a patch is cut"),
        (["--patch", "65"], "64x64 pixels, smaller than the patch of 65"),
    ],
)
def test_mistakes_are_errors(source: str, tmp_path: Path, arguments: list[str], message: str) -> None:
    """One line with what was given and what is known, and no picture."""
    with pytest.raises(BenchmarkError) as error:
        show("--source", source, *arguments, "--out", tmp_path / "sheet.png")
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [[], ["x.yaml", "--source", "synthetic_faces"], ["--source", "f", "--set", "a=1"]]
)
def test_one_origin_is_needed(arguments: list[str]) -> None:
    """An experiment or a source, and --set only with an experiment."""
    with pytest.raises(click.UsageError, match="name either the FILE of an experiment"):
        show(*arguments)
