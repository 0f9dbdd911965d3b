"""How long training will take: some steps of each network are timed once on a machine, and the result is kept.

The times lie in the cache folder, by network and machine. One that was taken while other programs ran is marked, and
taken again when it is an hour old.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch

from benchmark.experiment.plan import Plan, PlannedRow, hash_of
from benchmark.experiment.stage import Stage
from benchmark.gates.latency_stability import MOST_WAITED, load_since, read_counters
from benchmark.inference.device_setup import torch_threads
from benchmark.kept_values import cache_folder, read_checked, write_checked
from benchmark.model import Restorer, build
from benchmark.runner.context import Context
from benchmark.training.train_state import make_train_state, set_memory_format

Digest = Callable[[str, str], str]
"""Kind and name of a component -> hash of its source."""
_FORMAT = 3
"""Of the stored times."""
_TIMED_PIXELS = 8 * 128 * 128
"""Batches with more pixels are timed at a smaller one and scaled up, so that an estimate takes seconds."""
_TIMED_STEPS = 2
_ENOUGH_SECONDS = 4.0
"""No third step is timed where two take this long. The first one, which allocates and imports, never counts."""
_BUSY_HOLDS_SECONDS = 3600.0


@dataclass(frozen=True)
class StepTime:
    """What a training step of a network takes on this machine."""

    seconds_per_pixel: float
    is_busy: bool
    """Other programs ran meanwhile, so that it may be too long."""


@dataclass(frozen=True)
class Estimate:
    """Seconds that the stages to be trained take."""

    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    """By key of the stage."""
    busy: int = 0
    """Networks that were timed while other programs ran."""

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())

    @property
    def note(self) -> str:
        """Why the estimate may be too high, to be put behind a duration; empty where it is not."""
        return f" (the machine was busy when {self.busy} of its networks were timed)" if self.busy else ""


def estimate(
    plan: Plan, context: Context, workers: int = 1, on_network: Callable[[int, int], None] = lambda number, total: None
) -> Estimate:
    """Return what the stages of a plan take that are not stored; networks that were never timed are timed now.

    The seconds of a stage are divided by the number of workers, which run side by side. Losses, reading and evaluation
    are not included, so they are a little low. A network that cannot be trained is left out; its row will report why.

    Args:
        plan: Rows with their stages.
        context: The store, the machine and the components.
        workers: How many stages run side by side.
        on_network: Called before a network is timed, with its number and how many there are.
    """
    digest = cache(context.registry.digest)
    networks = _networks(plan, context, digest)
    times = {id: step for id in networks if (step := _stored(id))}
    untimed = [id for id in networks if id not in times]
    for number, id in enumerate(untimed, 1):
        on_network(number, len(untimed))
        if step := _time_and_store(id, *networks[id], context):
            times[id] = step
    seconds: dict[str, float] = {}
    for row in plan.rows:
        for stage in row.stages:
            step, settings = times.get(_id(row, stage.settings, context, digest)), stage.settings
            if step and context.store.finished(stage.key) is None:
                pixels = settings.batch * settings.patch**2 * settings.steps
                seconds[stage.key] = step.seconds_per_pixel * pixels / workers
    return Estimate(seconds, sum(step.is_busy for step in times.values()))


def _networks(plan: Plan, context: Context, digest: Digest) -> dict[str, tuple[PlannedRow, Stage]]:
    """Return a row and a stage of each network that is still to be trained, by what decides the time of its steps."""
    networks: dict[str, tuple[PlannedRow, Stage]] = {}
    for row in plan.rows:
        for stage in row.stages:
            if context.store.finished(stage.key) is None:
                networks.setdefault(_id(row, stage.settings, context, digest), (row, stage.settings))
    return networks


def _id(row: PlannedRow, stage: Stage, context: Context, digest: Digest) -> str:
    """Return what decides the time of a step, but for its pixels."""
    model, machine = row.recipe.model, context.machine
    names = {"backbone": model.backbone.name, "head": model.head.name}
    sources = [digest(kind, name) for kind, name in names.items()]
    settings = [_FORMAT, stage.precision, stage.memory_format, stage.threads, stage.optimizer.name]
    place = [str(machine.device), machine.device_name, machine.threads, machine.allocator, torch.__version__]
    return hash_of([model.architecture.as_config(), sources, settings, place])


def _time_and_store(id: str, row: PlannedRow, stage: Stage, context: Context) -> StepTime | None:
    """Time some steps of a network with the threads of its stage, and keep the result; None if it cannot be trained."""
    device, before = context.machine.device, read_counters()
    try:
        with torch_threads(stage.threads):
            restorer = build(row.recipe.model, row.seed, context.registry).to(device)
            seconds_per_pixel = _seconds_per_pixel(restorer, stage, device)
    except Exception:  # an error in a user's network fails its own rows only
        return None
    waited = load_since(before, device).waited_share or 0.0
    with suppress(OSError):  # the next command times it again
        _file(id).parent.mkdir(parents=True, exist_ok=True)
        write_checked(_file(id), {"seconds_per_pixel": seconds_per_pixel, "waited_share": waited, "time": time.time()})
    return StepTime(seconds_per_pixel, waited > MOST_WAITED)


def _stored(id: str) -> StepTime | None:
    """Return the time that an earlier command took; None if there is none, or one of a busy machine that is too old."""
    with suppress(OSError, KeyError, TypeError, ValueError):
        entry = read_checked(_file(id))
        step = StepTime(float(entry["seconds_per_pixel"]), float(entry["waited_share"]) > MOST_WAITED)
        if not step.is_busy or time.time() - float(entry["time"]) < _BUSY_HOLDS_SECONDS:
            return step
    return None


def _file(id: str) -> Path:
    return cache_folder() / "step_times" / f"{id}.json"


def _seconds_per_pixel(restorer: Restorer, stage: Stage, device: torch.device) -> float:
    batch = max(1, min(stage.batch, _TIMED_PIXELS // stage.patch**2))
    side = stage.patch if batch * stage.patch**2 <= _TIMED_PIXELS else 128
    memory_format = set_memory_format(restorer.train(), stage)
    image = torch.rand(batch, 3, side, side, device=device).contiguous(memory_format=memory_format)
    optimizer = make_train_state(restorer, stage, device).optimizer
    times: list[float] = []
    while len(times) < 2 or (len(times) <= _TIMED_STEPS and sum(times) < _ENOUGH_SECONDS):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=stage.precision in ("bfloat16", "float16")):
            restored = restorer(image).image
        optimizer.zero_grad(set_to_none=True)
        (restored.float() - image).abs().mean().backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:]) / (batch * side**2)
