"""The machine: GPU, threads, allocator, memory."""

import math
import os
import subprocess
from pathlib import Path

from benchmark.doctor.finding import Finding
from benchmark.doctor.probe import Probed
from benchmark.doctor.software import BOTH_FROM, BOTH_WITH_CUDA, TORCH_FIRST

_LEAST_MEMORY_BYTES, _WANTED_MEMORY_BYTES = 1_000_000_000, 4_000_000_000
"""A worker of the quickstart takes 0.7 GB, and there is one for each core."""
_DRIVER_FILE = Path("/proc/driver/nvidia/version")
_MEMORY_FILE = Path("/proc/meminfo")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_CPU_QUOTA_V1, _CPU_PERIOD_V1 = (Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))


def driver() -> str:
    """GPUs and driver as NVIDIA's own tool names them; empty if there is no NVIDIA driver."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
        return "; ".join(line.replace(", ", ", driver ") for line in lines)
    except (OSError, subprocess.SubprocessError):
        return "an NVIDIA driver" if _DRIVER_FILE.exists() else ""


def gpu(torch: Probed, probed: Probed, driver: str, visible: str | None) -> Finding:
    """`driver`: what the function of that name says; `visible`: CUDA_VISIBLE_DEVICES, None if it is not set."""
    if not probed.error and probed.found["gpus"]:
        gpus = [f"{gpu['name']}, {gpu['memory_bytes'] / 1e9:.0f} GB" for gpu in probed.found["gpus"]]
        return Finding("gpu", "ok", f"{'; '.join(gpus)}; a convolution was computed on each")
    if not driver:
        return Finding("gpu", "absent", "no NVIDIA driver; runs use the CPU")
    if torch.error:
        return Finding("gpu", "warn", f"{driver}; not tried: torch comes first", TORCH_FIRST)
    if not torch.found["cuda"]:
        found = f"{driver}; but torch {torch.found['version']} is built without CUDA: runs use the CPU"
        return Finding("gpu", "warn", found, BOTH_WITH_CUDA)
    if visible is not None:
        found = f"{driver}; hidden by CUDA_VISIBLE_DEVICES={visible!r}: runs use the CPU"
        return Finding("gpu", "warn", found, "unset CUDA_VISIBLE_DEVICES")
    error = probed.error or "it sees none"
    return Finding("gpu", "fail", f"{driver}; torch cannot use it: {error}", _mend_cuda(error))


def _mend_cuda(error: str) -> str:
    if "too old" in error:
        return f"{BOTH_FROM}auto    (the build for this driver; or update the driver)"
    if "no kernel image" in error:
        return f"{BOTH_FROM}cu126    (a build that still has kernels for older GPUs)"
    return "nvidia-smi must list it for this user and container (docker run --gpus all); then restart"


def cpu_quota() -> float | None:
    """Cores' worth of time that a container may use; None without a limit."""
    try:
        quota, period = _CPU_QUOTA.read_text().split() if _CPU_QUOTA.exists() else _quota_v1()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # `max`, or no such files
        return None


def _quota_v1() -> tuple[str, str]:
    return _CPU_QUOTA_V1.read_text(), _CPU_PERIOD_V1.read_text()


def threads(probed: Probed, quota: float | None, asked: str | None) -> Finding:
    """`quota`: see `cpu_quota`; `asked`: OMP_NUM_THREADS, None if it is not set."""
    if probed.error:
        return Finding("threads", "warn", "not tried: torch comes first", TORCH_FIRST)
    count, cores = int(probed.found["threads"]), int(probed.found["usable_cores"])
    best = min(cores, math.ceil(quota or cores))
    of_all = f"{cores} usable of {os.cpu_count()} cores"
    of_all += f", limited to the time of {quota:g}" if quota else ""
    set_by = "" if asked is None else f" (OMP_NUM_THREADS={asked})"
    found = f"{count} threads{set_by} on {of_all}"
    if count > best:
        return Finding("threads", "warn", f"{found}: they get into each other's way", f"export OMP_NUM_THREADS={best}")
    if count < best:
        return Finding("threads", "warn", f"{found}: cores stay idle", "unset OMP_NUM_THREADS")
    return Finding("threads", "ok", found)


def allocator(probed: Probed) -> Finding:
    if probed.error:
        return Finding("allocator", "warn", "not tried: torch comes first", TORCH_FIRST)
    pages, faults = int(probed.found["pages"]), int(probed.found["faults"])
    again = f"{faults} page faults in {pages} pages used again"
    if probed.found["allocator"] != "kept":
        mend = "use a system with glibc, e.g. Debian; until then latencies on the CPU are not the best possible"
        return Finding("allocator", "warn", f"freed memory is given back, {again}", mend)
    if faults > pages // 2:
        mend = "unset LD_PRELOAD" if os.environ.get("LD_PRELOAD") else "unset MALLOC_TRIM_THRESHOLD_ GLIBC_TUNABLES"
        return Finding("allocator", "warn", f"glibc was told to keep freed memory and does not: {again}", mend)
    return Finding("allocator", "ok", f"glibc keeps freed memory: {again}")


def memory(probed: Probed) -> Finding:
    total, available = _memory_bytes()
    if not probed.error:  # what a container is limited to
        total = min(total or probed.found["memory_bytes"], probed.found["memory_bytes"])
        available = min(available, total)
    found = f"{available / 1e9:.1f} of {total / 1e9:.1f} GB available"
    if available >= _WANTED_MEMORY_BYTES:
        return Finding("memory", "ok", found)
    verdict = "fail" if available < _LEAST_MEMORY_BYTES else "warn"
    mend = "end other programs, or run with fewer workers: export OMP_NUM_THREADS=1"
    return Finding("memory", verdict, f"{found}; a worker of the quickstart takes 0.7 GB, one a core", mend)


def _memory_bytes() -> tuple[int, int]:
    """Total and available."""
    sizes = {line.partition(":")[0]: line.split()[1] for line in _MEMORY_FILE.read_text().splitlines()}
    return 1024 * int(sizes["MemTotal"]), 1024 * int(sizes["MemAvailable"])
