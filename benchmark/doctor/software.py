"""Python, the packages, and the traps between them."""

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path

from benchmark.doctor.finding import Finding
from benchmark.doctor.probe import Probed

PROJECT = "restoration-benchmark"
INSTALL = "pip install -e .    (in the project's folder)"
BOTH_WITH_CUDA = "pip install --upgrade --force-reinstall torch torchvision"
TORCH_FIRST = "mend torch first, then run doctor again"
BOTH_FROM = "uv pip install --reinstall torch torchvision --torch-backend="
_TIMM = "torchvision, timm"
EXTRAS: Mapping[str, str] = {"onnxruntime": "onnx", "openvino": "openvino"}
"""Which extra of the project brings an optional package and what it needs beside it."""
OPTIONAL: Mapping[str, str] = {
    "onnxruntime": "latencies in ONNX Runtime",
    "openvino": "latencies in OpenVINO",
    "ray": "rows on several machines",
}


def is_there(package: str) -> bool:
    """Whether a package is installed; imports nothing."""
    return find_spec(package) is not None


def python() -> Finding:
    from packaging.specifiers import SpecifierSet

    have = ".".join(map(str, sys.version_info[:3]))
    try:
        wanted = distribution(PROJECT).metadata["Requires-Python"]
    except PackageNotFoundError:
        found = f"{have} in {sys.prefix}; {PROJECT} is not installed in it, so no version was compared"
        return Finding("python", "warn", found, INSTALL)
    if have not in SpecifierSet(wanted):
        mend = "install a newer Python and make the environment with it: make quickstart PYTHON=python3.X"
        return Finding("python", "fail", f"{have} in {sys.prefix}; {wanted} is needed", mend)
    return Finding("python", "ok", f"{have} in {sys.prefix}")


def packages() -> list[Finding]:
    """One finding if every package is there in the version that the project asks for, else one for each that is not."""
    try:
        requirements = distribution(PROJECT).requires or []
        wrong = [finding for line in requirements if (finding := requirement(line))]
    except PackageNotFoundError:  # `python` has told
        return []
    except ImportError as error:
        return [Finding("packages", "fail", f"cannot be checked: {error}", INSTALL)]
    return wrong or [Finding("packages", "ok", f"all as {PROJECT} {version(PROJECT)} asks")]


def requirement(line: str) -> Finding | None:
    """What is wrong with the package that a line such as `torch>=2.11` or `ruff>=0.12; extra == "test"` asks for."""
    from packaging.requirements import Requirement

    wanted = Requirement(line)
    extra = wanted.marker is not None and not wanted.marker.evaluate({"extra": ""})
    mend = BOTH_WITH_CUDA if wanted.name == "torch" else f"pip install '{wanted.name}{wanted.specifier}'"
    try:
        have = version(wanted.name)
    except PackageNotFoundError:
        return None if extra else Finding(wanted.name, "fail", f"not installed; {wanted.specifier} is needed", mend)
    if wanted.specifier.contains(have, prereleases=True):
        return None
    return Finding(wanted.name, "warn" if extra else "fail", f"{have} is installed; {wanted.specifier} is needed", mend)


def torch(probed: Probed) -> Finding:
    if probed.error:
        missing = "ModuleNotFoundError" in probed.error
        return Finding("torch", "fail", f"import torch: {probed.error}", INSTALL if missing else BOTH_WITH_CUDA)
    return Finding("torch", "ok", f"{probed.found['version']}, {_build(probed)}")


def _build(probed: Probed) -> str:
    cuda, hip = probed.found["cuda"], probed.found["hip"]
    return f"built for CUDA {cuda}" if cuda else f"built for ROCm {hip}" if hip else "built without CUDA"


def timm(probed: Mapping[str, Probed]) -> Finding:
    """timm imports torchvision, whose compiled part must come from the same build as torch."""
    torch, torchvision, timm = (probed[package] for package in ("torch", "torchvision", "timm"))
    if torch.error:
        return Finding(_TIMM, "warn", "not tried: torch comes first", TORCH_FIRST)
    if not (torchvision.error or timm.error):
        versions = f"timm {timm.found['version']} imports beside torchvision {torchvision.found['version']}"
        return Finding(_TIMM, "ok", versions)
    failing = f"import timm: {timm.error or torchvision.error}; components that use timm cannot be imported, others can"
    if torchvision.error and is_there("torchvision"):
        pair = f"torchvision {torchvision_version()} does not fit torch {torch.found['version']}"
        return Finding(_TIMM, "fail", f"{pair}: {failing}", _same_build(torch))
    mend = _same_build(torch) if torchvision.error else "pip install --upgrade --force-reinstall --no-deps timm"
    return Finding(_TIMM, "fail", failing, mend)


def _same_build(torch: Probed) -> str:
    if torch.found["cuda"] or torch.found["hip"]:
        return BOTH_WITH_CUDA
    return f"{BOTH_FROM}cpu    (or both with CUDA: {BOTH_WITH_CUDA})"


def torchvision_version() -> str:
    """With the build, e.g. 0.28.0+cu130, which the package's metadata leave out; read without importing it."""
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return "(not installed)"
    text = (Path(spec.origin).parent / "version.py").read_text(encoding="utf-8")
    found = re.search(r"""^__version__ = ['"](.+)['"]""", text, re.MULTILINE)
    return found[1] if found else version("torchvision")


def optional(package: str, probed: Probed | None) -> Finding:
    """`probed`: None if the package is not installed."""
    use = f"for {OPTIONAL[package]}"
    if probed is None:
        wanted = f"'restoration-benchmark[{EXTRAS[package]}]'" if package in EXTRAS else package
        return Finding(package, "absent", f"not installed; {use}", f"pip install {wanted}")
    if probed.error:
        mend = f"pip install --upgrade --force-reinstall {package}"
        return Finding(package, "warn", f"import {package}: {probed.error}; {use}", mend)
    return Finding(package, "ok", f"{probed.found['version']}, {use}")


def compiler() -> Finding:
    """What torch.compile calls on the CPU; it compiles against the headers of Python."""
    name, wanted = "torch.compile", os.environ.get("CXX") or "g++"
    path, header = shutil.which(wanted), Path(sysconfig.get_path("include")) / "Python.h"
    if path is None:
        return Finding(name, "absent", f"no C++ compiler {wanted!r}; for compiled latencies", "apt-get install g++")
    if not header.is_file():
        return Finding(name, "absent", f"{header} is missing; for compiled latencies", "apt-get install python3-dev")
    return Finding(name, "ok", f"{path} and the headers of Python")
