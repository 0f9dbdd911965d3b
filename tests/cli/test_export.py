"""`export`: the file of a trained row holds what the row computes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click import UsageError
from click.testing import CliRunner, Result
from safetensors import safe_open

from benchmark.cli import cli
from benchmark.errors import BenchmarkError, RecordError, missing_packages
from benchmark.experiment.schema import SizeGate
from benchmark.files import write_json
from benchmark.gates.check_gates import check_gates
from benchmark.inference.device_setup import present_machine
from benchmark.model import build, load, restore_image
from benchmark.model.weight_files import read_weights, write_weights

MODEL = {"backbone": {"name": "nafnet", "width": 4, "depths": [1, 1, 1]}, "head": {"name": "rgb"}}
MISSING = missing_packages(("onnxruntime", "onnx", "onnxscript"), "onnx")
needs_onnx = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


def export(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["export", *map(str, arguments)], standalone_mode=False)


@pytest.fixture
def row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a trained row; the command is called beside it."""
    monkeypatch.chdir(tmp_path)
    write_weights(build(MODEL), tmp_path / "row/weights.safetensors")
    write_json(tmp_path / "row/record.json", {"status": "done", "config": {"model": MODEL}})
    return Path("row")


def test_weights_and_the_model_they_belong_to(row: Path) -> None:
    """The tensors are those of the row, in half the bytes if asked; a model may start from the file as it is."""
    result = export(row, "--format", "safetensors", "--out", "full.safetensors")
    assert result.exit_code == 0 and result.output.startswith("full.safetensors: "), result.output
    ours, written = load(row).state_dict(), read_weights(Path("full.safetensors"))
    assert all(torch.equal(ours[name], written[name]) for name in ours)
    with safe_open("full.safetensors", "pt") as handle:
        assert json.loads(handle.metadata()["restoration-benchmark model"]) == MODEL
    export(row, "--format", "safetensors", "--dtype", "float16", "--out", "half.safetensors")
    assert {tensor.dtype for tensor in read_weights(Path("half.safetensors")).values()} == {torch.float16}


def test_the_record_keeps_the_hash_of_what_was_exported(row: Path) -> None:
    """One entry for each name, the latest; the files of the record stay as they are."""
    for dtype in ("float32", "float16"):
        result = export(row, "--format", "safetensors", "--dtype", dtype, "--out", "net.safetensors", "--replace")
    digest = hashlib.sha256(Path("net.safetensors").read_bytes()).hexdigest()
    record = json.loads((row / "record.json").read_text())
    assert f"SHA-256 {digest}, noted in row/record.json" in result.output
    assert record["config"] == {"model": MODEL} and record["artefacts"] == [
        {
            "file": "net.safetensors",
            "format": "safetensors",
            "dtype": "float16",
            "bytes": Path("net.safetensors").stat().st_size,
            "sha256": digest,
            "checks": [],
        }
    ]
    export(row, "--format", "safetensors", "--out", "other.safetensors")
    record = json.loads((row / "record.json").read_text())
    assert [entry["file"] for entry in record["artefacts"]] == ["net.safetensors", "other.safetensors"]
    assert load(row) is not None


def test_folded_weights_are_what_the_size_gate_weighs(row: Path) -> None:
    """They restore the same image, and are fewer: norms and scales are in the convolutions."""
    result = export(row, "--format", "safetensors", "--folded", "--out", "folded.safetensors")
    assert result.exit_code == 0, result.output
    whole, folded = load(row), load("folded.safetensors")
    gates = check_gates({"size": SizeGate(limit_bytes=10**9)}, whole, MODEL, present_machine(torch.device("cpu")))
    tensors = read_weights(Path("folded.safetensors")).values()
    assert sum(tensor.nbytes for tensor in tensors) < sum(tensor.nbytes for tensor in whole.state_dict().values())
    header = len(json.dumps(MODEL)) + 200
    assert 0 <= Path("folded.safetensors").stat().st_size - (gates[0].measured or 0) < header
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    first, second = (restore_image(net, image, torch.device("cpu")).astype(int) for net in (whole, folded))
    assert np.abs(first - second).max() <= 1


@needs_onnx
def test_a_network_for_one_size(row: Path) -> None:
    """The file is checked against torch, and its size and the difference are told."""
    import onnxruntime

    result = export(row, "--format", "onnx", "--image", 24, 40, "--out", "net.onnx")
    assert result.exit_code == 0, result.output
    size = Path("net.onnx").stat().st_size
    lines = result.stdout.splitlines()
    assert lines[0] == f"net.onnx: {size:,} bytes, float32, for images of 24 x 40 pixels"
    assert lines[1].startswith("  ONNX Runtime, 24 x 40: differs from torch by at most ") and " dB, " in lines[1]
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, 24, 40]
    (artefact,) = json.loads((row / "record.json").read_text())["artefacts"]
    assert artefact["bytes"] == size and artefact["checks"][0]["image"] == [24, 40]


@needs_onnx
@pytest.mark.slow
def test_a_network_for_any_size_in_half_precision(row: Path) -> None:
    """Without --image both sides are free."""
    import onnxruntime

    result = export(row, "--format", "onnx", "--dtype", "float16", "--out", "net.onnx")
    assert "float16, for images of any size from 2 x 2 pixels" in result.output, result.exception
    for size in ("256 x 256", "101 x 155", "96 x 64", "2 x 2"):
        assert f"ONNX Runtime, {size}: differs from torch by at most" in result.output
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    for value in (*session.get_inputs(), *session.get_outputs()):
        assert value.shape == [1, 3, "height", "width"] and value.type == "tensor(float)"


@needs_onnx
def test_a_network_for_images_as_files_hold_them(row: Path) -> None:
    """uint8 in and out, channels last: what the row restores, within a level; padding is in the file."""
    import onnxruntime

    result = export(row, "--format", "onnx", "--uint8", "--image", 37, 53, "--out", "net.onnx")
    assert result.stdout.splitlines()[0].endswith("for images of 37 x 53 pixels, uint8 1 H W 3"), result.exception
    session = onnxruntime.InferenceSession("net.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 37, 53, 3] and session.get_outputs()[0].type == "tensor(uint8)"
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    (restored,) = session.run(None, {"degraded": image[None]})
    expected = restore_image(load(row), image, torch.device("cpu"))
    assert np.abs(restored[0].astype(int) - expected).max() <= 1


@needs_onnx
def test_a_file_that_differs_is_not_written(row: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is on disk restores as torch does."""
    monkeypatch.setattr("benchmark.cli.export._TOLERANCE", {"float32": -1.0})
    result = export(row, "--format", "onnx", "--image", 24, 40, "--out", "net.onnx")
    with pytest.raises(BenchmarkError, match=r"net.onnx: not written: ONNX Runtime's image differs from torch's by up"):
        raise result.exception or AssertionError(result.output)
    assert not Path("net.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ["row", "--format", "safetensors", "--image", "8", "8", "--out", "x"],
            UsageError,
            "--image and --uint8",
        ),
        (["row", "--format", "safetensors", "--out", "row/record.json"], UsageError, "exists already"),
        (["nowhere", "--format", "safetensors", "--out", "x"], RecordError, "no record of a trained row"),
    ],
)
def test_mistakes_are_told(row: Path, arguments: list[str], error: type[Any], message: str) -> None:
    """What the user can mend is an error of the kind that the command line prints as one line."""
    result = export(*arguments)
    with pytest.raises(error, match=message):
        raise result.exception or AssertionError(result.output)
    assert not Path("x").exists()
