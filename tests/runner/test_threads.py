"""The number of CPU threads belongs to the recipe: the same recipe has the same key and the same bits everywhere."""

import dataclasses
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.cli.experiment_setup import Prepared, prepare
from benchmark.cli.options import Selection
from benchmark.gates.cost import macs
from benchmark.model import build
from benchmark.runner.context import with_cached_sources
from benchmark.runner.events import ImageScored, StageProgress
from benchmark.runner.jobs import TestRow, TrainStage, run_job
from benchmark.runner.local_executor import worker_devices
from benchmark.runner.row import RowProgress
from benchmark.runner.threads import MACS_OF_TWO_THREADS

PROCESS_THREADS = 3


@pytest.fixture(autouse=True)
def _threads_of_the_process() -> Iterator[None]:
    """The process computes with a number of threads that no stage asks for."""
    before = torch.get_num_threads()
    torch.set_num_threads(PROCESS_THREADS)
    yield
    torch.set_num_threads(before)


def prepared(file: Path, *sets: str, cores: int = 1) -> Prepared:
    ready = prepare(Selection(file, file.parent / "runs" / "small", (), (), sets, "cpu", (), replace=False))
    machine = dataclasses.replace(ready.context.machine, threads=cores)
    torch.set_num_threads(PROCESS_THREADS)  # `prepare` sets those of the machine
    return dataclasses.replace(ready, context=dataclasses.replace(ready.context, machine=machine))


def threads(ready: Prepared) -> list[Any]:
    return [stage.settings.threads for stage in ready.plan.rows[0].stages]


def test_a_stage_trains_and_tests_with_its_own_threads(experiment_file: Path) -> None:
    """Whatever the process has, which gets its own number back; the stage says what it was trained with."""
    ready = prepared(experiment_file, "protocol.coarse.threads=2")
    context = with_cached_sources(ready.plan.experiment.data, ready.context, lambda event: None)
    row = ready.plan.rows[0]
    seen: dict[str, int] = {}

    def on_event(event: Any) -> None:
        if isinstance(event, StageProgress | ImageScored):
            name = event.progress.stage if isinstance(event, StageProgress) else "test"
            seen[name] = torch.get_num_threads()

    for stage in row.stages:
        run_job(TrainStage(row, stage), context, on_event)
    run_job(TestRow(row, RowProgress()), context, on_event)
    assert seen == {"coarse": 2, "psnr": 1, "test": 1}
    assert torch.get_num_threads() == PROCESS_THREADS
    results = [context.store.finished(stage.key) for stage in row.stages]
    assert [result.provenance["threads"] for result in results if result] == [2, 1]


def test_a_failed_stage_gives_the_threads_back(experiment_file: Path) -> None:
    """The next job of the process must not compute with those of the failed one."""
    ready = prepared(experiment_file, "protocol.coarse.threads=2")
    row = ready.plan.rows[0]  # its images are not in the cache of this context and its parent is not stored
    events: list[Any] = []
    run_job(TrainStage(row, row.stages[1]), ready.context, events.append)
    assert type(events[-1]).__name__ == "JobFailed"
    assert torch.get_num_threads() == PROCESS_THREADS


def test_the_key_holds_the_threads_and_no_machine(experiment_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines with 1 and 8 cores plan the same keys; another number of threads is another key."""
    keys: list[list[str]] = []
    for cores in ("1", "8"):
        monkeypatch.setenv("OMP_NUM_THREADS", cores)
        keys.append([stage.key for stage in prepared(experiment_file).plan.rows[0].stages])
    assert keys[0] == keys[1]
    other = prepared(experiment_file, "protocol.psnr.threads=2").plan.rows[0].stages
    assert [stage.key == key for stage, key in zip(other, keys[0], strict=True)] == [True, False]


def test_auto_is_decided_by_the_multiply_adds_of_a_step(experiment_file: Path) -> None:
    """One thread just below the threshold, two from it on; a number of the file stays as it is."""
    ready = prepared(experiment_file)
    network = build(ready.plan.rows[0].recipe.model, 0, ready.context.registry)
    of_a_patch = macs(network, (256, 256)) / 64  # of 32 x 32 pixels
    batch = ceil(MACS_OF_TWO_THREADS / of_a_patch)
    assert threads(ready) == [1, 1]
    assert threads(prepared(experiment_file, f"protocol.coarse.batch={batch}")) == [2, 1]
    assert threads(prepared(experiment_file, f"protocol.coarse.batch={batch - 1}")) == [1, 1]
    assert threads(prepared(experiment_file, f"protocol.coarse.batch={batch}", "protocol.coarse.threads=1")) == [1, 1]


@pytest.mark.parametrize(("cores", "of_a_stage", "workers"), [(8, 4, 2), (8, 5, 1), (2, 16, 1), (2, 1, 2), (1, 1, 1)])
def test_workers_times_threads_fit_the_cores(experiment_file: Path, cores: int, of_a_stage: int, workers: int) -> None:
    """As many workers as the cores can run with the threads of the most demanding stage, and at least one."""
    ready = prepared(experiment_file, f"protocol.psnr.threads={of_a_stage}", cores=cores)
    assert worker_devices(ready.plan, ready.context) == ("cpu",) * workers
