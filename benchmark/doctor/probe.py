"""Try imports and calls that may fail, hang or kill their process, in a process of its own.

The process takes its steps in order and sends the result or the error of each. A step is a key of `_STEPS` or the name
of a package to import.
"""

import dataclasses
import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Literal

from benchmark.processes import Channel, Death, Worker, receive, usable_cores

_TOUCHED_BYTES = 1 << 26
"""More than 32 MiB, up to which glibc keeps memory by default after a while."""
_ROUNDS = 12
"""Freed blocks may move for up to eight rounds before they stay in place."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: What was checked.
        verdict: `warn`: works, but not as well as it could; `absent`: optional and not installed.
        text: What was found.
        mend: The command line that mends it, or what to do; empty where nothing needs mending.
    """

    name: str
    verdict: Literal["ok", "warn", "fail", "absent"]
    text: str
    mend: str = ""


@dataclass(frozen=True)
class Probed:
    """The result of a step; `error` is empty if it succeeded, else the exception in one line."""

    result: Mapping[str, Any]
    error: str = ""


def probe(steps: Sequence[str], seconds: float) -> dict[str, Probed]:
    """Return the result of every step. If a step kills its process, the steps after it get a new process."""
    deadline = time.monotonic() + seconds
    results: dict[str, Probed] = {}
    while pending := [step for step in steps if step not in results]:
        with NamedTemporaryFile("r", errors="replace") as log:
            worker = Worker(_take_steps, pending, log.name)
            for step in pending:
                events = receive([worker], max(0.0, deadline - time.monotonic()))
                if not events:
                    worker.kill()
                    late = Probed({}, f"not finished: this step and those before it took longer than {seconds:.0f} s")
                    return results | dict.fromkeys(pending[pending.index(step) :], late)
                if isinstance(death := events[0][1], Death):
                    last_line = (log.read().strip().splitlines() or ["no message"])[-1]
                    results[step] = Probed({}, f"its process died ({death}): {last_line}")
                    break
                results[step] = events[0][1]
            worker.kill()
    return results


def _take_steps(channel: Channel, steps: Sequence[str], log: str) -> None:
    """Take the steps and send their results; runs in the process. What it writes to stderr goes into the file `log`."""
    for name, descriptor in ((os.devnull, 1), (log, 2)):
        with Path(name).open("w") as file:
            os.dup2(file.fileno(), descriptor)
    for step in steps:
        try:
            channel.send(Probed(_STEPS[step]() if step in _STEPS else _import(step)))
        except (Exception, SystemExit) as error:  # whatever a broken package raises is the result
            channel.send(Probed({}, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"))


def _import(package: str) -> dict[str, Any]:
    return {"version": str(getattr(importlib.import_module(package), "__version__", ""))}


def _torch() -> dict[str, Any]:
    import numpy as np
    import torch

    torch.from_numpy(np.zeros(1))  # fails where torch was built for another major version of numpy
    return {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip}


def _machine() -> dict[str, Any]:
    """Return what a run would use: the project's own choice of device, threads and allocator."""
    import resource

    import torch

    from benchmark.doctor.checks import RUNTIMES
    from benchmark.inference.device_setup import prepare_machine
    from benchmark.inference.runtimes import unavailable
    from benchmark.runner.preflight import machine_bytes

    machine = prepare_machine("cpu")
    faults = 0
    for _ in range(_ROUNDS):  # page faults of allocating, filling and freeing a large tensor; the last round counts
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(_TOUCHED_BYTES // 4)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return {
        "threads": machine.threads,
        "usable_cores": usable_cores(),
        "allocator": machine.allocator,
        "memory_bytes": machine_bytes(dataclasses.replace(machine, device=torch.device("cpu"))),
        "pages": _TOUCHED_BYTES // resource.getpagesize(),
        "faults": faults,
        "missing": {runtime: unavailable(runtime, torch.device("cpu")) for runtime in RUNTIMES},
    }


def _gpu() -> dict[str, Any]:
    """Return the GPUs torch can use; each computes a convolution, which needs kernels built for its architecture."""
    import torch

    if torch.version.cuda or torch.version.hip:
        torch.cuda.init()
    gpus: list[dict[str, Any]] = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        image = torch.ones(1, 3, 16, 16, device=f"cuda:{index}")
        torch.nn.functional.conv2d(image, image[..., :3, :3]).sum().item()
        gpus.append({"name": properties.name, "memory_bytes": properties.total_memory})
    return {"gpus": gpus}


_STEPS: Mapping[str, Callable[[], dict[str, Any]]] = {"torch": _torch, "machine": _machine, "gpu": _gpu}
