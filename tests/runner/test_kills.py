"""kill -9 at random steps, at stage borders and in the middle of writing a state: the run ends with the same bytes."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KILLS", "6"))
"""`KILLS=100 pytest -m torture tests/runner/test_kills.py` for more."""

# A loss that kills its process at the n-th call, or when the n-th file is being written: before its bytes are on the
# disk under their name. It stores the state after every report, so that there is much to resume from.
LOSS = '''\
"""L1 that ends its process."""

import os
import signal

from torch import Tensor

import benchmark.runner.stage as stages
from heads import Restoration
from losses import Batch, Loss

stages.SAVE_SECONDS = 0.0
left = {what: int(os.environ.get(what, "-1")) for what in ("CALLS", "WRITES")}


def count(what: str) -> None:
    left[what] -= 1
    if left[what] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


sync = os.fsync


def fsync(descriptor: int) -> None:
    count("WRITES")
    sync(descriptor)


os.fsync = fsync


class KillingL1(Loss):
    origin = "a test"
    formula = "mean |restored - target|"

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        count("CALLS")
        return (restoration.image - batch.target).abs().mean()
'''

# What a careless resume loses: BatchNorm's statistics, an average, the best weights so far, half a batch, dropout.
EXPERIMENT = """\
name: killed
data:
  train: {{source: paired_folders, degraded: {pairs}/train/degraded, target: {pairs}/train/target}}
  val: {{source: paired_folders, degraded: {pairs}/val/degraded, target: {pairs}/val/target}}
  test: {{source: paired_folders, degraded: {pairs}/test/degraded, target: {pairs}/test/target}}
model:
  backbone: {{name: gunet, width: 4, depths: [1, 1, 1], input_scales: 2}}
  head: {{name: degradation}}
protocol:
  order: [coarse, middle, last]
  coarse: {{steps: 33, batch: 2, patch: 32, lr: 1e-3, loss: {{killing_l1: 1.0}}, augment: {{flip: {{}}}}}}
  middle: {{steps: 24, batch: 4, accumulate: 2, patch: 32, lr: 1e-3, loss: {{killing_l1: 1.0}}, ema: {{}}, output: ema}}
  last: {{steps: 21, batch: 2, patch: 32, lr: 1e-4, loss: {{killing_l1: 1.0}}, output: best, validate_every: 4,
         freeze_bn_fraction: 0.5}}
seeds: [0]
tables:
  backbones:
    dropped: {{model.backbone: {{name: mimo_unet, width: 2, depth: 1, dropout: 0.2}}}}
"""
CALLS = 2 * (33 + 2 * 24 + 21)
"""Calls of the loss in an undisturbed run, but for those on auxiliary images."""


def run(folder: Path, output: str, **kill: int) -> int:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "BENCHMARK_CACHE": str(folder / "cache"),
        **{what: str(number) for what, number in kill.items()},
    }
    command = ["-m", "benchmark", "run", "killed.yaml", "--plugin", "killing_l1.py", "--output", output]
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.torture
def test_killed_at_any_step_the_weights_are_the_same(pairs: Path, tmp_path: Path) -> None:
    """Byte for byte those of an undisturbed run, however often and wherever it was killed."""
    (tmp_path / "killed.yaml").write_text(EXPERIMENT.format(pairs=pairs))
    (tmp_path / "killing_l1.py").write_text(LOSS)
    assert run(tmp_path, "straight/killed") == 0

    chosen, kills, turns = random.Random(5), {"CALLS": 0, "WRITES": 0}, 0
    while sum(kills.values()) < KILLS and turns < 4 * KILLS:
        turns += 1
        what = chosen.choice(list(kills))
        number = chosen.randint(1, CALLS // 4 if what == "CALLS" else 9)
        if run(tmp_path, "runs/killed", **{what: number}) == 0:
            # It came to its end; begin again, so that early steps are killed as often as late ones.
            same_weights(tmp_path)
            (tmp_path / "runs").rename(tmp_path / f"done{turns}")
        else:
            kills[what] += 1
    assert run(tmp_path, "runs/killed") == 0
    same_weights(tmp_path)
    print(f"killed {kills['CALLS']} times in a step, {kills['WRITES']} times in a write")
    assert min(kills.values()) > 0


def same_weights(folder: Path) -> None:
    for row in ("base", "backbones.dropped"):
        files = [folder / place / "killed" / row / "seed0/weights.safetensors" for place in ("straight", "runs")]
        assert files[0].read_bytes() == files[1].read_bytes()
