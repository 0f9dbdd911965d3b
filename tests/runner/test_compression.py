"""Rows with `model.compress`: what is weighed, timed and scored is the file that is shipped."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from benchmark.cli import cli
from benchmark.errors import missing_packages
from benchmark.files import read_json
from benchmark.inference.int8 import FILE, FileNetwork
from benchmark.model import load, restore_image

MISSING = missing_packages(("onnxruntime", "onnx", "onnxscript"), "onnx")
needs_onnx = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
ROWS = """\
  compression:
    int8_tuned: {model.compress: {int8: {images: 2}}, protocol.psnr.quantiser: int8}
    prune: {model.compress: {prune: {channels: 0.3}}}
    taught: {model.compress: {distil: heads.direct_rgb}}
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def file(experiment_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(experiment_file.parent)
    here = "gates:\n  here: {quantity: latency, limit_ms: 10_000, image: [32, 32]}\n"
    experiment_file.write_text(experiment_file.read_text().replace("gates:\n", here) + ROWS)
    return experiment_file


@needs_onnx
@pytest.mark.slow
def test_a_row_in_8_bits_is_its_file(file: Path, pairs: Path) -> None:
    """Bytes, SHA-256, latency and images are those of the ONNX file beside the record, which `export` hands out."""
    done = run("run", file, "--rows", "compression.int8_tuned", "--set", "photographs=false")
    assert done.exit_code == 0, done.output
    folder = file.parent / "runs/small/compression.int8_tuned/seed0"
    record, content = read_json(folder / "record.json"), (folder / FILE).read_bytes()
    gates = {gate["name"]: gate for gate in record["gates"]}
    digest = hashlib.sha256(content).hexdigest()
    assert gates["size"]["measured"] == record["model"]["weight_bytes"]["int8"] == len(content)
    assert gates["size"]["protocol"] == {"file": "onnx", "dtype": "int8", "sha256": digest}
    assert record["files"][FILE] == digest
    assert (gates["here"]["protocol"]["runtime"], gates["here"]["protocol"]["dtype"]) == ("onnxruntime", "int8")
    degraded = np.array(Image.open(pairs / "test/degraded/picture_00.png"))
    restored = np.asarray(Image.open(folder / "images/picture_00.png"))
    assert np.array_equal(restored, FileNetwork(content).restore(degraded))
    assert run("export", folder, "--format", "onnx", "--out", "shipped.onnx").exit_code == 0
    assert Path("shipped.onnx").read_bytes() == content


def test_a_pruned_row_is_smaller_and_can_be_loaded(file: Path, pairs: Path) -> None:
    """Its record counts the pruned network; what `load` returns restores the images of its test."""
    done = run("run", file, "--rows", "base", "--rows", "compression.prune", "--set", "photographs=false")
    assert done.exit_code == 0, done.output
    folder = file.parent / "runs/small/compression.prune/seed0"
    record, base = (read_json(path / "record.json") for path in (folder, folder.parents[1] / "base/seed0"))
    network = load(folder)
    assert record["model"]["params"] < base["model"]["params"] and record["model"]["macs"] < base["model"]["macs"]
    degraded = np.array(Image.open(pairs / "test/degraded/picture_00.png"))
    restored = np.asarray(Image.open(folder / "images/picture_00.png"))
    assert np.array_equal(restored, restore_image(network, degraded, torch.device("cpu")))
    assert record["stages"][0]["key"] == base["stages"][0]["key"]
    assert record["stages"][1]["key"] != base["stages"][1]["key"]


def test_a_taught_row_trains_its_teacher_first(file: Path) -> None:
    """Also where the teacher is not among the rows of the command; the teacher's row then finds its stages stored."""
    only = ("--rows", "compression.taught", "--set", "photographs=false")
    done = run("run", file, *only)
    assert done.exit_code == 0, done.output
    output = file.parent / "runs/small"
    assert not (output / "heads.direct_rgb").exists()
    record = read_json(output / "compression.taught/seed0/record.json")
    assert [stage["name"] for stage in record["stages"]] == ["coarse", "psnr"]
    done = run("run", file, "--rows", "heads.direct_rgb", *only)
    assert done.exit_code == 0, done.output
    teacher = read_json(output / "heads.direct_rgb/seed0/record.json")
    assert all(stage["reused"] for stage in teacher["stages"])


def test_jobs_of_a_taught_row_wait_for_its_teacher(file: Path) -> None:
    """One by one, as Slurm or a shell starts them."""
    only = ("--rows", "compression.taught", "--set", "photographs=false")
    assert run("plan", file, "--write", *only).exit_code == 0
    listed = run("job", file.parent / "runs/small", "--list").output
    lines = [line for line in listed.splitlines() if "stage" in line]
    names = ["heads.direct_rgb/seed0/coarse", "heads.direct_rgb/seed0/psnr", "compression.taught/seed0/coarse"]
    assert all(name in line for name, line in zip(names, lines, strict=False)), listed
