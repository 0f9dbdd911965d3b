"""`search` as a user meets it: what it says, what it writes, and what a killed one leaves."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from benchmark.experiment.load import load
from benchmark.registry import Registry

ROOT = Path(__file__).parents[2]
SEARCH = """\
search:
  trials: 3
  pruner: none
  parameters:
    protocol.psnr.lr: {low: 1e-5, high: 1e-3, log: true}
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(experiment_file: Path) -> Path:
    """A folder with `small.yaml`, which has a section `search`."""
    experiment_file.write_text(experiment_file.read_text() + SEARCH)
    return experiment_file.parent


@pytest.fixture
def call(folder: Path, command: Call) -> Call:
    """The whole command line in that folder: exit code, stdout, stderr."""
    return partial(command, cwd=folder)


def start(folder: Path, *arguments: object, threads: int = 1) -> subprocess.Popen[str]:
    """A process in a group of its own, as a terminal makes one for each command."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "benchmark", "search", "small.yaml", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


def trials(folder: Path) -> list[dict[str, str]]:
    file = folder / "runs/small/trials.csv"
    return list(csv.DictReader(file.read_text().splitlines())) if file.exists() else []


def test_a_search_says_what_it_does_and_finds(call: Call, folder: Path) -> None:
    """A line for the plan, one for each gate and each trial, then the best, what was saved, and how to confirm it."""
    code, out, err = call("search", "small.yaml")
    assert code == 0, err
    assert "small: 3 of 3 trials to run, one after the other, seed 0, compared by psnr on val; at most about" in err
    assert "gate size: passed" in err and "gate latency: not measured" in err
    assert "trial.0 with psnr.lr 0.0001: val psnr" in err and "3 of 3 done; 0 s left" in err
    assert "small: 3 trials, 13 steps trained, 8 (38%) from the store" in err
    assert "trial.0 (base row)" in out and "python -m benchmark run runs/small/best.yaml" in out
    assert [row["status"] for row in trials(folder)] == ["done"] * 3
    assert load(folder / "runs/small/best.yaml", Registry()).name == "small_best"

    code, out, err = call("search", "small.yaml")
    assert code == 0 and "3 trials, 13 steps trained" in err and "to run" not in err and "best: " in out
    code, _, err = call("search", "small.yaml", "--set", "protocol.psnr.steps=5")
    assert code == 2 and "holds a search of other settings" in err
    code, _, err = call("search", "small.yaml", "--set", "protocol.psnr.steps=5", "--replace", "--trials", "1")
    assert code == 0 and "1 trial, 5 steps trained, 4 (44%) from the store" in err


def test_a_search_says_that_it_repeats_nothing(call: Call, folder: Path) -> None:
    """Two settings make two trials, whatever number was asked for."""
    text = (folder / "small.yaml").read_text()
    (folder / "small.yaml").write_text(text.replace("{low: 1e-5, high: 1e-3, log: true}", "{choices: [1e-4, 2e-4]}"))
    code, _, err = call("search", "small.yaml", "--trials", "5")
    assert code == 0, err
    assert "small: 2 of 2 trials to run" in err
    assert "its parameters have no more than 2 different settings, each is tried once" in err
    assert [row["protocol.psnr.lr"] for row in trials(folder)] == ["0.0001", "0.0002"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plain.yaml"], "plain.yaml: has no section `search`"),
        (["small.yaml", "--trials", "0"], "0 is not in the range 1<=x<=100000"),
        (["small.yaml", "--set", "search.metric=pnsr"], "search.metric"),
        (["small.yaml", "--storage", "plain.yaml"], "plain.yaml: not an Optuna journal"),
        (["small.yaml", "--rows", "base"], "--rows"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(call: Call, folder: Path, arguments: list[str], message: str) -> None:
    """What the user can mend never shows a traceback, and nothing is trained."""
    (folder / "plain.yaml").write_text((folder / "small.yaml").read_text().partition("search:")[0])
    code, _, err = call("search", *arguments)
    assert code == 2
    assert message in err and "Traceback" not in err
    assert not list(folder.rglob("record.json"))


def test_a_search_that_finds_nothing_gives_exit_code_1(call: Call) -> None:
    """Here every trial diverges: there is no best, and no table of it."""
    code, out, err = call("search", "small.yaml", "--trials", "2", "--set", "protocol.coarse.lr=1e30")
    assert code == 1
    assert "trial.0 with psnr.lr 0.0001: DIVERGED; stage 'coarse', step" in err
    assert "shares a stage that failed in trial.0" in err and "best:" not in out


def wait_for(count: int, folder: Path, process: "subprocess.Popen[str]") -> None:
    """Until this many trials are done and another one runs."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if len(done(folder)) >= count and is_running(folder / "runs/small/study.journal"):
            return
        time.sleep(0.05)


def is_running(journal: Path) -> bool:
    study = optuna.load_study(study_name="small", storage=JournalStorage(JournalFileBackend(str(journal))))
    return bool(study.get_trials(states=(TrialState.RUNNING,)))


def done(folder: Path) -> list[dict[str, str]]:
    return [row for row in trials(folder) if row["status"] == "done"]


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "threads"), [(signal.SIGINT, 2), (signal.SIGKILL, 1)], ids=["Ctrl-C", "kill -9"])
def test_a_killed_search_goes_on(folder: Path, sent: signal.Signals, threads: int) -> None:
    """Killed twice while trials train: what was finished stays, what ran is tried again, and the number is right."""
    file = folder / "small.yaml"
    file.write_text(file.read_text().replace("psnr: {steps: 3", "psnr: {steps: 100"))
    kept: list[dict[str, str]] = []
    for count in (1, 3):
        with start(folder, "--trials", 6, "--workers", threads, threads=threads) as process:
            wait_for(count, folder, process)
            time.sleep(0.2)
            os.killpg(process.pid, sent)
            _, err = process.communicate(timeout=60)
        assert process.returncode == (85 if sent == signal.SIGINT else -sent), err
        assert "Traceback" not in err
        assert done(folder)[: len(kept)] == kept
        kept = done(folder)
        assert len(kept) >= count
    with start(folder, "--trials", 6, "--workers", threads, threads=threads) as process:
        _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    interrupted = [row for row in trials(folder) if row["status"] == "interrupted"]
    rates = [row["protocol.psnr.lr"] for row in done(folder)]
    assert len(rates) == len(set(rates)) == 6
    assert 1 <= len(interrupted) <= 2 * threads
    assert all(row["protocol.psnr.lr"] in rates for row in interrupted if row["protocol.psnr.lr"])


@pytest.mark.slow
def test_the_quick_search_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped search runs as its file says; few trials of few steps here."""
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    steps = [f"protocol.{stage}.steps=5" for stage in ("coarse", "psnr", "score")]
    sets = [part for step in steps for part in ("--set", step)]
    file = str(ROOT / "experiments/quick_search.yaml")
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "benchmark", "search", file, "--trials", "2", *sets],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "best: runs/quick_search/best.yaml" in ended.stdout
