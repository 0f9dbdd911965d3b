"""The machine that networks run on, and the settings of this process that decide how fast and how exactly they run."""

import ctypes
import os
import platform
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from benchmark.errors import BenchmarkError, shown
from benchmark.processes import usable_cores

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Machine:
    """The device, CPU threads and allocator that networks run with."""

    device: torch.device
    device_name: str
    threads: int
    allocator: str
    """`kept`: freed memory stays with the process. `default`: as the system has it."""
    devices: tuple[str, ...] = ()
    """Devices of the same kind that run jobs side by side, `device` the first; empty: `device` alone."""


def prepare_machine(device: str | None, threads: int | None = None, *, keep_memory: bool = True) -> Machine:
    """Choose a device, and set threads and allocator of this process.

    Args:
        device: `cpu`, `cuda` or `cuda:N`; None: CUDA if there is one, else the CPU.
        threads: CPU threads; None: `OMP_NUM_THREADS`, else one for each usable core.
        keep_memory: See `configure_process`.

    Raises:
        BenchmarkError: There is no such device.
    """
    chosen = cpu_or_cuda(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else _cpu_name()
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # nested regions may have a list
    threads = threads or (int(first) if first.isdigit() else 0) or usable_cores()
    return Machine(chosen, name, threads, configure_process(threads, keep_memory=keep_memory))


def prepare_machine_with(devices: str | None) -> Machine:
    """Choose the devices that run jobs side by side, and set up this process for the first of them.

    Args:
        devices: As for `device_names`.

    Raises:
        BenchmarkError: There is no such device.
    """
    names = device_names(devices, torch.cuda.device_count())
    return replace(prepare_machine(names[0]), devices=names)


def device_names(text: str | None, gpus: int) -> tuple[str, ...]:
    """Return the devices that a text names, each as often as it is to have a worker.

    Args:
        text: `all`, `cpu`, `cuda`, `cuda:N`, or numbers of GPUs such as `0,2,3`; None: all. `all` means all GPUs, or
            the CPU where there is none.
        gpus: Number of CUDA devices of this machine.

    Raises:
        BenchmarkError: There is no such device.
    """
    text = "all" if text is None else text.replace(" ", "")
    if text == "cpu" or (text == "all" and not gpus):
        return ("cpu",)
    if text in ("all", "cuda") and gpus:
        return tuple(f"cuda:{index}" for index in range(gpus)) if gpus > 1 else ("cuda",)
    if not re.fullmatch(r"cuda|((cuda:)?\d{1,3})(,(cuda:)?\d{1,3})*", text, re.ASCII):
        given = shown(text) if text else "''"
        raise BenchmarkError(f"--devices {given}: no such device; use all, cpu, or GPUs such as 0,2,3")
    indices = [int(part.removeprefix("cuda:")) for part in text.split(",")] if text != "cuda" else [0]
    if missing := [index for index in indices if index >= gpus]:
        raise BenchmarkError(
            f"--devices {text}: this machine has {gpus} CUDA devices, none with number {missing[0]}; use all or cpu"
        )
    return tuple(f"cuda:{index}" for index in indices)


def configure_process(threads: int, *, keep_memory: bool = True) -> str:
    """Set threads, exact float32, and the allocator of this process.

    Args:
        threads: CPU threads of torch.
        keep_memory: Let freed memory stay with the process (glibc). Else it goes back to the system, and every page
            of every feature map costs a page fault when it is allocated again.

    Returns:
        Name of the allocator: `kept` or `default`.
    """
    torch.set_num_threads(threads)
    # float32 means float32: by default convolutions on newer GPUs use the 10-bit mantissa of TF32.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if not keep_memory or platform.libc_ver()[0] != "glibc":
        return "default"
    libc = ctypes.CDLL("libc.so.6")
    is_set = libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    return "kept" if is_set else "default"


@contextmanager
def torch_threads(threads: int | Literal["auto"] | None) -> Generator[None]:
    """Let torch compute with this many threads inside; None and "auto" change nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads if isinstance(threads, int) else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def present_machine(device: torch.device) -> Machine:
    """Return the machine as this process uses it; nothing is set."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return Machine(device, name, torch.get_num_threads(), "default")


def inference_device(name: str | None) -> torch.device:
    """Return the device for a network that only restores: by default CUDA, else MPS, else the CPU.

    Raises:
        BenchmarkError: There is no such device.
    """
    has_mps = torch.backends.mps.is_available()
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    return torch.device(name) if name == "mps" and has_mps else cpu_or_cuda(name)


def cpu_or_cuda(name: str) -> torch.device:
    """Return the device with this name.

    Raises:
        BenchmarkError: There is no such device.
    """
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise BenchmarkError(f"--device {name}: no such device; use cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BenchmarkError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; use cpu")
    return device


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
