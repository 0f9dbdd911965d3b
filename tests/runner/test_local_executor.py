"""The local executor: how many workers a plan gets, and on which devices."""

import dataclasses
from pathlib import Path

import pytest
import torch

from benchmark.cli.experiment_setup import Prepared, prepare
from benchmark.cli.options import Selection
from benchmark.runner import local_executor
from benchmark.runner.local_executor import worker_devices

INDEPENDENT = 2
"""Rows of the small experiment with a first stage of their own: base and direct_rgb; stage_1 shares that of base."""


def prepared(file: Path, device: str, threads: int = 8) -> Prepared:
    ready = prepare(Selection(file, None, (), (), (), "cpu", (), replace=False))
    machine = dataclasses.replace(ready.context.machine, device=torch.device(device), threads=threads)
    return dataclasses.replace(ready, context=dataclasses.replace(ready.context, machine=machine))


@pytest.mark.parametrize(
    ("device", "gpus", "devices"),
    [
        ("cuda", 1, ("cuda",)),
        ("cuda", 4, ("cuda:0", "cuda:1")),  # no more than there are independent rows
        ("cuda:3", 4, ("cuda:3",)),
    ],
)
def test_each_gpu_has_a_worker(experiment_file: Path, device: str, gpus: int, devices: tuple[str, ...]) -> None:
    """Of those that rows can use side by side, and only the one that `--device` names."""
    ready = prepared(experiment_file, device)
    assert worker_devices(ready.plan, ready.context, gpus=gpus) == devices


def test_independent_trials_use_all_gpus(experiment_file: Path) -> None:
    """A search says how many of its trials can run side by side."""
    ready = prepared(experiment_file, "cuda")
    assert worker_devices(ready.plan, ready.context, independent=9, gpus=3) == ("cuda:0", "cuda:1", "cuda:2")


@pytest.mark.parametrize(("threads", "workers"), [(1, 1), (2, INDEPENDENT), (8, INDEPENDENT)])
def test_each_core_has_a_worker(experiment_file: Path, threads: int, workers: int) -> None:
    """But no more than there are independent rows."""
    ready = prepared(experiment_file, "cpu", threads)
    assert worker_devices(ready.plan, ready.context) == ("cpu",) * workers


def test_workers_fit_into_memory(experiment_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with memory for one row has one worker."""
    ready = prepared(experiment_file, "cpu")
    needed = max(local_executor.needed_bytes(row, row.stages, ready.context.registry)[0] for row in ready.plan.rows)
    monkeypatch.setattr(local_executor, "machine_bytes", lambda machine: int(1.5 * needed))
    assert worker_devices(ready.plan, ready.context) == ("cpu",)
