"""Provenance of a record: command, code, versions, machine."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark.inference.device_setup import Machine

_PACKAGES = ("torch", "numpy", "scipy", "Pillow", "pytorch-msssim", "safetensors", "timm", "onnxruntime", "openvino")


def provenance(machine: Machine, command: str) -> dict[str, Any]:
    """Return the part of a record that says how it was made; the caller adds the times."""
    return {
        "command": command,
        **_commit(),
        "device": machine.device.type,
        "device_name": machine.device_name,
        "threads": machine.threads,
        "allocator": machine.allocator,
        "environment": f"{machine.device.type}, {machine.device_name}, torch {version('torch')}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "versions": {name: installed for name in _PACKAGES if (installed := _version(name))},
        "platform": f"{platform.system()}-{platform.machine()}",
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> dict[str, Any]:
    """Return the commit of the project's checkout and whether it has local changes; both None outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parents[2]), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
