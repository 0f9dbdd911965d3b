"""The checks: Python and packages with the known traps between them, git; GPU, threads, memory, and folders."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmark.doctor.probe import Finding, Probed
from benchmark.errors import counted

PROJECT = "restoration-benchmark"
INSTALL = "pip install -e .    (in the project's folder)"
REINSTALL = "pip install --upgrade --force-reinstall"
REINSTALL_TORCH = f"{REINSTALL} torch torchvision"
INSTALL_BUILD = "uv pip install --reinstall torch torchvision --torch-backend="
TIMM = "torchvision, timm"
RUNTIMES: Mapping[str, str] = {"compiled": "torch", "onnxruntime": "onnxruntime", "openvino": "openvino"}
"""Runtimes that need something optional, with the package that they call."""
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


def requirements() -> list[Finding]:
    """Return findings for Python and for each package that is missing or has the wrong version."""
    python = ".".join(map(str, sys.version_info[:3]))
    place = f"{python} in {sys.prefix}"
    try:
        from packaging.specifiers import SpecifierSet

        project = distribution(PROJECT)
        needed = project.metadata["Requires-Python"]
        wrong = [finding for line in project.requires or [] if (finding := requirement(line))]
        packages = wrong or [Finding("packages", "ok", f"all as {PROJECT} {project.version} needs them")]
        if python in SpecifierSet(needed):
            return [Finding("python", "ok", place), *packages]
        mend = "install a newer Python and make the environment with it: make quickstart PYTHON=python3.X"
        return [Finding("python", "fail", f"{place}; {needed} is needed", mend), *packages]
    except PackageNotFoundError:
        text = f"{place}; {PROJECT} is not installed in it, so no version was compared"
        return [Finding("python", "warn", text, INSTALL)]
    except ImportError as error:
        return [Finding("python", "ok", place), Finding("packages", "fail", f"cannot be checked: {error}", INSTALL)]


def requirement(line: str) -> Finding | None:
    """Return what is wrong with a required package; None if it fits.

    Args:
        line: A requirement such as `torch>=2.11` or `ruff>=0.12; extra == "test"`; one of an extra may be missing.
    """
    from packaging.requirements import Requirement

    needed = Requirement(line)
    optional = needed.marker is not None and not needed.marker.evaluate({"extra": ""})
    mend = REINSTALL_TORCH if needed.name == "torch" else f"pip install '{needed.name}{needed.specifier}'"
    try:
        installed = version(needed.name)
    except PackageNotFoundError:
        text = f"not installed; {needed.specifier} is needed"
        return None if optional else Finding(needed.name, "fail", text, mend)
    text = f"{installed} is installed; {needed.specifier} is needed"
    fits = needed.specifier.contains(installed, prereleases=True)
    return None if fits else Finding(needed.name, "warn" if optional else "fail", text, mend)


def torch(probed: Probed) -> Finding:
    """Return whether torch can be imported, and for what it is built."""
    if probed.error:
        mend = INSTALL if "ModuleNotFoundError" in probed.error else REINSTALL_TORCH
        return Finding("torch", "fail", f"import torch: {probed.error}", mend)
    cuda, hip = probed.result["cuda"], probed.result["hip"]
    build = f"built for CUDA {cuda}" if cuda else f"built for ROCm {hip}" if hip else "built without CUDA"
    return Finding("torch", "ok", f"{probed.result['version']}, {build}")


def timm(torch: Mapping[str, Any], probed: Mapping[str, Probed]) -> Finding:
    """Return whether timm can be imported: it needs torchvision, whose compiled part must fit the build of torch."""
    torchvision, timm = probed["torchvision"], probed["timm"]
    if not (torchvision.error or timm.error):
        return Finding(
            TIMM,
            "ok",
            f"timm {timm.result['version']} can be imported with torchvision {torchvision.result['version']}",
        )
    text = f"import timm: {timm.error or torchvision.error}; only components that use timm cannot be imported"
    if not torchvision.error:
        return Finding(TIMM, "fail", text, f"{REINSTALL} --no-deps timm")
    if (spec := find_spec("torchvision")) and spec.origin:
        source = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
        # With its build, e.g. 0.28.0+cu130, which the metadata lack.
        build = re.search(r"""^__version__ = ['"](.+)['"]""", source, re.MULTILINE)
        installed = build[1] if build else version("torchvision")
        text = f"torchvision {installed} does not fit torch {torch['version']}: {text}"
    cpu_build = f"{INSTALL_BUILD}cpu    (or both with CUDA: {REINSTALL_TORCH})"
    return Finding(TIMM, "fail", text, REINSTALL_TORCH if torch["cuda"] or torch["hip"] else cpu_build)


def runtime(name: str, probed: Mapping[str, Probed], machine: Mapping[str, Any]) -> Finding:
    """Return whether networks can run, and be timed, in a runtime; `machine`: the result of that step."""
    package = RUNTIMES[name]
    if missing := machine["missing"][name]:
        text, _, mend = missing.rpartition("; ")
        return Finding(name, "absent", text, mend)
    if error := probed[package].error:
        return Finding(name, "warn", f"import {package}: {error}", f"{REINSTALL} {package}")
    return Finding(name, "ok", f"{package} {probed[package].result['version']}")


def checkout() -> Finding:
    """Return whether git can tell the commit of the code, which records name."""
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return Finding("git", "absent", "not installed; records will not name the commit", "apt-get install git")
    if done.returncode == 0:
        return Finding("git", "ok", f"commit {done.stdout.strip()} in {root}")
    if "dubious ownership" in done.stderr:
        return Finding(
            "git",
            "warn",
            f"{root} belongs to another user; records will not name the commit",
            f"git config --global --add safe.directory {root}",
        )
    return Finding(
        "git",
        "absent",
        f"{root} is no git checkout; records will not name the commit",
        "clone the project with git instead of copying its files",
    )


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
        return Finding(
            "gpu",
            "warn",
            f"{driver}; but torch {torch.result['version']} is built without CUDA: runs use the CPU",
            REINSTALL_TORCH,
        )
    if visible is not None:
        return Finding(
            "gpu",
            "warn",
            f"{driver}; hidden by CUDA_VISIBLE_DEVICES={visible!r}: runs use the CPU",
            "unset CUDA_VISIBLE_DEVICES",
        )
    error = probed.error or "it sees none"
    mend = next(mend for words, mend in _CUDA_MENDS.items() if words in error)
    return Finding("gpu", "fail", f"{driver}; torch cannot use it: {error}", mend)


def threads(result: Mapping[str, Any], setting: str | None) -> Finding:
    """Return whether torch uses every core once. `setting`: the variable OMP_NUM_THREADS; None if it is not set."""
    used, cores = int(result["threads"]), int(result["usable_cores"])
    all_cores, given = counted(os.cpu_count() or 1, "core"), f" (OMP_NUM_THREADS={setting})" if setting else ""
    text = f"{counted(used, 'thread')}{given} on {cores} of {all_cores}"
    if used > cores:
        return Finding("threads", "warn", f"{text}: they slow each other down", f"export OMP_NUM_THREADS={cores}")
    if used < cores:
        return Finding("threads", "warn", f"{text}: cores stay idle", "unset OMP_NUM_THREADS")
    return Finding("threads", "ok", text)


def allocator(result: Mapping[str, Any]) -> Finding:
    """Return whether freed memory is kept for reuse: page faults would slow down every step and distort latencies."""
    pages, faults = int(result["pages"]), int(result["faults"])
    reuse = f"{faults} page faults in {pages} pages used again"
    if result["allocator"] != "kept":
        return Finding(
            "allocator",
            "warn",
            f"freed memory is given back, {reuse}",
            "use a system with glibc, e.g. Debian; until then latencies on the CPU are not the best possible",
        )
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
        from benchmark.kept_values import cache_folder
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
