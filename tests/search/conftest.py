"""A small search: the small experiment with two learning rates to be found."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.search.interim import RowSeeds
from benchmark.search.search import Setup
from tests.search.postgresql_server import NewDatabase, postgresql

SEARCH = """\
search:
  trials: 4
  pruner: none
  parameters:
    protocol.coarse.lr: {choices: [1e-3, 2e-3]}
    protocol.psnr.lr: {low: 1e-5, high: 1e-3, log: true}
"""
SetUp = Callable[..., Setup]
_ANALYSES = (5, 10, 20)
_IMAGES = 6
_OFFSETS = {"base": 0.0, "t.better": 1.0, "t.near": 0.05, "t.worse": -1.0}


@pytest.fixture(scope="session")
def search_text(experiment_text: str) -> str:
    """The small experiment with a section `search`."""
    return experiment_text + SEARCH


@pytest.fixture
def search_file(experiment_file: Path, search_text: str) -> Path:
    """The small experiment with a section `search`, in a folder of its own."""
    experiment_file.write_text(search_text)
    return experiment_file


@pytest.fixture(scope="session")
def set_up_of() -> SetUp:
    """`set_up` of any file, for fixtures that outlive a test."""
    return _set_up


@pytest.fixture
def set_up(search_file: Path) -> SetUp:
    """What `run_search` needs, on one thread; changes of the file's text as (old, new)."""
    return partial(_set_up, search_file)


def _set_up(
    file: Path, *changes: tuple[str, str], trials: int = 4, workers: int = 1, sets: tuple[str, ...] = ()
) -> Setup:
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    ready = prepare(Selection(file, file.parent / "runs/small", (), (), sets, "cpu", (), replace=False))
    experiment = dataclasses.replace(ready.plan.experiment, rows=ready.plan.experiment.rows[:1])
    assert experiment.search
    search = dataclasses.replace(experiment.search, trials=trials)
    machine = dataclasses.replace(ready.context.machine, threads=1)
    context = dataclasses.replace(ready.context, machine=machine)
    return Setup(experiment, search, context, context.output / "study.journal", workers)


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewDatabase]:
    """A function that makes a database of this name and returns its URL, of a PostgreSQL server for these tests."""
    with postgresql(tmp_path_factory.mktemp("postgresql")) as create:
        yield create


@pytest.fixture
def write_run() -> Callable[..., Path]:
    """A function that writes a run with interim analyses: folder, seeds of each row, claims -> the folder."""
    return _write_run


def _write_run(folder: Path, counts: Mapping[str, RowSeeds], claims: list[dict[str, Any]] | None = None) -> Path:
    """Write a run whose rows have these seeds; the score of a row, seed and image is always the same number."""
    rng = np.random.default_rng(3)
    scores = {row: offset + rng.normal(0, 0.1, (_ANALYSES[-1], _IMAGES)) for row, offset in _OFFSETS.items()}
    rows = []
    for row, (count, stopped_at) in {name: (seeds.count, seeds.stopped_at) for name, seeds in counts.items()}.items():
        keys = {str(seed): f"{row} {seed}" for seed in range(count)}
        stage = {"name": "only", "steps": 1, "keys": keys}
        table = None if row == "base" else "t"
        rows.append(
            {"row": row, "table": table, "kind": "trained", "seeds": list(range(count)), "stopped_at": stopped_at,
             "stages": [stage]}
        )  # fmt: skip
        for seed in range(count):
            _write_record(folder / row / f"seed{seed}", row, seed, scores[row][seed])
    plan = {
        "schema": 2, "experiment": "adaptive", "primary": "psnr", "equivalence_margin": 0.2, "rows": rows,
        "seeds": list(range(max(seeds.count for seeds in counts.values()))), "claims": claims or [],
        "interim": {"seeds": _ANALYSES, "exponent": 2.0},
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder


def _write_record(folder: Path, row: str, seed: int, values: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"test,image{at},psnr,{30 + value!r}" for at, value in enumerate(values.tolist())]
    (folder / "scores.csv").write_text("\n".join(["split,image,metric,value", *lines]) + "\n")
    (folder / "curve.csv").write_text("stage,step,name,value\n")
    score = {"mean": 30 + float(values.mean()), "std": None, "n": _IMAGES}
    record = {
        "schema": 2, "experiment": "adaptive", "row": row, "tables": ["t"] if row != "base" else [], "seed": seed,
        "status": "done", "config": {}, "config_hash": "", "provenance": {}, "scores": {"test": {"psnr": score}},
    }  # fmt: skip
    (folder / "record.json").write_text(json.dumps(record))
