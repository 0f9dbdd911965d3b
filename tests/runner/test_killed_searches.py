"""Three workers and a search, killed at random moments: every trial is accounted for, none is lost, none doubled."""

import csv
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState

from benchmark.files import read_json
from benchmark.search.storage import open_storage
from tests.search.postgresql_server import postgresql

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
Settings = tuple[float, ...]


def workers_of(driver: Any, command: int) -> list[int]:
    """Return the worker processes of a command."""
    pids: list[int] = []
    for pid in driver.members(command):
        with suppress(OSError):
            if pid != command and b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                pids.append(pid)
    return pids


def killed_until_finished(driver: Any, command: str, kills: Counter[str], chance: random.Random) -> None:
    """Run the search again and again until it has ended; kill its workers and all of it as long as kills are left."""
    code = -1
    while code:
        leader = driver.start(command)
        kills["calls"] += 1
        while members := driver.members(leader):
            time.sleep(chance.uniform(0.0, 1.5))
            workers = workers_of(driver, leader)
            if len(workers) == WORKERS and kills["workers"] < KILLS * WORKERS and chance.random() < 0.8:
                driver.kill([chance.choice(workers)])
                kills["workers"] += 1
            elif len(workers) and kills["commands"] < KILLS and chance.random() < 0.3:
                driver.kill(members)
                kills["commands"] += 1
        code = driver.wait(leader)
        assert code in (0, 1, -signal.SIGKILL) and "Traceback" not in driver.logs(), driver.logs()


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
    kind: str, make_driver: Callable[[], Any], experiment_text: str, tmp_path: Path
) -> None:
    """Each setting has the value that it has undisturbed, each stage is stored once, and the best is the same.

    A search that has ended before all kills are done begins anew in another folder.
    """
    text = experiment_text.replace("coarse: {steps: 4", "coarse: {steps: 30").replace(
        "psnr: {steps: 3", "psnr: {steps: 30"
    )
    (tmp_path / "small.yaml").write_text(text + SEARCH)
    driver, kills, chance = make_driver(), Counter[str](), random.Random(0)
    command = f"search small.yaml --workers {WORKERS}"
    assert driver.wait(driver.start(f"{command} --output whole/small --storage whole.journal")) == 0, driver.logs()
    expected, stages = scores(tmp_path / "whole/small"), stored_stages(tmp_path / "whole")
    assert len(stages) == len(RATES["protocol.coarse.lr"]) + SETTINGS
    best = max(expected, key=lambda settings: float(expected[settings]))
    with postgresql(tmp_path / "postgresql") if kind == "postgresql" else nullcontext() as new_database:
        while kills["workers"] < KILLS * WORKERS or kills["commands"] < KILLS:
            name = f"killed_{kills['searches']}"
            kills["searches"] += 1
            storage = new_database(name) if new_database else str(tmp_path / f"{name}.journal")
            killed_until_finished(driver, f"{command} --output {name}/small --storage {storage}", kills, chance)
            assert scores(tmp_path / name / "small") == expected and stored_stages(tmp_path / name) == stages
            with open_storage(storage, "small") as opened:
                trials = optuna.load_study(study_name="small", storage=opened()).trials
            check_accounted_for(trials)
            protocol = yaml.safe_load((tmp_path / name / "small/best.yaml").read_text())["protocol"]
            assert (protocol["coarse"]["lr"], protocol["psnr"]["lr"]) == best
            kills["trials"] += len(trials)
            kills["tried again"] += sum(trial.state == TrialState.FAIL for trial in trials)
    print(f"{kind}: {dict(kills)}")
