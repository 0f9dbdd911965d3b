"""Three workers and a search, killed at random moments: every trial is accounted for, none is lost, none doubled."""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState

from benchmark.files import read_json
from benchmark.search.storage import open_storage

ROOT = Path(__file__).parents[2]
WORKERS = 3
KILLS = int(os.environ.get("KILLS", "10"))
"""Of each worker on average, and of the whole command."""
RATES = {"protocol.coarse.lr": (1e-3, 2e-3, 4e-3), "protocol.psnr.lr": (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)}
SEARCH = f"""\
search:
  trials: 99
  pruner: none
  parameters:
    protocol.coarse.lr: {{choices: {list(RATES["protocol.coarse.lr"])}}}
    protocol.psnr.lr: {{choices: {list(RATES["protocol.psnr.lr"])}}}
"""
SETTINGS = len(RATES["protocol.coarse.lr"]) * len(RATES["protocol.psnr.lr"])
NewDatabase = Callable[[str], str]
Settings = tuple[float, ...]


def start(folder: Path, output: str, storage: str) -> subprocess.Popen[bytes]:
    """Start the search in a process group of its own."""
    options = ["--output", f"{output}/small", "--storage", storage, "--workers", str(WORKERS)]
    with (folder / f"{output}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmark", "search", "small.yaml", *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(WORKERS)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def workers_of(command: int) -> list[int]:
    """Return the worker processes of a command."""
    with suppress(OSError):
        children = Path(f"/proc/{command}/task/{command}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return []


def killed_until_finished(folder: Path, storage: str) -> Counter[str]:
    """Run the search again and again, and kill its workers or all of it, until all kills are done and it has ended."""
    chance, kills = random.Random(0), Counter[str]()
    while True:
        process = start(folder, "killed", storage)
        while process.poll() is None:
            time.sleep(chance.uniform(0.0, 3.0))
            workers = workers_of(process.pid)
            if len(workers) < WORKERS:
                continue
            if kills["workers"] < KILLS * WORKERS and chance.random() < 0.7:
                os.kill(chance.choice(workers), signal.SIGKILL)
                kills["workers"] += 1
            elif kills["commands"] < KILLS:
                os.killpg(process.pid, signal.SIGKILL)
                kills["commands"] += 1
        code = process.wait()
        log = (folder / "killed.log").read_text()
        assert code in (0, 1, -signal.SIGKILL) and "Traceback" not in log, log[-3000:]
        kills["calls"] += 1
        if code == 0:
            return kills


def study_of(storage: str, folder: Path) -> list[FrozenTrial]:
    """Return all trials of the study."""
    with open_storage(storage if "://" in storage else folder / storage, "small") as opened:
        return optuna.load_study(study_name="small", storage=opened()).trials


def settings_of(values: Mapping[str, Any]) -> Settings:
    return tuple(float(values[path]) for path in RATES)


def scores(folder: Path) -> dict[Settings, str]:
    """Return what each setting reached by the records of the trials that were trained to their end."""
    with (folder / "trials.csv").open() as file:
        done = [trial for trial in csv.DictReader(file) if trial["status"] == "done"]
    records = [read_json(folder / f"trial.{trial['trial']}/seed0/record.json") for trial in done]
    assert [record["scores"]["val"]["psnr"]["mean"] for record in records] == [float(trial["psnr"]) for trial in done]
    found = {settings_of(trial): trial["psnr"] for trial in done}
    assert len(found) == len(done) == SETTINGS, "a setting was lost or tried twice"
    return found


def stored_stages(folder: Path) -> list[str]:
    """Return the keys of all stages that were trained to their end."""
    return sorted(file.parent.name for file in (folder / ".stages").glob("*/meta.json"))


def check_accounted_for(trials: Sequence[FrozenTrial]) -> None:
    """Check that each trial has ended: with a result, or with another trial of the same settings in its place."""
    assert [trial.number for trial in trials] == list(range(len(trials)))
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    assert all(trial.user_attrs["row"] == f"trial.{trial.number}/seed0" for trial in done)
    assert all(trial.user_attrs["number"] == trial.number for trial in done)
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    successors = Counter(trial.user_attrs["retry_of"] for trial in trials if "retry_of" in trial.user_attrs)
    for trial in trials:
        assert successors[trial.number] == (trial.state == TrialState.FAIL), f"trial {trial.number}"
    by_number = {trial.number: trial for trial in trials}
    for trial in done:
        while (earlier := trial.user_attrs.get("retry_of")) is not None:
            params = by_number[earlier].system_attrs.get("fixed_params", {}) | by_number[earlier].params
            assert params == trial.params
            trial = by_number[earlier]


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["journal", "postgresql"])
def test_killed_workers_and_commands_lose_and_double_nothing(
    kind: str, experiment_file: Path, request: pytest.FixtureRequest
) -> None:
    """Each setting has the value that it has undisturbed, each stage is stored once, and the best is the same."""
    folder = experiment_file.parent
    text = experiment_file.read_text().replace("coarse: {steps: 4", "coarse: {steps: 120")
    experiment_file.write_text(text.replace("psnr: {steps: 3", "psnr: {steps: 120") + SEARCH)
    new_database: NewDatabase = request.getfixturevalue("new_database") if kind == "postgresql" else str
    assert start(folder, "whole", "whole.journal").wait() == 0
    expected, stages = scores(folder / "whole/small"), stored_stages(folder / "whole")
    assert len(stages) == len(RATES["protocol.coarse.lr"]) + SETTINGS
    storage = new_database("killed") if kind == "postgresql" else "killed.journal"
    kills = killed_until_finished(folder, storage)
    assert scores(folder / "killed/small") == expected and stored_stages(folder / "killed") == stages
    trials = study_of(storage, folder)
    check_accounted_for(trials)
    best = max(expected, key=lambda settings: float(expected[settings]))
    written = yaml.safe_load((folder / "killed/small/best.yaml").read_text())["protocol"]
    assert (
        settings_of({"protocol.coarse.lr": written["coarse"]["lr"], "protocol.psnr.lr": written["psnr"]["lr"]}) == best
    )
    lost = sum(trial.state == TrialState.FAIL for trial in trials)
    print(f"{kind}: {dict(kills)}, {len(trials)} trials, of which {lost} ended by a kill and were tried again")
    assert kills["workers"] == KILLS * WORKERS and kills["commands"] == KILLS
