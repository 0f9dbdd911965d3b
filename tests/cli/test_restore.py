"""`restore`: a folder of images goes through a trained row."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from benchmark.cli.restore import command
from benchmark.data.image_io import read_image
from benchmark.files import write_json
from benchmark.inference.int8 import FILE
from benchmark.inference.network import load as load_network
from benchmark.inference.onnx import INPUT, OUTPUT
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


def write_row(folder: Path, head: dict[str, Any]) -> None:
    """Write a trained row whose network has another head."""
    model = {"backbone": MODEL["backbone"], "head": head}
    write_weights(build(model), folder / "weights.safetensors")
    write_json(folder / "record.json", {"status": "done", "config": {"model": model}})


def opened(file: Path) -> Any:
    """The image as Pillow reads it, with no file left open."""
    return Image.open(io.BytesIO(file.read_bytes()))


def test_names_formats_and_pixels(call: Call, folder: Path) -> None:
    """Every image becomes a file of its name and format with what the network makes of it, and is named."""
    code, out, err = call("row", "images", "out", "--device", "cpu")
    assert code == 0, err
    assert out.splitlines() == [
        "3 images to restore with row",
        "restored images/a.png -> out/a.png",
        "restored images/c.bmp -> out/c.bmp",
        "restored images/more/b.1.jpg -> out/more/b.1.jpg",
        "3 images restored, 0 skipped, 0 failed",
    ]
    restorer = load("row")
    for name, tolerance in {"a.png": 1, "more/b.1.jpg": 60, "c.bmp": 1}.items():
        expected = restore_image(restorer, read_image(folder / "images" / name).copy(), torch.device("cpu"))
        assert np.abs(read_image(folder / "out" / name).astype(int) - expected).max() <= tolerance
        assert opened(folder / "out" / name).format == opened(folder / "images" / name).format


def test_every_file_is_named(call: Call, folder: Path) -> None:
    """Restored, skipped and why, or failed; a second call restores nothing and needs no network."""
    (folder / "out").mkdir()
    Image.new("RGB", (2, 2)).save(folder / "out/a.png")
    (folder / "images/notes.txt").write_text("")
    (folder / "images/d.png").write_bytes((folder / "images/a.png").read_bytes()[:300])
    code, out, err = call("row", "images", "out")
    assert code == 1 and out.splitlines()[-1] == "2 images restored, 2 skipped, 1 failed"
    assert "skipped images/a.png: out/a.png is there already; --replace restores it anew" in out
    assert "skipped images/notes.txt: no image by its suffix" in out
    assert err.startswith("failed images/d.png: not a readable image")
    assert read_image(folder / "out/a.png").shape == (2, 2, 3)
    assert not (folder / "out/d.png").exists() and not list((folder / "out").glob(".*"))
    (folder / "images/d.png").unlink()
    (folder / "row/weights.safetensors").unlink()
    code, out, _ = call("row", "images", "out")
    assert code == 0 and out.splitlines()[-1] == "0 images restored, 4 skipped, 0 failed"


def test_a_link_that_leads_nowhere_is_named_and_does_not_stop_the_others(call: Call, folder: Path) -> None:
    """It is an image that cannot be read, in a folder and behind a pattern."""
    (folder / "images/d.png").symlink_to("nowhere.png")
    for images, counts in (("images", "3 images restored"), ("images/*.png", "1 image restored")):
        code, out, err = call("row", images, f"out_{len(images)}")
        assert code == 1 and out.splitlines()[-1] == f"{counts}, 0 skipped, 1 failed"
        assert err.startswith("failed images/d.png: ")


def test_pictures_that_are_missing_are_added_beside_finished_results(call: Call, folder: Path) -> None:
    """A result that is there stays as it is; a third call has nothing to do."""
    assert call("row", "images/*.png", "out")[0] == 0
    Image.new("RGB", (2, 2)).save(folder / "out/a.png")
    code, out, _ = call("row", "images/*.png", "out", "--compare", "side")
    assert code == 0 and "restored images/a.png -> out/a.png (its file was there and stays)" in out
    assert read_image(folder / "out/a.png").shape == (2, 2, 3)
    assert read_image(folder / "side/a.png").shape == (20, 62, 3)
    assert "0 images restored, 1 skipped" in call("row", "images/*.png", "out", "--compare", "side")[1]


def test_replace(call: Call, folder: Path) -> None:
    """--replace restores everything again; in tiles the result has the same size."""
    (folder / "out").mkdir()
    Image.new("RGB", (2, 2)).save(folder / "out/a.png")
    code, out, err = call("row", "images", "out", "--replace", "--tile", 16, "--overlap", 4)
    assert (code, out.splitlines()[-1]) == (0, "3 images restored, 0 skipped, 0 failed"), err
    assert read_image(folder / "out/a.png").shape == (20, 31, 3)


def test_a_file_a_pattern_and_the_streams(folder: Path, call: Call) -> None:
    """One file to a file of another format, into a folder, from and to the streams; a pattern keeps sub-folders."""
    assert call("row", "images/a.png", "better.jpg")[0] == 0
    assert opened(folder / "better.jpg").format == "JPEG"
    assert call("row", "images/a.png", "images/c.bmp", "two")[0] == 0
    assert {file.name for file in (folder / "two").iterdir()} == {"a.png", "c.bmp"}
    assert call("row", "images/**/*.jpg", "pattern")[0] == 0
    assert (folder / "pattern/more/b.1.jpg").is_file()
    arguments = [sys.executable, "-m", "benchmark", "restore", "row", "-", "-"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    content = (folder / "images/a.png").read_bytes()
    done = subprocess.run(arguments, cwd=folder, env=environment, input=content, capture_output=True, check=True)
    (folder / "stream.png").write_bytes(done.stdout)
    assert call("row", "images/a.png", "again.png")[0] == 0
    assert np.array_equal(read_image(folder / "stream.png"), read_image(folder / "again.png"))
    assert b"restored standard input -> standard output" in done.stderr


def test_a_photo_comes_back_as_a_photo(call: Call, folder: Path) -> None:
    """EXIF data, profile, quality, alpha, 16 bits and frames through the whole command; losses are named."""
    image = opened(folder / "images/a.png")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    image.save(folder / "images/photo.jpg", quality=61, subsampling=2, exif=exif, icc_profile=profile)
    image.convert("RGBA").save(folder / "images/alpha.png")
    image.convert("L").save(folder / "images/grey.png")
    Image.fromarray(np.full((9, 9), 30_000, np.uint16)).save(folder / "images/deep.png")
    image.save(folder / "images/film.gif", save_all=True, append_images=[image.rotate(90), image.rotate(180)])
    code, out, _ = call("row", "images", "out")
    assert (code, out.splitlines()[-1]) == (0, "8 images restored, 0 skipped, 0 failed")
    before, after = (opened(folder / place / "photo.jpg") for place in ("images", "out"))
    assert isinstance(before, JpegImageFile) and isinstance(after, JpegImageFile)
    assert after.quantization == before.quantization and after.info["icc_profile"] == profile
    assert after.getexif()[ExifTags.Base.Make] == "Maker"
    modes = {name: opened(folder / "out" / name).mode for name in ("alpha.png", "grey.png", "deep.png")}
    assert modes == {"alpha.png": "RGBA", "grey.png": "L", "deep.png": "I;16"}
    assert getattr(opened(folder / "out/film.gif"), "n_frames", 1) == 3
    assert "restored images/film.gif -> out/film.gif (in 256 colours a frame)" in out


def test_strength_ensemble_and_pictures(call: Call, folder: Path) -> None:
    """Strength 0 gives the image itself; a comparison is twice as wide; maps lie in a folder of their name."""
    assert call("row", "images/a.png", "zero.png", "--strength", 0)[0] == 0
    assert np.array_equal(read_image(folder / "zero.png"), read_image(folder / "images/a.png"))
    assert call("row", "images/a.png", "many.png", "--ensemble", "--compare", "side")[0] == 0
    many, side = read_image(folder / "many.png"), read_image(folder / "side/a.png")
    assert np.array_equal(side[:, :31], read_image(folder / "images/a.png")) and np.array_equal(side[:, 31:], many)
    write_row(folder / "mapped/seed0", {"name": "degradation"})
    code, _, err = call("mapped", "images", "out", "--maps", "maps")
    assert code == 0, err
    assert {file.relative_to(folder / "maps").as_posix() for file in (folder / "maps").rglob("*.png")} == {
        f"{name}/{image}.png" for name in ("gain", "spots") for image in ("a", "c", "more/b.1")
    }


def test_every_map_of_an_image_must_be_there(call: Call, folder: Path) -> None:
    """One that is there hides no other one, nor does a folder of the user's beside them; a third call has no work."""
    write_row(folder / "mapped", {"name": "degradation"})
    arguments = ("mapped", "images", "out", "--maps", "maps")
    assert call(*arguments)[0] == 0
    (folder / "maps/own").mkdir()
    for missing in (["gain"], ["spots"], ["gain", "spots"]):
        for name in missing:
            (folder / f"maps/{name}/c.png").unlink()
        assert "1 image restored, 2 skipped" in call(*arguments)[1], missing
        assert all((folder / f"maps/{name}/c.png").is_file() for name in missing)
    shutil.rmtree(folder / "maps/spots")
    assert "3 images restored, 0 skipped" in call(*arguments)[1]
    assert "0 images restored, 3 skipped" in call(*arguments)[1]


@pytest.mark.parametrize("head", [{"name": "rgb"}, {"name": "degradation", "gain_channels": 3}, {"name": "mask_blend"}])
def test_a_second_call_with_maps_restores_nothing_again(call: Call, folder: Path, head: dict[str, Any]) -> None:
    """Whatever maps the head has; where it has none that a picture can show, a note says so."""
    write_row(folder / "mapped", head)
    arguments = ("mapped", "images", "out", "--maps", "maps")
    code, out, err = call(*arguments)
    assert code == 0 and "3 images restored, 0 skipped" in out
    assert ("note: --maps writes nothing: the head of mapped predicts no map" in err) == (head["name"] == "rgb")
    assert (folder / "maps").exists() == (head["name"] != "rgb")
    assert "0 images restored, 3 skipped" in call(*arguments)[1]


def test_the_longest_names_are_restored(call: Call, folder: Path) -> None:
    """A name of 255 bytes leaves no room for a longer one beside it while the file is written."""
    for name in ("x" * 251, "é" * 125 + "y"):
        Image.new("RGB", (9, 9)).save(folder / f"images/{name}.bmp")
    code, out, err = call("row", "images", "out")
    assert (code, out.splitlines()[-1]) == (0, "5 images restored, 0 skipped, 0 failed"), err
    assert sum(len(os.fsencode(file.name)) == 255 for file in (folder / "out").iterdir()) == 2


def test_a_result_that_cannot_be_written_does_not_stop_the_others(call: Call, folder: Path) -> None:
    """A folder in the place of one result, a file in the place of the folder of another."""
    (folder / "out/a.png").mkdir(parents=True)
    (folder / "out/more").write_text("")
    code, out, err = call("row", "images", "out", "--replace")
    assert (code, out.splitlines()[-1]) == (1, "1 image restored, 0 skipped, 2 failed")
    assert "failed out/a.png: cannot be written: is a folder, not a file" in err
    assert "failed out/more/b.1.jpg: cannot be written" in err


def test_tiles_restore_as_the_whole_where_the_network_is_local(call: Call, folder: Path) -> None:
    """Byte for byte; of a network that looks farther a note says by how much the result differs."""
    local = {"backbone": {"name": "dncnn", "width": 4, "depth": 3, "norm": "none"}, "head": {"name": "residual"}}
    write_weights(build(local, 1), folder / "local/weights.safetensors")
    write_json(folder / "local/record.json", {"status": "done", "config": {"model": local}})
    assert call("local", "images", "whole", "--whole", "--format", "png")[0] == 0
    code, _, err = call("local", "images", "tiles", "--tile", 16, "--overlap", 0, "--format", "png")
    assert code == 0 and "note" not in err
    files = list((folder / "whole").rglob("*.png"))
    assert len(files) == 3
    for file in files:
        assert file.read_bytes() == (folder / "tiles" / file.relative_to(folder / "whole")).read_bytes()
    code, _, err = call("row", "images", "far", "--tile", 16, "--overlap", 4)
    assert code == 0 and err.count("note: the network looks at the whole image: in tiles of 16 pixels") == 1
    assert "levels of 255 on average" in err


def test_the_first_line_comes_at_once(folder: Path) -> None:
    """Before torch is imported: the user sees within a moment what is going to happen."""
    arguments = [sys.executable, "-m", "benchmark", "restore", "row", "images", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(arguments, cwd=folder, env=environment, stdout=subprocess.PIPE, encoding="utf-8") as process:
        started = time.perf_counter()
        assert process.stdout and process.stdout.readline() == "3 images to restore with row\n"
        assert time.perf_counter() - started < 3
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["row", "images", "images/out"], "images/out: is inside the folder of images"),
        (["row", "images", "images"], "images: is inside the folder of images"),
        (["row", "nowhere", "out"], "nowhere: no such file or folder"),
        (["row", "nowhere.png", "out.png"], "nowhere.png: no such image; expected a file, a folder, a pattern or -"),
        (["row", "nothing/*.png", "out"], "nothing/*.png: matches no file"),
        (["row", "images/a.png", "images/a.png"], "images/a.png: is the image itself"),
        (["row", "images/a.png", "images"], "images/a.png: is the image itself"),
        (["row", "images/a.png", "out.gif"], "out.gif: cannot be written in this format; use one of .jpg, .png,"),
        (["row", "images", "out.png"], "out.png: is the name of one image, and there may be several"),
        (["row", "images", "-"], "- stands for one image: give one file or -"),
        (["row", "images", "out", "--strength", "1.5"], "1.5 is not in the range 0<=x<=1"),
        (["row", "images", "out", "--maps", "maps", "--ensemble"], "--maps: leave out --tile, --ensemble"),
        (["row", "images", "out", "--compare", "out"], "out/a.png: would be a result and a picture"),
        (["row", "images", "row/record.json"], "row/record.json: is a file; name a folder for the results"),
        (["row", "images", "out", "--maps", "row/record.json"], "row/record.json: is a file; name a folder"),
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
        arguments,
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    ) as process:
        while not (folder / "out/many_005.png").exists():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on from there" in err and "Traceback" not in err
    finished = [file for file in (folder / "out").rglob("*.*") if file.is_file()]
    assert 5 < len(finished) < 203
    for file in finished:
        read_image(file)
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=True)
    last = f"{203 - len(finished)} images restored, {len(finished)} skipped, 0 failed"
    assert done.stdout.splitlines()[-1] == last


@pytest.fixture
def inverting_file(folder: Path) -> Path:
    """A file in 8 bits of the row, which any image tells from its weights: it inverts."""
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    sides: list[Any] = [1, 3, "height", "width"]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, sides) for name in (INPUT, OUTPUT)]
    one = onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [1], [1.0])
    node = onnx.helper.make_node("Sub", ["one", INPUT], [OUTPUT])
    graph = onnx.helper.make_graph([node], "inverts", ends[:1], ends[1:], [one])
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9)
    (folder / "row" / FILE).write_bytes(model.SerializeToString())
    return folder / "row"


def test_a_row_in_8_bits_restores_with_the_file_that_was_scored(call: Call, folder: Path, inverting_file: Path) -> None:
    """On the command line and from Python alike; where its weights are asked for, it says so."""
    code, _, err = call("row", "images/a.png", "a.png", "--device", "cpu")
    assert code == 0 and "note: with the file in 8 bits that the row was scored with" in err
    image = read_image(folder / "images/a.png").copy()
    assert np.array_equal(read_image(folder / "a.png"), 255 - image)
    network = load_network(inverting_file)
    assert np.array_equal(network.restore(image), 255 - image) and "in 8 bits" in repr(network)
    _, _, err = call("row", "images/a.png", "b.png", "--device", "cpu", "--runtime", "channels_last")
    assert "its weights before that are used" in err
    assert np.array_equal(read_image(folder / "b.png"), restore_image(load(inverting_file), image, torch.device("cpu")))
