"""Records that are there are changed under the lease of their row: no change mixes with a record made anew."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.files import read_json, write_json
from benchmark.lease import LeaseFolder
from benchmark.runner.row_leases import add_artefact, add_digests
from benchmark.runner.stage_store import StageStore
from reports.digests import digest
from reports.schema import Artefact

ROW = "base/seed0"
EXPORTED = Artefact(file="net.onnx", format="onnx", dtype="float32", bytes=1, sha256="0" * 64)
CHANGES: dict[str, Callable[[Path, StageStore], None]] = {
    "artefacts": lambda run, store: add_artefact(run / ROW, EXPORTED),
    "files": lambda run, store: add_digests(ROW, run, store, "maps"),
}
"""What each writes, by the key of the record."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with one record."""
    (tmp_path / "run" / ROW / "maps").mkdir(parents=True)
    (tmp_path / "run" / ROW / "maps/a.gain.png").write_bytes(b"picture")
    write_json(tmp_path / "run/plan.json", {})
    write_json(tmp_path / "run" / ROW / "record.json", {"made": "first", "files": {"scores.csv": "0"}})
    return tmp_path / "run"


@pytest.mark.parametrize("key", CHANGES)
def test_a_change_waits_for_the_process_that_has_the_row(run: Path, tmp_path: Path, key: str) -> None:
    """It changes the record that this process has left, and leaves all else of it."""
    lease = LeaseFolder(run / ".leases/base").acquire("seed0")
    assert lease is not None
    change = threading.Thread(target=CHANGES[key], args=(run, StageStore(tmp_path / ".stages")))
    change.start()
    change.join(0.3)
    assert change.is_alive() and read_json(run / ROW / "record.json")["made"] == "first"
    write_json(run / ROW / "record.json", {"made": "second", "files": {"scores.csv": "1"}})
    lease.release()
    change.join(10)
    record = read_json(run / ROW / "record.json")
    assert not change.is_alive() and record["made"] == "second" and record["files"]["scores.csv"] == "1"
    picture = run / ROW / "maps/a.gain.png"
    expected = {
        "artefacts": [EXPORTED.model_dump(mode="json")],
        "files": {"scores.csv": "1", "maps/a.gain.png": digest(picture)},
    }
    assert record[key] == expected[key]


@pytest.mark.parametrize("key", CHANGES)
def test_a_row_that_is_made_anew_is_not_waited_for(run: Path, tmp_path: Path, key: str) -> None:
    """Its record is gone: there is nothing to change, and none is written in its place."""
    lease = LeaseFolder(run / ".leases/base").acquire("seed0")
    assert lease is not None
    (run / ROW / "record.json").unlink()
    CHANGES[key](run, StageStore(tmp_path / ".stages"))
    assert not (run / ROW / "record.json").exists()
    lease.release()


@pytest.mark.parametrize("key", CHANGES)
def test_what_is_noted_already_takes_no_lease(run: Path, tmp_path: Path, key: str) -> None:
    """The second call writes nothing."""
    CHANGES[key](run, StageStore(tmp_path / ".stages"))
    before = sorted(path.name for path in (run / ".leases").rglob("*")), (run / ROW / "record.json").stat().st_mtime_ns
    CHANGES[key](run, StageStore(tmp_path / ".stages"))
    after = sorted(path.name for path in (run / ".leases").rglob("*")), (run / ROW / "record.json").stat().st_mtime_ns
    assert before == after
