"""Whether a plan's training fits into the memory of the machine, told before anything is trained."""

import json
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from benchmark.experiment.plan import PlannedStage, Run
from benchmark.gates.memory import training_bytes
from benchmark.model import build
from benchmark.model.build import architecture
from benchmark.registry import Registry
from benchmark.runner.context import Context
from benchmark.runner.device_setup import Machine

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def needed_bytes(run: Run, stages: Sequence[PlannedStage], registry: Registry) -> tuple[int, PlannedStage]:
    """Bytes of the most demanding of these stages of a row, at least, and that stage; 0 if the network is broken."""
    model = json.dumps(architecture(run.config["model"]))
    needs = [(_stage_bytes(model, *_shape(stage), stage.settings["precision"], registry), stage) for stage in stages]
    return max(needs, key=lambda need: need[0])


def machine_bytes(machine: Machine) -> int:
    """Memory of the GPU, or main memory of this machine or container: all of it, used or not."""
    if machine.device.type == "cuda":
        return torch.cuda.get_device_properties(machine.device).total_memory
    limits = [int(text) for file in _CGROUP_LIMITS if (text := _read(file)).isdigit()]
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *limits])


def does_not_fit(run: Run, context: Context) -> str | None:
    """Why what is left of a row cannot be trained here and what to lower, or None if it may fit."""
    stages = [stage for stage in run.stages if context.store.finished(stage.key) is None]
    if not stages:
        return None
    needed, stage = needed_bytes(run, stages, context.registry)
    there = machine_bytes(context.machine)
    if needed <= there:
        return None
    batch, patch = _shape(stage)
    return (
        f"protocol.{stage.name} needs at least {needed / 1e9:.1f} GB (batch {batch} of {patch} x {patch} pixels, "
        f"{stage.settings['precision']}), this machine has {there / 1e9:.1f} GB; "
        "lower batch or patch, or raise accumulate"
    )


def _shape(stage: PlannedStage) -> tuple[int, int]:
    """Patches in memory at one time, and their side."""
    return int(stage.settings["batch"]) // int(stage.settings["accumulate"]), int(stage.settings["patch"])


@lru_cache(maxsize=1024)  # rows and seeds share networks and shapes
def _stage_bytes(model: str, batch: int, patch: int, precision: str, registry: Registry) -> int:
    try:
        return training_bytes(build(json.loads(model), 0, registry), batch, patch, precision)
    except Exception:  # somebody's network: whatever is wrong with it concerns its rows alone
        return 0


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
