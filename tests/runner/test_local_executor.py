"""The local executor: how many workers a plan gets, and on which devices."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmark.cli.experiment_setup import Prepared, prepare
from benchmark.cli.options import Selection
from benchmark.errors import BenchmarkError
from benchmark.inference.device_setup import device_names
from benchmark.runner import local_executor
from benchmark.runner.local_executor import worker_devices

SIDE_BY_SIDE = 2
"""Stages of the small experiment that no other one needs: of base and direct_rgb; stage_1 shares that of base."""


def prepared(file: Path, device: str, threads: int = 8, devices: tuple[str, ...] = ()) -> Prepared:
    ready = prepare(Selection(file, None, (), (), (), "cpu", (), replace=False))
    machine = dataclasses.replace(
        ready.context.machine, device=torch.device(device), threads=threads, devices=devices or (device,)
    )
    return dataclasses.replace(ready, context=dataclasses.replace(ready.context, machine=machine))


@pytest.mark.parametrize(
    ("text", "gpus", "devices"),
    [
        (None, 0, ("cpu",)),
        ("all", 0, ("cpu",)),
        ("all", 1, ("cuda",)),
        (None, 3, ("cuda:0", "cuda:1", "cuda:2")),
        ("cuda", 2, ("cuda:0", "cuda:1")),
        ("cpu", 2, ("cpu",)),
        ("0,2, 3", 4, ("cuda:0", "cuda:2", "cuda:3")),
        ("cuda:1", 2, ("cuda:1",)),
        ("0,0", 1, ("cuda:0", "cuda:0")),  # two workers on one device
    ],
)
def test_devices_are_named_by_one_option(text: str | None, gpus: int, devices: tuple[str, ...]) -> None:
    """All GPUs unless some are named; the CPU where there is none, or where it is named."""
    assert device_names(text, gpus) == devices


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu", "--devices gpu: no such device; use all, cpu, or GPUs such as 0,2,3"),
        ("", "--devices '': no such device; use all, cpu, or GPUs such as 0,2,3"),
        ("0,,1", "no such device"),
        ("0,4", "this machine has 2 CUDA devices, none with number 4"),
        ("cpu,0", "no such device"),
    ],
)
def test_an_unknown_device_is_one_line(text: str, message: str) -> None:
    """It says what is allowed, and what this machine has."""
    with pytest.raises(BenchmarkError, match=message):
        device_names(text, 2)
    with pytest.raises(BenchmarkError, match="has 0 CUDA devices"):
        device_names("cuda", 0)


def test_each_gpu_has_a_worker(experiment_file: Path) -> None:
    """Of those that are named, no more than jobs can run side by side; `search --workers` spreads more over them."""
    ready = prepared(experiment_file, "cuda:0", devices=("cuda:0", "cuda:2", "cuda:3"))
    assert worker_devices(ready.plan, ready.context) == ("cuda:0", "cuda:2")
    assert worker_devices(ready.plan, ready.context, independent=9) == ("cuda:0", "cuda:2", "cuda:3")
    assert worker_devices(ready.plan, ready.context, workers=4) == ("cuda:0", "cuda:2", "cuda:3", "cuda:0")


def test_rows_that_share_their_first_stage_run_side_by_side_after_it(edited: Callable[[str, str], Path]) -> None:
    """So they have as many workers as they end with stages of their own."""
    file = edited(
        "  stages:\n", "  stages:\n    gentle: {protocol.psnr.lr: 2e-4}\n    mild: {protocol.psnr.lr: 3e-4}\n"
    )
    ready = prepared(file, "cpu")
    assert worker_devices(ready.plan, ready.context) == ("cpu",) * (SIDE_BY_SIDE + 2)


@pytest.mark.parametrize(("threads", "workers"), [(1, 1), (2, SIDE_BY_SIDE), (8, SIDE_BY_SIDE)])
def test_each_core_has_a_worker(experiment_file: Path, threads: int, workers: int) -> None:
    """But no more than jobs can run side by side."""
    ready = prepared(experiment_file, "cpu", threads)
    assert worker_devices(ready.plan, ready.context) == ("cpu",) * workers


def test_workers_fit_into_memory(experiment_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with memory for one row has one worker."""
    ready = prepared(experiment_file, "cpu")
    needed = max(local_executor.needed_bytes(row, row.stages, ready.context.registry)[0] for row in ready.plan.rows)
    monkeypatch.setattr(local_executor, "machine_bytes", lambda machine: int(1.5 * needed))
    assert worker_devices(ready.plan, ready.context) == ("cpu",)
