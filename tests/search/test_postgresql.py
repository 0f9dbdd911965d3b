"""A study in PostgreSQL: Debian's server, started for these tests where it and psycopg are installed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from benchmark.errors import RecordError
from benchmark.search.storage import open_storage, shown_place

ROOT = Path(__file__).parents[2]
_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").exists() else []
_PORT = 15000 + os.getpid() % 1000
SEARCH = """\
search:
  trials: 6
  pruner: none
  parameters:
    protocol.psnr.lr: {low: 1e-5, high: 1e-3, log: true}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own in a folder of its own, and the URL of its database."""
    pytest.importorskip("psycopg")
    if not _PROGRAMS:
        pytest.skip("no PostgreSQL server is installed")
    as_user = []
    folder = Path(tmp_path_factory.mktemp("postgresql"))
    if os.getuid() == 0:  # the server refuses to run as root
        as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        shutil.chown(folder, "postgres", "postgres")
        for parent in list(folder.parents)[:3]:
            parent.chmod(parent.stat().st_mode | 0o011)
    data, programs = folder / "data", _PROGRAMS[-1]

    def call(program: str, *arguments: str) -> None:
        subprocess.run([*as_user, str(programs / program), *arguments], check=True, capture_output=True, cwd=folder)

    call("initdb", "-D", str(data), "-A", "trust", "-U", "bench", "-E", "UTF8")
    options = f"-c listen_addresses=127.0.0.1 -p {_PORT} -k {folder} -c fsync=off"
    call("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    call("createdb", "-h", "127.0.0.1", "-p", str(_PORT), "-U", "bench", "study")
    yield f"postgresql://bench@127.0.0.1:{_PORT}/study"
    call("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


def test_one_command_at_a_time_has_a_database(url: str) -> None:
    """A second one is refused, and may go on as soon as the first has ended."""
    with (
        open_storage(url, "small"),
        pytest.raises(RecordError, match="another search is writing"),
        open_storage(url, "small"),
    ):
        pass
    with open_storage(url, "small") as storage:
        assert optuna.get_all_study_summaries(storage()) == []


def test_a_server_that_does_not_answer_is_one_line() -> None:
    """Without the password."""
    pytest.importorskip("psycopg")
    url = "postgresql://bench:secret@127.0.0.1:1/study"
    assert shown_place(url) == "postgresql://bench:***@127.0.0.1:1/study"
    with (
        pytest.raises(RecordError, match=r"127\.0\.0\.1:1/study: cannot be opened \(.*\); start it") as error,
        open_storage(url, "small"),
    ):
        pass
    assert "secret" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.slow
def test_killed_searches_lose_and_double_nothing(url: str, experiment_file: Path) -> None:
    """Two workers, killed three times while trials train: all settings are asked once, and none is left running."""
    experiment_file.write_text(experiment_file.read_text().replace("psnr: {steps: 3", "psnr: {steps: 60") + SEARCH)
    command = [sys.executable, "-m", "benchmark", "search", experiment_file.name, "--workers", "2", "--storage", url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for kills_left in (3, 2, 1, 0):
        process = subprocess.Popen(
            command, cwd=experiment_file.parent, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
        )
        if kills_left:
            _wait_for_running(url, process)
            time.sleep(0.3)
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait(timeout=300)
    assert code == 0
    with open_storage(url, "small") as storage:
        trials = optuna.load_study(study_name="small", storage=storage()).trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    done = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert len(done) == 6 == len({trial.params["protocol.psnr.lr"] for trial in done})
    assert all(trial.state.is_finished() for trial in trials)
    assert all(trial.user_attrs["row"] == f"trial.{trial.number}/seed0" for trial in done)


def _wait_for_running(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a trial runs."""
    storage = optuna.storages.RDBStorage(url.replace("postgresql://", "postgresql+psycopg://"))
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
        if names and optuna.load_study(study_name=names[0], storage=storage).get_trials(
            states=(optuna.trial.TrialState.RUNNING,)
        ):
            break
        time.sleep(0.1)
    storage.engine.dispose()
