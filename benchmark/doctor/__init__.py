"""Is this installation sound? Findings, each with a verdict and, where it is not ok, the line that mends it.

Nothing here imports torch: what may be broken is tried in processes of its own (`probe`), so that a broken package
gives a finding and not a crash. All checks together take a few seconds, most of them for the import of timm.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.doctor import checks
from benchmark.doctor.probe import Finding, Probed, probe

__all__ = ["Finding", "examine"]

_PROBE_SECONDS = 120.0
"""For imports from a cold disk or on a busy machine; else they take five seconds in all."""


def examine(output: Path) -> Iterator[Finding]:
    """Yield all findings, the quick ones first. `output`: the folder that runs are to go to."""
    yield from checks.requirements()
    yield from (checks.checkout(), checks.cache_folder(), checks.runs_folder(output))
    # In one process: two side by side would each import torch, which on few cores takes longer.
    probed = probe(["torch", "machine", "torchvision", "timm", "onnxruntime", "openvino", "gpu"], _PROBE_SECONDS)
    torch, on_machine = probed["torch"], probed["machine"]
    yield checks.torch(torch)
    yield _finding(checks.TIMM, torch, lambda result: checks.timm(result, probed))
    yield checks.gpu(torch, probed["gpu"], checks.driver(), os.environ.get("CUDA_VISIBLE_DEVICES"))
    yield _finding("threads", on_machine, lambda result: checks.threads(result, os.environ.get("OMP_NUM_THREADS")))
    yield _finding("allocator", on_machine, checks.allocator)
    yield _finding("memory", on_machine, checks.memory)
    for runtime in checks.RUNTIMES:
        yield _finding(runtime, on_machine, partial(checks.runtime, runtime, probed))


def _finding(name: str, probed: Probed, check: Callable[[Mapping[str, Any]], Finding]) -> Finding:
    """Return the finding of a check that needs the result of a step."""
    if not probed.error:
        return check(probed.result)
    return Finding(name, "warn", f"not checked: {probed.error}", "mend what fails above first, then run doctor again")
