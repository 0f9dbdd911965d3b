"""Real pairs and small experiments that every room's tests may use."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from benchmark.cli import main

ROOT = Path(__file__).parents[1]
Ended = tuple[int, str, str]
"""How a command ended: exit code, standard output, standard error."""

settings.register_profile("shared machine", deadline=None)  # how long an example takes says more of the machine
settings.load_profile("shared machine")

# A shell in the background starts its commands deaf to Ctrl-C, nohup those to SIGHUP, and what these tests start would
# inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What commands keep stays out of the user's cache; a network, say, is counted once for all tests of a session."""
    os.environ["BENCHMARK_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def root() -> Path:
    """The root of the project."""
    return ROOT


def write_pairs(folder: Path, count: int, seed: int, side: int = 64) -> None:
    """Smooth colour pictures, darkened and with dark spots, as PNG in `degraded` and `target`."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] / side
    for index in range(count):
        waves = [np.sin(6 * (rows * a + columns * b) + c) for a, b, c in rng.uniform(0, 2, (3, 3))]
        target = 0.5 + 0.2 * np.stack(waves, -1) + rng.normal(0, 0.01, (side, side, 3))
        degraded = 0.97 * target
        for top, left in rng.integers(0, side - 6, (4, 2)):
            degraded[top : top + 5, left : left + 5] *= 0.5
        for name, image in (("target", target), ("degraded", degraded)):
            file = folder / name / f"picture_{index:02d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.uint8(np.clip(image, 0, 1) * 255)).save(file)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train`, `val` and `test`, each with `degraded` and `target` pictures of 64 pixels."""
    folder = tmp_path_factory.mktemp("pairs")
    for seed, (split, count) in enumerate({"train": 4, "val": 2, "test": 3}.items()):
        write_pairs(folder / split, count, seed)
    return folder


EXPERIMENT = """\
name: small
data:
  train: {{source: paired_folders, degraded: {pairs}/train/degraded, target: {pairs}/train/target}}
  val: {{source: paired_folders, degraded: {pairs}/val/degraded, target: {pairs}/val/target}}
  test: {{source: paired_folders, degraded: {pairs}/test/degraded, target: {pairs}/test/target}}
model:
  backbone: {{name: nafnet, width: 4, depths: [1, 1, 1]}}
  head: {{name: degradation}}
protocol:
  order: [coarse, psnr]
  coarse: {{steps: 4, batch: 2, patch: 32, lr: 1e-3, loss: {{l1: 1.0}}, augment: {{flip: {{}}}}}}
  psnr: {{steps: 3, batch: 2, patch: 32, lr: 1e-4, loss: {{psnr: 1.0}}}}
gates:
  size: {{limit_bytes: 10_000_000}}
  latency: {{limit_ms: 50, device: V100, image: [64, 64]}}
seeds: [0]
tables:
  heads:
    direct_rgb: {{model.head: {{name: rgb}}}}
  stages:
    stage_1: {{protocol.order: [coarse]}}
"""


@pytest.fixture(scope="session")
def experiment_text(pairs: Path) -> str:
    """The YAML of a small experiment of three rows."""
    return EXPERIMENT.format(pairs=pairs)


def let_others_enter(folder: Path) -> None:
    """Let other users reach a folder of a test through those above it, which pytest makes for one user alone."""
    for parent in list(folder.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)


@pytest.fixture
def experiment_file(experiment_text: str, tmp_path: Path) -> Path:
    """A small experiment of three rows in a folder of its own."""
    file = tmp_path / "small.yaml"
    file.write_text(experiment_text)
    return file


OWN_METRIC = """\
from benchmark.evaluation.metrics import Metric

class LargestError(Metric):
    unit = "levels"
    direction = "lower"
    formula = "max |restored - target|"

    def score(self, restored, target, degraded, mask):
        return abs(restored.astype(int) - target).max()
"""
"""A plugin as short as a metric can be."""


@pytest.fixture
def own_metric(tmp_path: Path) -> Path:
    """The file of a metric of one's own."""
    file = tmp_path / "largest_error.py"
    file.write_text(OWN_METRIC)
    return file


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The whole command line in this process: arguments and the folder it runs in -> exit code, stdout, stderr.

    A process of its own would import torch again, which takes longer than most commands.
    """
    for name, value in {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object, cwd: Path = tmp_path) -> Ended:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, arguments)])
        monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # `main` replaces it
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def edited(experiment_file: Path) -> Callable[[str, str], Path]:
    """The small experiment with one piece of its text replaced by another."""

    def edit(old: str, new: str) -> Path:
        text = experiment_file.read_text()
        assert old in text
        experiment_file.write_text(text.replace(old, new, 1))
        return experiment_file

    return edit


@pytest.fixture(scope="session")
def published_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as the authors of NAFNet publish theirs: width 8, depths [1, 1, 1, 1, 1]; for reading only."""
    import torch  # here, since the process that only hands out tests to others reads this file, too
    from safetensors.torch import load_file

    stored = load_file(ROOT / "tests/goldens/nafnet_w8_e11_m1_d11.safetensors")
    file = tmp_path_factory.mktemp("published") / "nafnet_w8.pth"
    torch.save({"params": {key[3:]: value.float() for key, value in stored.items() if key.startswith("sd/")}}, file)
    return file


@pytest.fixture
def published_nafnet(published_weights: Path, tmp_path: Path) -> Path:
    """A copy of `published_weights` in a folder of its own."""
    return Path(shutil.copy(published_weights, tmp_path))
