"""What runs on the nodes of a Ray cluster: a job in a process of its own, and the facts that nodes must agree on.

The standard library is enough here, so that a worker of Ray starts fast and stays small.
"""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_GRACE_SECONDS = 50.0
"""For a training step and for storing its state, when the job is cancelled."""
_KEPT_CHARACTERS = 2000
"""Of what a job wrote to its standard error, from the end."""


def carry_out(arguments: Sequence[str], *, is_on_cpu: bool) -> tuple[int, str]:
    """Run `python -m benchmark ARGUMENTS`; return its exit code and its last words.

    In a process of its own, since Ray loses exit codes. A cancelled task stops the job, which then stores its state.

    Args:
        arguments: Of the command line.
        is_on_cpu: Hide GPUs: Ray hides none from a task that asked for none.
    """
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}  # Ray sets it to 1
    environment["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    if is_on_cpu:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, "-m", "benchmark", *arguments]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _, errors = process.communicate()
    except KeyboardInterrupt:
        process.terminate()
        _, errors = process.communicate(timeout=_GRACE_SECONDS)
    finally:
        process.kill()
    return process.returncode, errors[-_KEPT_CHARACTERS:]


def node_facts(plan_file: str) -> dict[str, str]:
    """Return what must be the same on all nodes, by name; `plan_file`: in the folder that all of them must see."""
    return {
        "Python": platform.python_version(),
        "torch": _version("torch"),
        "suite": source_hash(),
        "plan": _digest([Path(plan_file)]),
    }


def source_hash() -> str:
    """Return a short hash of the suite's source files."""
    packages = ("benchmark", "backbones", "heads", "losses", "reports")
    return _digest(sorted(file for package in packages for file in (_ROOT / package).rglob("*.py")))


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    try:
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return digest.hexdigest()[:12]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
