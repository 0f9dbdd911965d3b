"""`auto` as a user meets it: two folders of pairs in, an experiment, a report, exported files and a model card out."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import missing_packages
from benchmark.experiment.load import load
from benchmark.registry import Registry
from tests.conftest import write_pairs

Call = Callable[..., tuple[int, str, str]]

HAS_ONNX = missing_packages(("onnxruntime", "onnx", "onnxscript"), "onnx") is None


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Call) -> Call:
    """`python -m benchmark ...` in a temporary folder with a cache of its own: exit code, stdout, stderr."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    return command


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve pairs of 64 px, darkened and with spots, in the folder `photos`."""
    write_pairs(tmp_path / "photos", 12, seed=0)
    return Path("photos")


def auto(call: Call, photos: Path, *more: object) -> tuple[int, str, str]:
    return call("auto", photos / "degraded", photos / "target", "--device", "cpu", *more)


@pytest.mark.slow
def test_the_whole_way(call: Call, photos: Path) -> None:
    """From pairs to files; each printed command runs as it is printed; the second call goes on with the experiment."""
    code, out, err = auto(call, photos, "--limit-ms", 10_000, "--limit-mb", 5, "--budget", "4m")
    assert code == 0, err
    folder = Path("runs/photos_auto")
    experiment = load(folder / "experiment.yaml", Registry())
    gates = experiment.rows[0].recipe.gates
    assert (gates["latency"].limit_ms, gates["latency"].image, gates["size"].limit_bytes) == (
        10_000,
        (64, 64),
        5_000_000,
    )
    assert (folder / "run/report/index.html").is_file() and (folder / "check/index.html").is_file()
    names = {"README.md", "photos.safetensors"} | ({"photos.onnx"} if HAS_ONNX else set())
    exported = {file.name for file in (folder / "network").iterdir()}
    assert names - {"photos.onnx"} <= exported <= names  # on a busy machine ONNX is left to its command
    card = (folder / "network/README.md").read_text()
    assert "| PSNR |" in card and all(f"| {name} |" in card for name in exported - {"README.md"})
    commands = [line.strip() for line in out.splitlines() if line.startswith("  python -m benchmark ")]
    assert len(commands) == (4 if HAS_ONNX else 3)
    for command in commands:
        code, _, err = call(*shlex.split(command)[3:])
        assert code == 0, f"{command}: {err}"
    assert {file.name for file in (folder / "network").iterdir()} == names
    assert "0 steps to train" in call(*shlex.split(commands[1])[3:])[2]


@pytest.mark.slow
def test_an_experiment_that_was_edited_is_kept(call: Call, photos: Path) -> None:
    """What the file says is run; a row that is no better than doing nothing is not exported: exit code 1."""
    assert call("data", "check", photos / "degraded", photos / "target", "--output", "runs/photos_auto/check")[0] == 0
    text = Path("runs/photos_auto/check/experiment.yaml").read_text().replace(": pairs/", ": check/pairs/")
    text = text.replace("steps: 500", "steps: 1").replace("seeds: [0, 1]", "seeds: [0]").partition("tables:")[0]
    file = Path("runs/photos_auto/experiment.yaml")
    file.write_text(text.replace("lr: 0.003", "lr: 1e-12"))
    edited = file.read_text()
    code, out, _ = auto(call, photos, "--budget", "15m")  # it ends with the one step
    assert code == 1 and f"{file}: kept; --replace writes it anew" in out and file.read_text() == edited
    assert "nothing is exported: no row under the limits beats doing nothing" in out
    record = json.loads(Path("runs/photos_auto/run/base/seed0/record.json").read_text())
    assert record["stages"][0]["steps"] == 1 and not Path("runs/photos_auto/network").exists()


@pytest.mark.slow
def test_what_cannot_be_done_is_said_before_anything_is_trained(call: Call, photos: Path) -> None:
    """Limits that no network keeps, a budget that leaves no time: one line, exit code 2, no experiment left behind."""
    code, _, err = auto(call, photos, "--limit-ms", 0.001)
    assert code == 2 and "no network keeps the limits for an image of 64 x 64 pixels" in err
    code, _, err = auto(call, photos, "--budget", "30s")
    assert code == 2 and "leaves no time for training; give at least" in err
    assert not list(Path("runs/photos_auto").glob("*.yaml"))


@pytest.mark.parametrize("budget", ["soon", "", "0m", "-5m", "30"])
def test_a_budget_is_a_time(call: Call, photos: Path, budget: str) -> None:
    """With units; anything else is refused with an example."""
    code, _, err = auto(call, photos, "--budget", budget)
    assert code == 2 and "write a time with its unit" in err


def test_too_few_pairs_are_refused(call: Call, tmp_path: Path) -> None:
    """Two pictures cannot be split into train, val and test."""
    write_pairs(tmp_path / "two", 2, seed=0)
    code, _, err = auto(call, Path("two"))
    assert code == 2 and "at least three different pictures without errors are needed" in err


def test_pairs_without_a_difference_are_refused(call: Call, tmp_path: Path) -> None:
    """Two copies of one folder are a mistake: no network can learn from them."""
    write_pairs(tmp_path / "photos", 4, seed=0)
    shutil.rmtree(tmp_path / "photos/degraded")
    shutil.copytree(tmp_path / "photos/target", tmp_path / "photos/degraded")
    code, _, err = auto(call, Path("photos"))
    assert code == 2 and "every image equals its partner" in err
