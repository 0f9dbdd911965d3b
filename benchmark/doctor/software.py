"""Checks of the software: Python, required and optional packages, the known traps between them, git."""

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmark.doctor.probe import Finding, Probed

PROJECT = "restoration-benchmark"
INSTALL = "pip install -e .    (in the project's folder)"
REINSTALL = "pip install --upgrade --force-reinstall"
REINSTALL_TORCH = f"{REINSTALL} torch torchvision"
INSTALL_BUILD = "uv pip install --reinstall torch torchvision --torch-backend="
TIMM = "torchvision, timm"
RUNTIMES: Mapping[str, str] = {"compiled": "torch", "onnxruntime": "onnxruntime", "openvino": "openvino"}
"""Runtimes that need something optional, with the package that they call."""


def requirements() -> list[Finding]:
    """Return findings for Python and for each package that is missing or has the wrong version."""
    python = ".".join(map(str, sys.version_info[:3]))
    place = f"{python} in {sys.prefix}"
    try:
        from packaging.specifiers import SpecifierSet

        project = distribution(PROJECT)
        needed = project.metadata["Requires-Python"]
        findings = [Finding("python", "ok", place)]
        if python not in SpecifierSet(needed):
            mend = "install a newer Python and make the environment with it: make quickstart PYTHON=python3.X"
            findings = [Finding("python", "fail", f"{place}; {needed} is needed", mend)]
        wrong = [finding for line in project.requires or [] if (finding := requirement(line))]
        return findings + (wrong or [Finding("packages", "ok", f"all as {PROJECT} {project.version} needs them")])
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
    if needed.specifier.contains(installed, prereleases=True):
        return None
    text = f"{installed} is installed; {needed.specifier} is needed"
    return Finding(needed.name, "warn" if optional else "fail", text, mend)


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
        text = f"timm {timm.result['version']} can be imported with torchvision {torchvision.result['version']}"
        return Finding(TIMM, "ok", text)
    text = f"import timm: {timm.error or torchvision.error}; only components that use timm cannot be imported"
    if not torchvision.error:
        return Finding(TIMM, "fail", text, f"{REINSTALL} --no-deps timm")
    if find_spec("torchvision"):
        text = f"torchvision {torchvision_version()} does not fit torch {torch['version']}: {text}"
    has_gpu_build = torch["cuda"] or torch["hip"]
    cpu_build = f"{INSTALL_BUILD}cpu    (or both with CUDA: {REINSTALL_TORCH})"
    return Finding(TIMM, "fail", text, REINSTALL_TORCH if has_gpu_build else cpu_build)


def torchvision_version() -> str:
    """Return the version with its build, e.g. 0.28.0+cu130, which the metadata lack; imports nothing."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return "(not installed)"
    text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    match = re.search(r"""^__version__ = ['"](.+)['"]""", text, re.MULTILINE)
    return match[1] if match else version("torchvision")


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
        text = f"{root} belongs to another user; records will not name the commit"
        return Finding("git", "warn", text, f"git config --global --add safe.directory {root}")
    text = f"{root} is no git checkout; records will not name the commit"
    return Finding("git", "absent", text, "clone the project with git instead of copying its files")
