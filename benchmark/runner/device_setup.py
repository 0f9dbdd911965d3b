"""The process and the machine it runs on: device, threads, allocator."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.errors import BenchmarkError
from benchmark.inference.process_setup import set_up
from benchmark.processes import usable_cores


@dataclass(frozen=True)
class Machine:
    """What a run is executed on; `allocator` is `kept` where freed memory stays with the process, else `default`."""

    device: torch.device
    device_name: str
    threads: int
    allocator: str


def prepare_machine(device: str | None, threads: int | None = None, *, keep_memory: bool = True) -> Machine:
    """Choose the device (CUDA if there is one and none is asked for) and set threads and allocator of this process.

    Threads: as given, else `OMP_NUM_THREADS`, else one for each usable core. `keep_memory` False leaves the allocator
    as the system has it.
    """
    chosen = _device(device)
    threads = threads or _wanted_threads() or usable_cores()
    return Machine(chosen, _device_name(chosen), threads, set_up(threads, keep_memory=keep_memory))


def _wanted_threads() -> int:
    """`OMP_NUM_THREADS`; of a list, as nested regions may have, the first."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() else 0


def _device(requested: str | None) -> torch.device:
    name = requested or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BenchmarkError(f"--device {name}: no such device; use cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise BenchmarkError(f"--device {name}: not supported; use cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BenchmarkError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; use cpu")
    return device


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
