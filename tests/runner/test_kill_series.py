"""kill -9 at random moments of a run with two workers, pauses, two commands on one folder: the bytes are the same."""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KILLS = int(os.environ.get("KILLS", "12"))
"""`KILLS=100 pytest -m torture tests/runner/test_kill_series.py` for more."""
SEED = int(os.environ.get("KILL_SEED", "0"))
PAUSE_SECONDS = 2.5
"""More than the second after which a lease is stale in `kill_driver.py`."""
SCENARIOS = ("command", "command", "worker", "parent", "pause", "two commands")

EXPERIMENT = """\
name: killed
data:
  train: {{source: paired_folders, degraded: {pairs}/train/degraded, target: {pairs}/train/target}}
  val: {{source: paired_folders, degraded: {pairs}/val/degraded, target: {pairs}/val/target}}
  test: {{source: paired_folders, degraded: {pairs}/test/degraded, target: {pairs}/test/target}}
model: {{backbone: {{name: dncnn, size: tiny}}, head: {{name: residual}}}}
protocol:
  order: [coarse, last]
  coarse: {{steps: 16, batch: 1, patch: 16, lr: 1e-3, loss: {{l1: 1.0}}, augment: {{flip: {{}}}}}}
  last: {{steps: 12, batch: 1, patch: 16, lr: 1e-4, loss: {{l1: 1.0}}, ema: {{}}, output: ema}}
seeds: [0]
tables:
  heads:
    rgb: {{model.head: {{name: rgb}}}}
    degradation: {{model.head: {{name: degradation}}}}
  stages:
    coarse_alone: {{protocol.order: [coarse]}}
"""


RUN = "run killed.yaml --output runs/killed"


@pytest.mark.torture
def test_killed_at_any_moment_the_results_are_the_same(
    make_driver: Callable[[], Any],
    files_of_run: Callable[[Path], dict[str, Any]],
    same_files: Callable[[dict[str, Any], dict[str, Any], str], None],
    pairs: Path,
    tmp_path: Path,
) -> None:
    """Every file of the records, but for times, is that of an undisturbed run, and nothing else is left behind."""
    (tmp_path / "killed.yaml").write_text(EXPERIMENT.format(pairs=pairs))
    driver, begin = make_driver(), time.monotonic()
    assert driver.wait(driver.start("run killed.yaml --output straight/killed")) == 0, driver.logs()
    duration, chosen, counts, finished = time.monotonic() - begin, random.Random(SEED), Counter[str](), 0
    expected = files_of_run(tmp_path / "straight")
    while sum(counts.values()) < KILLS:
        scenario = chosen.choice(SCENARIOS)
        command = driver.start(RUN)
        partner = driver.start(RUN) if scenario == "two commands" else None
        time.sleep(chosen.uniform(0, duration))
        members = driver.members(command)
        if not members or (scenario == "worker" and len(members) < 2):
            pass  # it was faster than the kill
        elif scenario == "worker":
            driver.kill([chosen.choice(members[1:])])
            counts[scenario] += 1
        elif scenario == "parent":
            driver.kill([command])
            counts[scenario] += 1
        elif scenario == "pause":
            driver.kill(members, signal.SIGSTOP)
            time.sleep(PAUSE_SECONDS)
            partner = driver.start(RUN)
            time.sleep(chosen.uniform(0, duration))
            driver.kill(members, signal.SIGCONT)
            counts[scenario] += 1
        else:
            driver.kill(members)
            counts[scenario] += 1
        codes = [driver.wait(pid) for pid in (command, partner) if pid is not None]
        assert codes[-1] in (0, -signal.SIGKILL) and codes[0] in (0, -signal.SIGKILL), (scenario, codes, driver.logs())
        driver.wait_until_gone(command)
        if 0 in codes:  # the run has come to its end: compare, and begin again
            same_files(files_of_run(tmp_path / "runs"), expected, f"{scenario} {codes}")
            shutil.rmtree(tmp_path / "runs")
            finished += 1
    assert driver.wait(driver.start(RUN)) == 0, driver.logs()
    same_files(files_of_run(tmp_path / "runs"), expected, "the last run")
    left = [path.name for path in (tmp_path / "cache").iterdir() if path.name.startswith(".")]
    assert left == []
    print(f"{sum(counts.values())} kills, {finished + 1} runs came to their end: {dict(counts)}")
