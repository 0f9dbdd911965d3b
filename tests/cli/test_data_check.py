"""`data check` as a user meets it: the whole command line on real folders."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from benchmark.data.image_io import write_pairs
from benchmark.data.sources.synthetic_faces import SyntheticFaces
from benchmark.experiment.load import load
from benchmark.registry import Registry

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Call) -> Call:
    """`python -m benchmark ...` in a temporary folder with a cache of its own: exit code, stdout, stderr."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    return command


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Five spotted faces of 96 px in the folder `my faces`, one with a name that is no name."""
    folder = tmp_path / "my faces"
    source = SyntheticFaces(preset="severe", count=5, size=96, seed=2)
    list(write_pairs(source, 5, folder, 1, with_maps=False))
    for role in ("degraded", "target"):
        (folder / role / "face_0000.png").rename(folder / role / "<script>alert(1)&'é.png")
    return folder


def check(call: Call, faces: Path, *more: object) -> tuple[int, str, str]:
    return call("data", "check", faces / "degraded", faces / "target", "--workers", 1, *more)


def test_sound_pairs_give_a_page_and_an_experiment(call: Call, faces: Path, tmp_path: Path) -> None:
    """Exit code 0; the experiment that was written loads, finds its images, and has every pair in one split."""
    code, out, _ = check(call, faces)
    assert f"{faces / 'degraded'}: 5 images read (5 png)\n{faces / 'target'}: 5 images read (5 png)\n" in out
    folder = tmp_path / "runs/data_check/my_faces"
    assert (
        code == 0 and "errors, which spoil a comparison: none" in out and "runs/data_check/my_faces/index.html" in out
    )
    assert "<script>alert(1)" not in (folder / "index.html").read_text()
    links = sorted(file.relative_to(folder / "pairs").as_posix() for file in (folder / "pairs").rglob("*.png"))
    assert len(links) == 10 and {link.split("/")[0] for link in links} == {"train", "val", "test"}
    base, *others = load(folder / "experiment.yaml", Registry()).rows
    assert base.recipe.config["protocol"]["order"] == ["train"]
    assert [row.name for row in others] == ["backbones.small_unet"]


@pytest.mark.slow
def test_the_experiment_plans(call: Call, faces: Path) -> None:
    """`plan` takes the experiment as it was written: every image is found and every patch fits."""
    check(call, faces, "--output", "audit")
    code, out, err = call("plan", "audit/experiment.yaml")
    assert code == 0, err
    assert "backbones.small_unet" in out and "train 500" in out


@pytest.mark.slow
def test_the_experiment_runs(call: Call, faces: Path, tmp_path: Path) -> None:
    """A few steps of the experiment train and are scored, also on images of 40 px."""
    for file in faces.rglob("*.png"):
        Image.open(file).resize((40, 40)).save(file)
    check(call, faces, "--output", "audit")
    few = ("--rows", "base", "--seeds", 0, "--set", "protocol.train.steps=2")
    code, _, err = call("run", "audit/experiment.yaml", *few, "--output", "runs/try")
    assert code == 0, err
    record = json.loads((tmp_path / "runs/try/base/seed0/record.json").read_text())
    assert record["status"] == "done"


def test_spoilt_pairs_end_with_1_and_are_left_out(call: Call, faces: Path, tmp_path: Path) -> None:
    """A cut-off file is named, the exit code is 1, and the experiment does without it."""
    file = faces / "target/face_0001.png"
    file.write_bytes(file.read_bytes()[:999])
    code, out, _ = check(call, faces, "--output", "audit")
    assert code == 1 and "unreadable or cut off (1)" in out
    assert len(list((tmp_path / "audit/pairs").rglob("target/*.png"))) == 4
    assert "face_0001" in (tmp_path / "audit/index.html").read_text()
    file.unlink()
    (faces / "degraded/face_0001.png").unlink()
    code, out, _ = check(call, faces, "--output", "audit")
    assert (
        code == 0 and "errors, which spoil a comparison: none" in out
    )  # the folder of the earlier audit is written anew


def test_too_few_pairs_make_no_experiment(call: Call, faces: Path, tmp_path: Path) -> None:
    """Two pairs cannot be split in three: it is said, and no file is left that would not run."""
    for file in faces.rglob("face_000[234].png"):
        file.unlink()
    code, out, _ = check(call, faces, "--output", "audit")
    assert code == 0 and "no experiment written" in out
    assert not (tmp_path / "audit/experiment.yaml").exists()


def test_the_data_of_an_experiment(call: Call, experiment_file: Path) -> None:
    """All splits of a file are read and named; pairs written as files have their copies found across splits."""
    code, out, err = call("data", "check", experiment_file, "--output", "audit")
    assert code in (0, 1) and "9 pairs" in err and "ready to run" not in out
    record = json.loads(Path("audit/audit.json").read_text())
    assert [pair["split"] for pair in record["pairs"]] == ["train"] * 4 + ["val"] * 2 + ["test"] * 3
    text = experiment_file.read_text().replace("/val/degraded", "/test/degraded").replace("/val/target", "/test/target")
    experiment_file.write_text(text)
    code, out, _ = call("data", "check", experiment_file, "--output", "audit")
    assert code == 1 and "the same target in two splits (3)" in out
    assert "val: picture_00 = test: picture_00: pixel by pixel" in out


@pytest.mark.slow
def test_shared_subjects_and_sizes_of_an_experiment(
    call: Call, experiment_file: Path, pairs: Path, tmp_path: Path
) -> None:
    """What `run` would refuse spoils a comparison: a folder used twice; a pair of two sizes is called that, by name."""
    shutil.copytree(pairs, tmp_path / "own")
    text = experiment_file.read_text().replace(str(pairs), "own")
    file = tmp_path / "own/train/target/picture_01.png"
    Image.open(file).resize((80, 80)).save(file)
    experiment_file.write_text(text.replace("/val/degraded", "/test/degraded").replace("/val/target", "/test/target"))
    code, out, _ = call("data", "check", experiment_file, "--output", "audit")
    assert code == 1 and "the same subjects in two splits (1)" in out and "val and test: 6 in both, e.g." in out
    assert "sizes differ within a pair (1)" in out and "train: picture_01: degraded" in out


@pytest.mark.slow
def test_files_of_an_experiment_are_looked_at(call: Call, experiment_file: Path, pairs: Path, tmp_path: Path) -> None:
    """Headers of its files are checked as for two folders: here a JPEG among the targets."""
    shutil.copytree(pairs, tmp_path / "own")
    experiment_file.write_text(experiment_file.read_text().replace(str(pairs), "own"))
    file = tmp_path / "own/train/target/picture_01.png"
    Image.open(file).save(file.with_suffix(".jpg"), quality=95)
    file.unlink()
    _, out, _ = call("data", "check", experiment_file, "--output", "audit")
    assert "train: picture_01: saved as JPEG" in out


def test_mistakes_are_reported_in_one_line(call: Call, faces: Path, tmp_path: Path) -> None:
    """A missing or empty folder, the same folder twice, a foreign output folder and a wrong number of paths."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/pairs").write_text("mine")
    target = faces / "target"
    for arguments, message in (
        ((tmp_path / "nowhere", target), "no such folder"),
        ((tmp_path / "empty", target), "no images in it"),
        ((target, target), "given as degraded and as target"),
        ((faces / "degraded", target, "--output", "precious"), "not written by `data check`"),
        ((target,), "name the folder of degraded"),
    ):
        code, _, err = call("data", "check", *arguments)
        assert code == 2 and message in err and "Traceback" not in err
    assert (tmp_path / "precious/pairs").read_text() == "mine"
