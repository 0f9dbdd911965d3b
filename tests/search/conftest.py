"""A small search: the small experiment with two learning rates to be found."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.search.search import Setup

SEARCH = """\
search:
  trials: 4
  parameters:
    protocol.coarse.lr: {choices: [1e-3, 2e-3]}
    protocol.psnr.lr: {low: 1e-5, high: 1e-3, log: true}
"""
SetUp = Callable[..., Setup]


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
