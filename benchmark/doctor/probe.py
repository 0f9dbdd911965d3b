"""What `doctor` tries in processes of their own: imports and calls that may fail, hang or take the process down.

The process takes its steps in order and prints one line of JSON for each, with what it found or the error it met. A
step is a key of `STEPS` or the name of a package to import.
"""

import dataclasses
import importlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_PROGRAM = "import sys; from benchmark.doctor.probe import main; main(sys.argv[1:])"
_MARK = "benchmark.doctor: "
_TOUCHED_BYTES = 1 << 26
"""Over 32 MiB, up to which glibc comes to keep memory by itself."""
_ROUNDS = 12
"""Freed pieces move to and fro for up to eight rounds before they stay where they are."""


@dataclass(frozen=True)
class Probed:
    """What a step found; `error` is empty if it went well, else the exception in one line."""

    found: Mapping[str, Any]
    error: str = ""


def probe(steps: Sequence[str], seconds: float) -> dict[str, Probed]:
    """The result of every step. A step that takes its process down is told as such; the next ones get a new process."""
    deadline = time.monotonic() + seconds
    results: dict[str, Probed] = {}
    while left := [step for step in steps if step not in results]:
        if time.monotonic() >= deadline:
            late = Probed({}, f"not tried: what came before it took longer than {seconds:.0f} s")
            return results | dict.fromkeys(left, late)
        found, why = _run(left, deadline)
        results |= found
        if missing := [step for step in left if step not in found]:
            results[missing[0]] = Probed({}, why)
    return results


def _run(steps: Sequence[str], deadline: float) -> tuple[dict[str, Probed], str]:
    """Results of the steps that came to an end, and what ended the process if not all did."""
    command = [sys.executable, "-c", _PROGRAM, *steps]
    seconds = max(0.1, deadline - time.monotonic())
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        return _parsed(error.stdout or b""), f"ended because it took longer than {seconds:.0f} s"
    said = (done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
    return _parsed(done.stdout), f"its process died with exit code {done.returncode}: {said}"


def _parsed(out: bytes) -> dict[str, Probed]:
    """Lines that are no result are of libraries that print while they are imported."""
    results: dict[str, Probed] = {}
    for line in out.decode(errors="replace").splitlines():
        if line.startswith(_MARK):
            result = json.loads(line.removeprefix(_MARK))
            results[result["step"]] = Probed(result["found"], result["error"])
    return results


def _torch() -> dict[str, Any]:
    import numpy as np
    import torch

    torch.from_numpy(np.zeros(1))  # fails where torch was built for another major version of numpy
    return {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip}


def _machine() -> dict[str, Any]:
    """What a run would use: the project's own choice of device, threads and allocator."""
    import torch

    from benchmark.processes import usable_cores
    from benchmark.runner.device_setup import prepare_machine
    from benchmark.runner.memory_preflight import machine_bytes

    machine = prepare_machine("cpu")
    return {
        "threads": machine.threads,
        "usable_cores": usable_cores(),
        "allocator": machine.allocator,
        "memory_bytes": machine_bytes(dataclasses.replace(machine, device=torch.device("cpu"))),
        "pages": _TOUCHED_BYTES // resource.getpagesize(),
        "faults": [_faults() for _ in range(_ROUNDS)][-1],
    }


def _faults() -> int:
    """Page faults of allocating, filling and freeing a large tensor."""
    import torch

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(_TOUCHED_BYTES // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def _gpu() -> dict[str, Any]:
    """The GPUs torch can use; each computes a convolution, which needs kernels built for its architecture."""
    import torch

    if torch.version.cuda or torch.version.hip:
        torch.cuda.init()
    return {"gpus": [_try_gpu(index) for index in range(torch.cuda.device_count())]}


def _try_gpu(index: int) -> dict[str, Any]:
    import torch

    properties = torch.cuda.get_device_properties(index)
    image = torch.ones(1, 3, 16, 16, device=f"cuda:{index}")
    torch.nn.functional.conv2d(image, image[..., :3, :3]).sum().item()
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "capability": f"{properties.major}.{properties.minor}",
    }


STEPS: Mapping[str, Callable[[], dict[str, Any]]] = {"torch": _torch, "machine": _machine, "gpu": _gpu}


def _import(package: str) -> dict[str, Any]:
    return {"version": str(getattr(importlib.import_module(package), "__version__", ""))}


def _take(step: str) -> Probed:
    try:
        return Probed(STEPS[step]() if step in STEPS else _import(step))
    except (Exception, SystemExit) as error:  # whatever somebody's package raises is what is to be told
        return Probed({}, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")


def main(steps: Sequence[str]) -> None:
    """What runs in the process."""
    for step in steps:
        result = _take(step)
        line = json.dumps({"step": step, "found": result.found, "error": result.error})
        sys.stdout.write(f"\n{_MARK}{line}\n")
        sys.stdout.flush()
