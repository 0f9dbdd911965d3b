"""Is this installation sound? Findings, each with a verdict and, where it is not ok, the line that mends it.

Nothing here imports torch: what may be broken is tried in processes of its own (`probe`), so that a finding comes of it
and not a crash. It takes a few seconds, most of them the import of timm.
"""

import os
from collections.abc import Callable
from pathlib import Path

from benchmark.doctor import hardware, paths, software
from benchmark.doctor.finding import Finding
from benchmark.doctor.probe import Probed, probe

__all__ = ["Finding", "examine"]

_PROBE_SECONDS = 120.0
"""For imports from a cold disk or on a busy machine; else they take five seconds in all."""


def examine(output: Path) -> list[Finding]:
    """All findings. `output`: the folder that runs are to go to."""
    optional = [package for package in software.OPTIONAL if software.is_there(package)]
    # In one process: two side by side would each import torch, which on few cores takes longer.
    probed = probe(["torch", "machine", "torchvision", "timm", *optional, "gpu"], _PROBE_SECONDS)
    return [
        _guarded("python", software.python),
        *software.packages(),
        *_probed_findings(probed),
        _guarded("cache folder", paths.cache),
        paths.runs(output),
        paths.checkout(),
        software.compiler(),
        *(software.optional(package, probed.get(package)) for package in software.OPTIONAL),
    ]


def _probed_findings(probed: dict[str, Probed]) -> list[Finding]:
    return [
        software.torch(probed["torch"]),
        software.timm(probed),
        hardware.gpu(probed["torch"], probed["gpu"], hardware.driver(), os.environ.get("CUDA_VISIBLE_DEVICES")),
        hardware.threads(probed["machine"], hardware.cpu_quota(), os.environ.get("OMP_NUM_THREADS")),
        hardware.allocator(probed["machine"]),
        hardware.memory(probed["machine"]),
    ]


def _guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """The finding of a check that itself needs packages, which may be what is missing."""
    try:
        return check()
    except ImportError as error:
        return Finding(name, "fail", f"cannot be checked: {error}", software.INSTALL)
