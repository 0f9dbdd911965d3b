"""`restore`: a folder of images goes through a trained row."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from benchmark.cli.restore import command
from benchmark.data.image_io import read_image
from benchmark.files import write_json
from benchmark.inference.runtimes import runtime_names
from benchmark.model import build, load, restore_image
from benchmark.model.weight_files import write_weights

ROOT = Path(__file__).parents[2]
MODEL = {"backbone": {"name": "nafnet", "width": 4, "depths": [1, 1, 1]}, "head": {"name": "rgb"}}
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a trained row and three images of other sizes, one of them in a sub-folder."""
    write_weights(build(MODEL), tmp_path / "row/weights.safetensors")
    write_json(tmp_path / "row/record.json", {"status": "done", "config": {"model": MODEL}})
    rng = np.random.default_rng(0)
    for name, sides in {"a.png": (20, 31), "more/b.1.jpg": (48, 33), "c.bmp": (9, 9)}.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*sides, 3), np.uint8)).save(tmp_path / "images" / name)
    return tmp_path


@pytest.fixture
def call(folder: Path, command: Call) -> Call:
    """`python -m benchmark restore ...` in that folder: exit code, stdout, stderr."""
    return partial(command, "restore", cwd=folder)


def test_names_and_pixels(call: Call, folder: Path) -> None:
    """Every image becomes a PNG of its name with what the network makes of it."""
    code, out, err = call("row", "images", "out", "--device", "cpu")
    assert (code, out) == (0, "3 images restored in out\n"), err
    restorer = load("row")
    for name, given in {"a": "a.png", "more/b.1": "more/b.1.jpg", "c": "c.bmp"}.items():
        expected = restore_image(restorer, read_image(folder / "images" / given).copy(), torch.device("cpu"))
        difference = np.abs(read_image(folder / f"out/{name}.png").astype(int) - expected)
        assert difference.max() <= 1


def test_what_is_there_stays(call: Call, folder: Path) -> None:
    """A second call restores nothing, --replace everything; in tiles the result has the same size."""
    (folder / "out").mkdir()
    Image.new("RGB", (2, 2)).save(folder / "out/a.png")
    assert call("row", "images", "out")[1] == "2 images restored in out, 1 were there already\n"
    assert read_image(folder / "out/a.png").shape == (2, 2, 3)
    assert call("row", "images", "out")[1] == "0 images restored in out, 3 were there already\n"
    code, out, err = call("row", "images", "out", "--replace", "--tile", 16, "--overlap", 4)
    assert (code, out) == (0, "3 images restored in out\n"), err
    assert read_image(folder / "out/a.png").shape == (20, 31, 3)


def test_bad_images_do_not_stop_the_others(call: Call, folder: Path) -> None:
    """They are told at the end, one line each, and the exit code is 1."""
    (folder / "images/a2.png").write_bytes(b"no image")
    (folder / "images/b.png").write_bytes((folder / "images/a.png").read_bytes()[:300])
    code, out, err = call("row", "images", "out")
    assert code == 1 and out == "3 images restored in out, 2 failed\n"
    told = [line for line in err.splitlines() if line.startswith("not restored: ")]
    assert [line.split()[2] for line in told] == ["images/a2.png:", "images/b.png:"]
    assert not (folder / "out/a2.png").exists() and not list((folder / "out").glob(".*"))


def test_what_a_result_has_not_is_told_for_each_file(call: Call, folder: Path) -> None:
    """Alpha, a profile that is not sRGB, 16 bits, further frames; nothing is said of plain images and of sRGB."""
    image = Image.open(folder / "images/a.png")
    image.save(
        folder / "images/srgb.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    image.save(folder / "images/lab.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())
    Image.fromarray(np.full((9, 9, 4), 100, np.uint8)).save(folder / "images/alpha.png")
    Image.fromarray(np.full((9, 9), 30_000, np.uint16)).save(folder / "images/deep.png")
    image.save(folder / "images/film.webp", save_all=True, append_images=[image.rotate(90), image.rotate(180)])
    code, out, err = call("row", "images", "out")
    assert (code, out) == (0, "8 images restored in out\n")
    assert sorted(line for line in err.splitlines() if line.startswith("note: images")) == [
        "note: images/alpha.png: the result has not its alpha channel",
        "note: images/deep.png: the result has not its 16 bits a channel (the upper 8 are restored)",
        "note: images/film.webp: the result has not its further 2 frames or pages",
        "note: images/lab.png: the result has not its colour profile (numbers are taken as sRGB)",
    ]


def test_the_longest_names_are_restored(call: Call, folder: Path) -> None:
    """A name of 255 bytes leaves no room for a longer one beside it while the file is written."""
    for name in ("x" * 251, "é" * 125 + "y"):
        Image.new("RGB", (9, 9)).save(folder / f"images/{name}.bmp")
    code, out, err = call("row", "images", "out")
    assert (code, out) == (0, "5 images restored in out\n"), err
    assert sum(len(os.fsencode(file.name)) == 255 for file in (folder / "out").iterdir()) == 2


def test_a_result_that_cannot_be_written_does_not_stop_the_others(call: Call, folder: Path) -> None:
    """A folder in the place of one result, a file in the place of the folder of another."""
    (folder / "out/a.png").mkdir(parents=True)
    (folder / "out/more").write_text("")
    code, out, err = call("row", "images", "out", "--replace")
    assert (code, out) == (1, "1 image restored in out, 2 failed\n")
    assert "not restored: out/a.png: cannot be written: is a folder, not a file" in err
    assert "not restored: out/more/b.1.png: cannot be written" in err


def test_tiles_restore_as_the_whole_where_the_network_is_local(call: Call, folder: Path) -> None:
    """Byte for byte; a network that looks farther is named once, and restored all the same."""
    local = {"backbone": {"name": "dncnn", "width": 4, "depth": 3, "norm": "none"}, "head": {"name": "residual"}}
    write_weights(build(local, 1), folder / "local/weights.safetensors")
    write_json(folder / "local/record.json", {"status": "done", "config": {"model": local}})
    assert call("local", "images", "whole")[0] == 0
    code, _, err = call("local", "images", "tiles", "--tile", 16, "--overlap", 0)
    assert code == 0 and "note" not in err
    for file in (folder / "whole").rglob("*.png"):
        assert file.read_bytes() == (folder / "tiles" / file.relative_to(folder / "whole")).read_bytes()
    code, _, err = call("row", "images", "far", "--tile", 16, "--overlap", 4)
    assert code == 0 and err.count("note: the network looks farther than a tile, or") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["row", "images", "images/out"], "images/out: is inside the folder of images"),
        (["row", "images", "images"], "images: is inside the folder of images"),
        (["row", "nowhere", "out"], "nowhere: no such folder"),
        (["images", "images", "out"], "images: no record of a trained row"),
        (["row", "images", "out", "--tile", "32"], "--overlap 32: it must be below --tile 32"),
        (["row", "images", "out", "--device", "cpu", "--runtime", "cuda_graph"], "runtime cuda_graph: only on cuda"),
    ],
)
def test_mistakes_are_one_line(call: Call, folder: Path, arguments: list[str], message: str) -> None:
    """Nothing is written."""
    code, _, err = call(*arguments)
    assert code == 2
    assert message in err and "Traceback" not in err
    assert not (folder / "out").exists()


def test_the_runtimes_are_those_there_are() -> None:
    """`--runtime` offers every runtime: the list is written out so that help needs no torch."""
    (runtime,) = (option for option in command.params if option.name == "runtime")
    assert isinstance(runtime.type, click.Choice)
    assert set(runtime.type.choices) == {*runtime_names("cpu"), *runtime_names("cuda")}


@pytest.mark.slow
def test_an_interrupted_command_goes_on(folder: Path) -> None:
    """After Ctrl-C every file that is there is whole, and the same command does the rest."""
    for index in range(200):
        Image.new("RGB", (200, 200), (index, 0, 0)).save(folder / f"images/many_{index:03}.png")
    arguments = [sys.executable, "-m", "benchmark", "restore", "row", "images", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        arguments, cwd=folder, env=environment, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True
    ) as process:
        while not (folder / "out/many_005.png").exists():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on from there" in err and "Traceback" not in err
    finished = list((folder / "out").rglob("*.png"))
    assert 5 < len(finished) < 203
    for file in finished:
        read_image(file)
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == f"{203 - len(finished)} images restored in out, {len(finished)} were there already\n"
