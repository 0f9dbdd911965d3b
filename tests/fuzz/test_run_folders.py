"""Damaged files of runs, stores and searches: read, or refused in one line; nothing else is changed.

`FUZZ=2000 pytest -m torture tests/fuzz/test_run_folders.py` for more; the mutants are the same in every run.
"""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import reports
from benchmark.errors import BenchmarkError
from benchmark.model import load as load_network
from benchmark.runner.record_writer import damaged_file, planned_record
from benchmark.runner.store_admin import damage, inventory, set_aside
from reports.errors import ReportError
from reports.results.load import load

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 20
FEW, MANY = 120, int(os.environ.get("FUZZ", "2000"))
COUNTS = (pytest.param(FEW, marks=pytest.mark.slow), pytest.param(MANY, marks=pytest.mark.torture))

SEARCH = """\
search:
  trials: 3
  parameters: {protocol.psnr.lr: {low: 1e-5, high: 1e-3, log: true}}
"""
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**12, 1e308, -0.5, "", "x" * 5000, "../../../etc/passwd", "\ud800", "\n\x1b[31m", "nan"),
    *([], {}, [[]], {"": {}}, ["base", "base"], {"base": None}),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, experiment_text: str) -> Path:
    """A folder with a finished run of three rows, its store, and a search of three trials."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "small.yaml").write_text(experiment_text)
    (folder / "searched.yaml").write_text(experiment_text + SEARCH)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "BENCHMARK_CACHE": f"{folder}/cache"}
    for command in ("run small.yaml", "search searched.yaml --output runs/searched"):
        call = [sys.executable, "-m", "benchmark", *command.split()]
        ended = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    return folder


def paths_in(node: Any, path: tuple[Any, ...] = ()) -> Generator[tuple[Any, ...]]:
    """Yield the path of every value in JSON data."""
    if path:
        yield path
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield from paths_in(value, (*path, key))


def with_change(content: bytes, draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """Return JSON with one value replaced, removed or under another name."""
    data = json.loads(content)
    *parents, key = draw(st.sampled_from(list(paths_in(data))))
    parent: Any = data
    for name in parents:
        parent = parent[name]
    match draw(st.sampled_from(["value", "value", "remove", "rename"])):
        case "value":
            parent[key] = draw(st.sampled_from(VALUES))
        case "remove":
            del parent[key]
        case _ if isinstance(parent, dict):
            parent[draw(st.sampled_from(["", "x", "\ud800", "__class__"]))] = parent.pop(key)
        case _:
            parent.append(parent[key])
    return json.dumps(data).encode("utf-8", "surrogatepass")


def with_damage(content: bytes, draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """Return bytes with a few changed, a piece cut out or doubled, or an end cut off."""
    data = bytearray(content or b"\0")
    start, end = sorted((draw(st.integers(0, len(data) - 1)), draw(st.integers(0, len(data) - 1))))
    match draw(st.sampled_from(["bytes", "cut", "without", "doubled", "before"])):
        case "bytes":
            for position in draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=4)):
                data[position] = draw(st.integers(0, 255))
            return bytes(data)
        case "cut":
            return bytes(data[:end])
        case "without":
            return bytes(data[:start] + data[end:])
        case "doubled":
            return bytes(data[:end] + data[start:])
        case _:
            return draw(st.sampled_from([b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"[" * 5000])) + bytes(data)


def mutated(file: Path, draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """Return the content of a file, damaged at random; JSON often in its values, so that more than parsing is tried."""
    content = file.read_bytes()
    lines = content.splitlines(keepends=True)
    if file.name.endswith(".journal") and draw(st.booleans()):
        number = draw(st.integers(0, len(lines) - 1))
        lines[number] = with_change(lines[number], draw) + b"\n"
        return b"".join(lines)
    if file.suffix == ".json" and draw(st.booleans()):
        return with_change(content, draw)
    return with_damage(content, draw)


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of change of each file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def check(read: Callable[[], object]) -> None:
    """Call a reader: what it refuses is told in lines that can be printed, within seconds."""
    started = time.process_time()
    try:
        read()
    except (BenchmarkError, ReportError) as error:
        lines = str(error).split("\n")
        assert all(line.isprintable() and len(line) > 10 for line in lines), lines
    assert time.process_time() - started < MOST_SECONDS


def fuzz(count: int, files: list[Path], readers: list[Callable[[], object]], believed: bool = False) -> None:
    """Damage one of the files at a time, and call each reader; the files are whole again afterwards.

    Args:
        count: Number of mutants.
        files: What to damage.
        readers: What must read or refuse them, and leave all else alone.
        believed: Note the digest of a damaged file in the record beside it, now and then.
    """
    root = Path(os.path.commonpath([file.parent for file in files]))

    @seed(0)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def mutate(data: "st.DataObject") -> None:
        file = data.draw(st.sampled_from(files))
        record = file.with_name("record.json")
        originals = {path: path.read_bytes() for path in {file, record} if path.exists()}
        try:
            file.write_bytes(mutated(file, data.draw))
            if believed and file != record and record.exists() and data.draw(st.booleans()):
                content = json.loads(originals[record])
                content["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
                record.write_text(json.dumps(content))
            before = state_of(root)
            for read in readers:
                check(read)
            assert state_of(root) == before
        finally:
            for path, content in originals.items():
                path.write_bytes(content)

    mutate()


@pytest.mark.parametrize("count", COUNTS)
def test_a_damaged_record_is_read_or_refused(folder: Path, count: int) -> None:
    """Records, plan, scores and curves: by reports, by `load`, and by the run that asks whether a row is finished."""
    run = folder / "runs/small"
    row = run / "base/seed0"
    config_hash = json.loads((row / "record.json").read_text())["config_hash"]
    files = [run / "plan.json", run / "experiment.yaml", *(row / name for name in ("record.json", "scores.csv"))]
    readers = [
        lambda: load(run),
        lambda: load_network(row),
        lambda: planned_record(row, config_hash),
        lambda: damaged_file(row),
    ]
    fuzz(count, [*files, row / "curve.csv", row / "weights.safetensors"], readers, believed=True)


@pytest.mark.parametrize(
    "count", [pytest.param(10, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.torture)]
)
def test_a_report_is_written_from_damaged_records_or_refused(folder: Path, tmp_path: Path, count: int) -> None:
    """The whole page, which takes longer than reading alone."""
    run = tmp_path / "small"
    shutil.copytree(folder / "runs/small", run)
    row = run / "base/seed0"
    files = [run / "plan.json", row / "record.json", row / "scores.csv", row / "curve.csv"]
    copies = iter(range(10**6))

    def write() -> None:
        copy = tmp_path / f"copies/{next(copies)}/small"
        shutil.copytree(run, copy)
        reports.write(copy)

    try:
        fuzz(count, files, [write], believed=True)
    finally:
        shutil.rmtree(tmp_path / "copies", ignore_errors=True)


@pytest.mark.parametrize("count", COUNTS)
def test_a_damaged_stage_is_listed_as_damaged_or_refused(folder: Path, count: int) -> None:
    """`store list` and `store verify` of a store with a damaged stage."""
    store = folder / "runs/.stages"
    stage = next(path for path in sorted(store.iterdir()) if (path / "meta.json").is_file())

    def verify() -> None:
        for stored in inventory(store):
            damage(store, stored)
        set_aside(store)

    fuzz(count, [stage / name for name in ("meta.json", "curve.csv", "weights.safetensors")], [verify])


@pytest.mark.parametrize("count", COUNTS)
def test_a_damaged_journal_is_continued_or_refused(folder: Path, tmp_path: Path, count: int) -> None:
    """A search opens the journal, takes stock of its trials and asks for the next."""
    from benchmark.cli.experiment_setup import prepare
    from benchmark.cli.options import Selection
    from benchmark.search.study import ask, count_finished, failures, open_study, results, resume

    ready = prepare(
        Selection(folder / "searched.yaml", tmp_path / "searched", (), (), (), "cpu", (), replace=False),
    )
    search = ready.plan.experiment.search
    assert search
    journal = tmp_path / "study.journal"
    whole = folder / "runs/searched/study.journal"
    with (folder / "runs/searched/trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
    name, identity = names_in(whole)
    counts = {"continued": 0, "refused": 0}

    @seed(0)
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def mutate(data: "st.DataObject") -> None:
        journal.write_bytes(mutated(whole, data.draw))

        def go_on() -> None:
            counts["refused"] += 1
            with open_study(journal, name, search, identity, replace=False) as study:
                results(study, search)
                failures(study, search)
                count_finished(study)
                resume(study, search)
                ask(study, search)
            counts["continued"] += 1
            counts["refused"] -= 1

        check(go_on)

    mutate()
    print(counts)
    assert min(counts.values()) > 0


def names_in(journal: Path) -> tuple[str, str]:
    """Return the name and the identity of the study in a journal."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    name = next(line["study_name"] for line in lines if "study_name" in line)
    identity = next(line["user_attr"]["identity"] for line in lines if "identity" in line.get("user_attr", {}))
    return name, identity
