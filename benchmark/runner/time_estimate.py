"""How long a plan will take on this machine, from a few measured steps of each of its networks."""

import time
from contextlib import suppress

import torch

from benchmark.experiment.plan import Plan, PlannedStage, Run, settings_id
from benchmark.experiment.stage import Stage
from benchmark.model import Restorer, build
from benchmark.runner.context import Context
from benchmark.runner.worker_pool import worker_count
from benchmark.training.train_state import make_train_state, set_memory_format

_MOST_PIXELS = 8 * 128 * 128
"""Batches with more pixels than this are timed at one smaller and scaled up, so that an estimate takes seconds."""
_STEPS = 2


def estimate_seconds(plan: Plan, context: Context) -> dict[str, float]:
    """Seconds of each stage to be trained, by key: its steps times the seconds of a step.

    Steps are measured once for each network, with the threads that a worker has, scaled by pixels, and divided by the
    workers that run side by side. Losses, reading and evaluation are not in it, so it is a little low. A network that
    cannot be trained is left out: its row will tell.
    """
    per_pixel: dict[str, float] = {}
    seconds: dict[str, float] = {}
    workers = worker_count(plan, context)
    torch.set_num_threads(context.machine.threads // workers)
    for run in plan.runs:
        for stage in run.stages:
            if stage.key not in seconds and context.store.finished(stage.key) is None:
                with suppress(Exception):
                    seconds[stage.key] = _stage_seconds(run, stage, context, per_pixel) / workers
    torch.set_num_threads(context.machine.threads)
    return seconds


def _stage_seconds(run: Run, planned: PlannedStage, context: Context, per_pixel: dict[str, float]) -> float:
    stage = Stage.model_validate(planned.settings)
    identity = settings_id([run.config["model"], stage.precision, stage.memory_format])
    if identity not in per_pixel:
        restorer = build(run.config["model"], run.seed, context.registry).to(context.machine.device)
        per_pixel[identity] = _seconds_per_pixel(restorer, stage, context.machine.device)
    return per_pixel[identity] * stage.batch * stage.patch**2 * stage.steps


def _seconds_per_pixel(restorer: Restorer, stage: Stage, device: torch.device) -> float:
    batch = max(1, min(stage.batch, _MOST_PIXELS // stage.patch**2))
    side = stage.patch if batch * stage.patch**2 <= _MOST_PIXELS else 128
    memory_format = set_memory_format(restorer.train(), stage)
    image = torch.rand(batch, 3, side, side, device=device).contiguous(memory_format=memory_format)
    optimizer = make_train_state(restorer, stage, device).optimizer
    times: list[float] = []
    for _ in range(_STEPS + 1):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=stage.precision in ("bfloat16", "float16")):
            restored = restorer(image).image
        optimizer.zero_grad(set_to_none=True)
        (restored.float() - image).abs().mean().backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:]) / (batch * side**2)  # the first step also allocates
