"""kill -9 at random moments of `restore`, `export` and `search`: the same command goes on to the same results."""

import csv
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from PIL import Image

KILLS = int(os.environ.get("KILLS", "6"))
"""`KILLS=100 pytest -m torture tests/runner/test_kill_commands.py` for more, of each command."""

SEARCH = """\
search:
  trials: 6
  sampler: {name: grid}
  pruner: none
  parameters:
    protocol.coarse.lr: {choices: [1e-3, 2e-3]}
    protocol.psnr.lr: {choices: [1e-5, 1e-4, 1e-3]}
"""
EXPORTS = {
    "weights.safetensors": "export trained/small/base --format safetensors --out {out}/weights.safetensors",
    "network.onnx": "export trained/small/base --format onnx --out {out}/network.onnx",
}


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder, hidden ones too."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


class Killer:
    """Runs one command again and again, and kills it at a random moment of the time that it takes undisturbed."""

    def __init__(self, driver: Any, seed: int) -> None:
        self.driver = driver
        self.kills = 0
        self._random = random.Random(seed)

    def seconds_of(self, command: str) -> float:
        """Run the command to its end; return how long it takes."""
        begin = time.monotonic()
        code = self.driver.wait(self.driver.start(command))
        assert code == 0, self.driver.logs()
        return time.monotonic() - begin

    def is_finished(self, command: str, seconds: float, restart: Callable[[], None]) -> bool:
        """Start the command and kill it within `seconds`; whether it was faster, after which all begins anew."""
        pid = self.driver.start(command)
        time.sleep(self._random.uniform(0, seconds))
        if members := self.driver.members(pid):
            self.driver.kill(members)
        code = self.driver.wait(pid)
        self.driver.wait_until_gone(pid)
        assert code in (0, -9), self.driver.logs()
        self.kills += code != 0
        if code == 0:
            restart()
        return code == 0


@pytest.fixture
def driver(make_driver: Callable[[], Any], experiment_text: str, tmp_path: Path) -> Any:
    """The driver in a folder with a small experiment, a search of it, and images."""
    (tmp_path / "small.yaml").write_text(experiment_text)
    (tmp_path / "searched.yaml").write_text(experiment_text + SEARCH)
    (tmp_path / "images").mkdir()
    for index in range(12):
        pixels = np.random.default_rng(index).integers(0, 256, (60 + index, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{index}.{('png', 'jpg', 'tif')[index % 3]}")
    return make_driver()


@pytest.mark.torture
def test_a_killed_restore_leaves_whole_images(driver: Any, tmp_path: Path) -> None:
    """Each result is that of an undisturbed call or not there; at the end all are, and nothing else."""
    killer = Killer(driver, 0)
    killer.seconds_of("run small.yaml --rows base --output trained/small")
    seconds = killer.seconds_of("restore trained/small/base images whole --maps whole_maps")
    expected = bytes_of(tmp_path / "whole") | bytes_of(tmp_path / "whole_maps")
    command, counts = "restore trained/small/base images out/results --maps out/maps", Counter[str]()

    def begin_anew() -> None:
        assert bytes_of(tmp_path / "out/results") | bytes_of(tmp_path / "out/maps") == expected
        shutil.rmtree(tmp_path / "out")
        counts["finished"] += 1

    while killer.kills < KILLS:
        finished = killer.is_finished(command, seconds, begin_anew)
        files = {} if finished else bytes_of(tmp_path / "out")
        for name, content in files.items():
            own_name = Path(name).relative_to(Path(name).parts[0]).as_posix()
            assert own_name not in expected or content == expected[own_name], name
        counts["amid"] += 0 < len(files) < len(expected)
    killer.seconds_of(command)
    begin_anew()
    print(f"restore: {killer.kills} kills, {counts['amid']} with a part of the results, {counts['finished']} finished")
    assert counts["amid"]


@pytest.mark.torture
@pytest.mark.parametrize("name", EXPORTS)
def test_a_killed_export_leaves_a_whole_file_or_none(driver: Any, tmp_path: Path, name: str) -> None:
    """The file is that of an undisturbed call, or is not there; nothing stays of killed calls."""
    killer = Killer(driver, 1)
    killer.seconds_of("run small.yaml --rows base --output trained/small")
    (tmp_path / "whole").mkdir()
    seconds = killer.seconds_of(EXPORTS[name].format(out="whole"))
    expected, out, finished = bytes_of(tmp_path / "whole"), tmp_path / "out", 0
    out.mkdir()
    command = EXPORTS[name].format(out="out")
    while killer.kills < KILLS:
        before = killer.kills
        killer.is_finished(command, seconds, lambda: None)
        written = bytes_of(out)
        assert name not in written or written[name] == expected[name]
        if name in written:
            assert killer.kills > before or written == expected
            (out / name).unlink()
            finished += 1
    killer.seconds_of(command)
    assert bytes_of(out) == expected
    print(f"export of {name}: {killer.kills} kills, the file was whole after {finished} calls")


@pytest.mark.torture
def test_a_killed_search_asks_each_setting_once(driver: Any, tmp_path: Path) -> None:
    """Every trial is accounted for; each setting has the value that it has undisturbed, and the best is the same."""
    killer = Killer(driver, 2)
    seconds = killer.seconds_of("search searched.yaml --output whole/searched")
    expected = values_of(tmp_path / "whole/searched")
    assert len(expected) == 6
    command, finished = "search searched.yaml --output runs/searched", 0

    def begin_anew() -> None:
        nonlocal finished
        finished += 1
        folder = tmp_path / "runs/searched"
        assert values_of(folder) == expected
        assert settings_in(folder / "best.yaml") == settings_in(tmp_path / "whole/searched/best.yaml")
        journal = JournalStorage(JournalFileBackend(str(folder / "study.journal")))
        (study,) = optuna.get_all_study_summaries(journal)
        trials = optuna.load_study(study_name=study.study_name, storage=journal).trials
        assert all(trial.state.is_finished() for trial in trials)
        assert sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in trials) == 6
        shutil.rmtree(tmp_path / "runs")

    while killer.kills < KILLS:
        killer.is_finished(command, seconds, begin_anew)
    killer.seconds_of(command)
    begin_anew()
    print(f"search: {killer.kills} kills, {finished} searches came to their end")


def values_of(folder: Path) -> dict[str, str]:
    """Return the value of each setting that was tried to its end, once."""
    with (folder / "trials.csv").open() as file:
        trials = [trial for trial in csv.DictReader(file) if trial["status"] == "done"]
    values = {f"{trial['protocol.coarse.lr']} {trial['protocol.psnr.lr']}": trial["psnr"] for trial in trials}
    assert len(values) == len(trials), "a setting was tried twice"
    return values


def settings_in(file: Path) -> str:
    """Return an experiment without its comments, which name trials by number."""
    return "\n".join(line for line in file.read_text().splitlines() if not line.startswith("#"))
