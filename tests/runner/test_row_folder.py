"""The folder of a row: one process at a time writes it, and what is missing is not believed to be finished."""

import os
import shutil
from pathlib import Path

import pytest

from benchmark.files import read_json
from benchmark.lease import LeaseFolder, LeaseLost
from benchmark.runner.events import Event, JobEvent, RowAwaited, RowFinished, StageFinished
from benchmark.runner.preflight import preflight
from benchmark.runner.row import RowProgress  # pytest would collect a function `test_row`
from benchmark.runner.row import test_row as write_row
from tests.cli.test_cli import start
from tests.runner.small_runs import carry_out, prepared


def test_a_row_that_another_process_tests_is_awaited_and_kept(
    experiment_file: Path, output: Path, tmp_path: Path
) -> None:
    """The second process says who has the folder, and takes the record of the first; it deletes and tests nothing."""
    folder = output / "base/seed0"
    shutil.move(folder, tmp_path / "by_the_first")
    lease = LeaseFolder(output / ".leases/base").acquire("seed0")
    assert lease is not None
    ready, events = prepared(experiment_file), list[Event | JobEvent]()

    def on_event(event: Event | JobEvent) -> None:
        events.append(event)
        if isinstance(event, RowAwaited):
            shutil.move(tmp_path / "by_the_first", folder)
            (folder / "images/mark").touch()
            lease.release()

    base = next(row for row in ready.plan.rows if row.row == "base")
    write_row(base, RowProgress(), ready.context, on_event)
    assert [type(event) for event in events] == [RowAwaited, RowFinished]
    assert isinstance(events[0], RowAwaited) and f"process {os.getpid()} on " in events[0].owner
    assert isinstance(events[1], RowFinished) and events[1].record.config_hash == base.config_hash
    assert (folder / "images/mark").exists() and (folder / "scores.csv").exists()


def test_a_process_that_lost_the_folder_writes_no_record(experiment_file: Path) -> None:
    """It was paused for so long that another process took the row over: its own result is not written."""
    ready = prepared(experiment_file)
    baseline = ready.plan.baselines[0]
    folder = ready.context.output / baseline.folder

    def on_event(event: Event | JobEvent) -> None:
        (ready.context.output / ".leases" / f"{baseline.folder}.2").touch()

    with pytest.raises(LeaseLost, match="another process took the lease over"):
        write_row(baseline, RowProgress(), ready.context, on_event)
    assert not (folder / "record.json").exists() and not (folder / "scores.csv").exists()


@pytest.mark.parametrize(
    ("name", "replace"),
    [
        ("scores.csv", False),
        ("weights.safetensors", True),
        pytest.param("scores.csv", True, marks=pytest.mark.slow),
        pytest.param("weights.safetensors", False, marks=pytest.mark.slow),
    ],
)
def test_a_record_without_its_files_is_not_finished(
    experiment_file: Path, output: Path, name: str, replace: bool
) -> None:
    """The row is tested again, with or without --replace, and its files are the same as before; nothing is trained."""
    file = output / "base/seed0" / name
    before = file.read_bytes()
    file.unlink()
    ready = prepared(experiment_file)
    assert [row.folder for row in preflight(ready.plan, ready.context, replace=replace)] == ["base/seed0"]
    events, records = carry_out(ready, preflight(ready.plan, ready.context, replace=replace))
    assert [record.row for record in records] == ["base"] and file.read_bytes() == before
    assert not any(isinstance(event, StageFinished) for event in events)


@pytest.mark.slow
def test_two_commands_on_one_folder(experiment_file: Path) -> None:
    """Both end well, every row is finished with all its files, and no row was tested twice."""
    folder = experiment_file.parent
    started = [start("run", experiment_file.name, cwd=folder) for _ in range(2)]
    outputs = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], outputs
    ready = prepared(experiment_file)
    assert preflight(ready.plan, ready.context, replace=False) == []
    for row in ready.plan.rows:
        record = read_json(folder / "runs/small" / row.folder / "record.json")
        assert record["status"] == "done" and len(list((folder / "runs/small" / row.folder / "images").iterdir())) == 3
