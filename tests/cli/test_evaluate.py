"""`evaluate`: a table in the terminal, a run on the disk, mistakes in one line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from benchmark.files import read_json, write_json
from benchmark.model import build
from benchmark.model.weight_files import write_weights

Call = Callable[..., tuple[int, str, str]]
MODEL = {"backbone": {"name": "nafnet", "width": 4, "depths": [1]}, "head": {"name": "rgb"}}


def test_a_folder_of_another_program(command: Call, pairs: Path, tmp_path: Path) -> None:
    """Scored, written, and compared with a trained row on the same images."""
    test = pairs / "test"
    folders = ("--target", test / "target", "--degraded", test / "degraded")
    code, out, err = command(
        "evaluate", "--restored", test / "target", *folders, "--name", "perfect", "--convention", "border: 2"
    )
    assert code == 0, err
    assert "3 images; means with 95 % intervals over images" in out and "psnr_border_2" in out
    assert "100.00 [100.00, 100.00]" in out
    counts = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith(("psnr ", "ssim "))}
    assert counts["psnr"][:3] == ["psnr", "dB", "3"] and counts["ssim"][:2] == ["ssim", "3"]
    write_weights(build(MODEL), tmp_path / "row/seed0/weights.safetensors")
    write_json(tmp_path / "row/seed0/record.json", {"status": "done", "config": {"model": MODEL}})
    data = f"paired_folders: {{degraded: {test}/degraded, target: {test}/target}}"
    code, out, err = command("evaluate", "row", "--data", data, "--name", "ours", "--device", "cpu")
    assert code == 0, err
    code, out, err = command("compare", "runs/ours", "runs/perfect")
    assert code == 0 and "perfect/base" in out, err
    code, _, err = command("evaluate", "row", "--data", data, "--name", "ours")
    assert code == 2 and "runs/ours holds a run already; choose another --name or --output" in err


def test_metrics_that_no_image_has_are_named(command: Call, pairs: Path) -> None:
    """On images that are too small for them; what needs the degraded images says so before anything is scored."""
    folders = ("--restored", pairs / "test/degraded", "--target", pairs / "test/target")
    code, _, err = command("evaluate", *folders, "--metric", "ms_ssim", "--convention", "border: 32")
    assert code == 0
    least = "(from 161 px a side)"
    assert f"note: no image has a value of score {least}, ms_ssim {least}, psnr_border_32, ssim_border_32" in err
    code, _, err = command("evaluate", *folders, "--metric", "psnr_spots", "--name", "spots")
    assert code == 2 and "metric 'psnr_spots': needs the degraded images; give their folder as --degraded" in err


def test_records_have_no_absolute_paths(command: Call, pairs: Path, tmp_path: Path) -> None:
    """The same images in another folder have the same hash, and the experiment file means the same images."""
    shutil.copytree(pairs / "test", tmp_path / "moved")
    for name, folder in {"first": pairs / "test", "second": tmp_path / "moved"}.items():
        command("evaluate", "--restored", folder / "degraded", "--target", folder / "target", "--name", "theirs",
                "--output", name)  # fmt: skip
        texts = [file.read_text() for file in (tmp_path / name).rglob("*") if file.suffix in (".json", ".yaml")]
        assert len(texts) == 3 and not any(str(tmp_path) in text or str(pairs) in text for text in texts)
    records = [read_json(tmp_path / name / "base/seed0/record.json") for name in ("first", "second")]
    assert records[0]["config_hash"] == records[1]["config_hash"]
    settings = yaml.safe_load((tmp_path / "first/experiment.yaml").read_text())["data"]["test"]
    assert (tmp_path / "first" / settings["target"]).resolve() == (pairs / "test/target").resolve()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give RECORD with --data, or --restored with --target"),
        (["row"], "--data and --train belong to RECORD"),
        (["--restored", "a"], "--restored needs --target"),
        (["--restored", "a", "--target", "b"], "no such folder"),
        (["row", "--data", "noise", "--name", "../evil"], "--name '../evil': expected letters, digits"),
        (["nowhere", "--data", "noise"], "nowhere: no record of a trained row"),
    ],
)
def test_mistakes_are_one_line(command: Call, arguments: list[str], message: str) -> None:
    """Exit code 2, no traceback."""
    code, _, err = command("evaluate", *arguments)
    assert code == 2 and message in err and "Traceback" not in err
