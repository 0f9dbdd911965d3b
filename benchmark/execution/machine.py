"""The process and the machine it runs on: device, threads, allocator."""

import ctypes
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.data.parallel import usable_cores
from benchmark.errors import BenchmarkError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Machine:
    """What a run is executed on; `allocator` is `kept` where freed memory stays with the process, else `default`."""

    device: torch.device
    device_name: str
    threads: int
    allocator: str


def prepare_machine(device: str | None, threads: int | None = None) -> Machine:
    """Choose the device (CUDA if there is one and none is asked for) and set threads and allocator of this process.

    Threads: as given, else `OMP_NUM_THREADS`, else one for each usable core.
    """
    chosen = _device(device)
    threads = threads or _wanted_threads() or usable_cores()
    torch.set_num_threads(threads)
    # float32 means float32: by default convolutions on newer GPUs would drop to the 10-bit mantissa of TF32.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return Machine(chosen, _device_name(chosen), threads, "kept" if _keep_memory() else "default")


def _wanted_threads() -> int:
    """`OMP_NUM_THREADS`; of a list, as nested regions may have, the first."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdigit() else 0


def _device(wanted: str | None) -> torch.device:
    name = wanted or ("cuda" if torch.cuda.is_available() else "cpu")
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


def _keep_memory() -> bool:
    """Tell glibc to keep freed memory: returning it costs a page fault for every page of every feature map."""
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL("libc.so.6")
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
