"""`data render` as a user meets it: the whole command line, real folders, real workers."""

import json
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
import yaml
from PIL import Image

from benchmark.cli.data import COMMANDS, command
from benchmark.cli.data.render import command as render
from benchmark.data.image_io import parallel_map, read_image
from benchmark.data.sources import open_source
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.data.sources.synthetic_faces import SyntheticFaces
from benchmark.errors import DataError
from benchmark.registry import Registry
from benchmark.synthetic_faces import PRESETS, draw_portrait

ROOT = Path(__file__).parents[2]


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(command: Call) -> Call:
    """`python -m benchmark data ...` in a temporary folder: exit code, stdout, stderr."""
    return partial(command, "data")


def test_the_table_names_the_commands() -> None:
    """The group lists what its table says, and refuses other names."""
    context = click.Context(command)
    assert command.list_commands(context) == list(COMMANDS)
    assert command.get_command(context, "render") is render
    with pytest.raises(click.UsageError, match="did you mean 'render'"):
        command.get_command(context, "rendr")


def test_presets_are_those_of_the_generator() -> None:
    """`--preset` offers every preset there is: the list is written out so that help needs no numpy."""
    (preset,) = (option for option in render.params if option.name == "preset")
    assert isinstance(preset.type, click.Choice) and set(preset.type.choices) == set(PRESETS)


def test_drawn_pairs_are_written_and_can_be_used(call: Call, tmp_path: Path) -> None:
    """The PNG and the maps are those of the source; the lines at the end are YAML that opens the folder."""
    arguments = ("render", "--preset", "severe", "--count", 9, "--size", 64, "--seed", 3, "--maps")
    code, out, err = call(*arguments, "--out", "my 'pairs'")
    assert code == 0, err
    assert "9 pairs in my 'pairs'" in err
    folder, source = tmp_path / "my 'pairs'", SyntheticFaces("severe", 9, 64, 3)
    pairs = PairedFolders(folder / "degraded", folder / "target")
    assert len(pairs) == 9
    for index in (0, 8):
        written, drawn = pairs.read(index), source.read(index)
        np.testing.assert_array_equal(written.degraded, drawn.degraded)
        np.testing.assert_array_equal(written.target, drawn.target)
        with np.load(folder / "maps" / f"{drawn.name}.npz") as maps:
            np.testing.assert_array_equal(maps["gain"], drawn.gain)
            np.testing.assert_array_equal(maps["spots"], drawn.spots)
    settings = yaml.safe_load(out[out.index("data:") :])["data"]["train"]
    assert open_source(settings, Registry()).fingerprint == pairs.fingerprint


def test_clean_faces_are_damaged(call: Call, tmp_path: Path) -> None:
    """`--clean` damages the faces of a split, all of them before any a second time."""
    (tmp_path / "clean").mkdir()
    for seed, name in enumerate("abc"):
        image = draw_portrait(np.random.default_rng(seed), 80).image
        Image.fromarray(np.uint8(255 * image)).save(tmp_path / f"clean/{name}.png")
    (tmp_path / "clean/splits.json").write_text(json.dumps({"train": ["a.png", "c.png"], "test": ["b.png"]}))
    arguments = ("render", "--clean", "clean", "--split", "train", "--size", 64)
    code, _, err = call(*arguments, "--count", 3, "--out", "three")
    assert code == 0, err
    assert [file.stem for file in sorted((tmp_path / "three/degraded").iterdir())] == ["a__v0", "a__v1", "c__v0"]
    assert read_image(tmp_path / "three/target/c__v0.png").shape == (64, 64, 3)
    assert not (tmp_path / "three/maps").exists()
    code, _, err = call(*arguments, "--out", "each")
    assert code == 0 and "2 pairs in each" in err


def test_nothing_is_overwritten_unasked(call: Call, tmp_path: Path) -> None:
    """Pairs stay without --force; with it the old ones go; a folder of someone else's is never touched."""
    arguments = ("render", "--size", 64, "--out", "faces")
    assert call(*arguments, "--count", 2)[0] == 0
    code, _, err = call(*arguments, "--count", 1)
    assert code == 2 and "error: faces: has pairs already; choose another --out, or --force to delete them" in err
    assert call(*arguments, "--count", 1, "--force")[0] == 0
    assert [file.name for file in (tmp_path / "faces/target").iterdir()] == ["face_0000.png"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/precious.txt").write_text("x")
    code, _, err = call("render", "--count", 1, "--out", "mine", "--force")
    assert code == 2 and "error: mine: not an empty folder, and not written by `data render`" in err
    assert (tmp_path / "mine/precious.txt").read_text() == "x" and len(list((tmp_path / "mine").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", 10], "size is 10 px; it must be from 64 to 4096"),
        (["--size", 0], "size is 0 px; it must be from 64 to 4096"),
        (["--split", "train"], "--split and --masks belong to --clean FOLDER"),
        (["--clean", "nowhere"], "nowhere: no such folder"),
        (["--preset", "mild"], "'contest', 'heavy', 'severe'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(call: Call, tmp_path: Path, arguments: list, message: str) -> None:
    """What is wrong is reported before anything is written."""
    code, _, err = call("render", *arguments, "--out", "faces")
    assert code == 2
    assert message in err and "Traceback" not in err
    assert not (tmp_path / "faces").exists()


def test_a_folder_that_cannot_be_written_is_an_error(call: Call, tmp_path: Path) -> None:
    """The message names the folder and the reason."""
    (tmp_path / "file").write_text("")
    code, _, err = call("render", "--count", 1, "--size", 64, "--out", "file/faces")
    assert code == 2 and "error: file/faces" in err and "Not a directory" in err and "Traceback" not in err


def test_results_come_in_order_whatever_the_workers() -> None:
    """One process or two, the results are the same and in order; an error in a worker arrives."""
    assert list(parallel_map(str, 20, 1)) == list(parallel_map(str, 20, 2)) == [str(index) for index in range(20)]
    with pytest.raises(DataError, match="there are 8"):
        list(parallel_map(SyntheticFaces(count=8, size=64).read, 9, 2))


@pytest.mark.slow
def test_ctrl_c_ends_workers_and_says_so(tmp_path: Path) -> None:
    """Ctrl-C to all processes gives one line and no traceback; the same command with --force starts again."""
    arguments = [
        sys.executable,
        "-m",
        "benchmark",
        "data",
        "render",
        "--count",
        "300",
        "--size",
        "256",
        "--out",
        "faces",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        arguments, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("pair ")
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; faces is not complete; add --force to start again" in err and "Traceback" not in err
    assert 0 < len(list((tmp_path / "faces/target").glob("*.png"))) < 300
