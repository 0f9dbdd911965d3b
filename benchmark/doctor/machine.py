"""Checks of the machine: GPU, threads, allocator, memory, and the folders that are written to."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.doctor.probe import Finding, Probed
from benchmark.doctor.software import INSTALL, INSTALL_BUILD, REINSTALL_TORCH

_LEAST_MEMORY_BYTES, _AMPLE_MEMORY_BYTES = 1_000_000_000, 4_000_000_000
"""A worker of the quickstart takes 0.7 GB, and there is one for each core."""
_LEAST_DISK_BYTES, _AMPLE_DISK_BYTES = 1_000_000_000, 15_000_000_000
"""The quickstart's data take 0.3 GB; 2,000 decoded pairs of 512 pixels with their maps 9.4 GB."""
_CUDA_MENDS = {
    "too old": f"{INSTALL_BUILD}auto    (the build for this driver; or update the driver)",
    "no kernel image": f"{INSTALL_BUILD}cu126    (a build that still has kernels for older GPUs)",
    "": "nvidia-smi must list it for this user and container (docker run --gpus all); then restart",
}
"""What mends a GPU that torch cannot use, by words of torch's error; the first that fits."""


def driver() -> str:
    """Return GPUs and driver as NVIDIA's own tool names them; empty if there is no NVIDIA driver."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()
        return "; ".join(line.replace(", ", ", driver ") for line in lines)
    except (OSError, subprocess.SubprocessError):
        return "an NVIDIA driver" if Path("/proc/driver/nvidia/version").exists() else ""


def gpu(torch: Probed, probed: Probed, driver: str, visible: str | None) -> Finding:
    """Return whether torch can use the GPUs.

    Args:
        torch: The import of torch.
        probed: The step `gpu`.
        driver: What the function `driver` returns.
        visible: The variable CUDA_VISIBLE_DEVICES; None if it is not set.
    """
    if not probed.error and probed.result["gpus"]:
        gpus = [f"{gpu['name']}, {gpu['memory_bytes'] / 1e9:.0f} GB" for gpu in probed.result["gpus"]]
        return Finding("gpu", "ok", f"{'; '.join(gpus)}; a convolution was computed on each")
    if not driver:
        return Finding("gpu", "absent", "no NVIDIA driver; runs use the CPU")
    if torch.error:
        return Finding("gpu", "warn", f"{driver}; not tried: torch cannot be imported", "mend torch first")
    if not torch.result["cuda"]:
        text = f"{driver}; but torch {torch.result['version']} is built without CUDA: runs use the CPU"
        return Finding("gpu", "warn", text, REINSTALL_TORCH)
    if visible is not None:
        text = f"{driver}; hidden by CUDA_VISIBLE_DEVICES={visible!r}: runs use the CPU"
        return Finding("gpu", "warn", text, "unset CUDA_VISIBLE_DEVICES")
    error = probed.error or "it sees none"
    mend = next(mend for words, mend in _CUDA_MENDS.items() if words in error)
    return Finding("gpu", "fail", f"{driver}; torch cannot use it: {error}", mend)


def threads(result: Mapping[str, Any], setting: str | None) -> Finding:
    """Return whether torch uses every core once. `setting`: the variable OMP_NUM_THREADS; None if it is not set."""
    count, cores = int(result["threads"]), int(result["usable_cores"])
    text = f"{count} threads{f' (OMP_NUM_THREADS={setting})' if setting else ''} on {cores} of {os.cpu_count()} cores"
    if count > cores:
        return Finding("threads", "warn", f"{text}: they slow each other down", f"export OMP_NUM_THREADS={cores}")
    if count < cores:
        return Finding("threads", "warn", f"{text}: cores stay idle", "unset OMP_NUM_THREADS")
    return Finding("threads", "ok", text)


def allocator(result: Mapping[str, Any]) -> Finding:
    """Return whether freed memory is kept for reuse: page faults would slow down every step and distort latencies."""
    pages, faults = int(result["pages"]), int(result["faults"])
    reuse = f"{faults} page faults in {pages} pages used again"
    if result["allocator"] != "kept":
        mend = "use a system with glibc, e.g. Debian; until then latencies on the CPU are not the best possible"
        return Finding("allocator", "warn", f"freed memory is given back, {reuse}", mend)
    if faults > pages // 2:
        mend = "unset LD_PRELOAD" if os.environ.get("LD_PRELOAD") else "unset MALLOC_TRIM_THRESHOLD_ GLIBC_TUNABLES"
        return Finding("allocator", "warn", f"glibc is set to keep freed memory but does not: {reuse}", mend)
    return Finding("allocator", "ok", f"glibc keeps freed memory: {reuse}")


def memory(result: Mapping[str, Any]) -> Finding:
    """Return whether workers fit into the memory of this machine, or of the container where that is less."""
    total = int(result["memory_bytes"])
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    sizes = {line.partition(":")[0]: 1024 * int(line.split()[1]) for line in lines}
    available = min(sizes["MemAvailable"], total)
    text = f"{available / 1e9:.1f} of {total / 1e9:.1f} GB available"
    if available >= _AMPLE_MEMORY_BYTES:
        return Finding("memory", "ok", text)
    mend = "end other programs, or run with fewer workers: export OMP_NUM_THREADS=1"
    verdict = "fail" if available < _LEAST_MEMORY_BYTES else "warn"
    return Finding("memory", verdict, f"{text}; each core has a worker, which takes 0.7 GB in the quickstart", mend)


def cache_folder() -> Finding:
    """Return whether decoded pairs can be cached."""
    try:
        from benchmark.data.cache import cache_folder
    except ImportError as error:
        return Finding("cache folder", "fail", f"cannot be checked: {error}", INSTALL)
    return _folder("cache folder", cache_folder(), "export BENCHMARK_CACHE=FOLDER")


def runs_folder(output: Path) -> Finding:
    """Return whether records and trained stages can be written."""
    return _folder("runs folder", output.absolute(), "pass --output FOLDER to run")


def _folder(name: str, folder: Path, mend: str) -> Finding:
    """Return whether files can be written in a folder; while it does not exist, in the nearest folder above it."""
    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        return Finding(name, "fail", f"{folder}: cannot be written ({error})", mend)
    text = f"{folder}: writable, {free / 1e9:.1f} GB free"
    if free >= _AMPLE_DISK_BYTES:
        return Finding(name, "ok", text)
    needs = "the quickstart needs 0.3 GB, 2,000 pairs of 512 pixels 9.4 GB"
    verdict = "fail" if free < _LEAST_DISK_BYTES else "warn"
    return Finding(name, verdict, f"{text}; {needs}", f"free space, or {mend}")
