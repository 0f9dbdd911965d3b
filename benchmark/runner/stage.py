"""One stage of a row: from the store, or trained and stored."""

import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from benchmark.data import Source
from benchmark.data.augmentations import make_augmentations
from benchmark.data.sampling import Sampler
from benchmark.evaluation.evaluate import Summary, evaluate, mean_psnr, summarise
from benchmark.experiment.plan import PlannedStage, Run
from benchmark.experiment.stage import Stage, late_validation_step, validation_steps
from benchmark.gates.memory import peak_memory_bytes, reset_peak_memory
from benchmark.interrupts import deferred_interrupts
from benchmark.lease import Lease, LeaseLost
from benchmark.model import Restorer, build, restore_image
from benchmark.model.build import architecture
from benchmark.runner.context import Context
from benchmark.runner.progress_events import Event, StageAwaited, StageFinished, StageProgress, StageReused
from benchmark.runner.stage_store import StageResult
from benchmark.training.loop import Progress, is_deterministic, progress_reports
from benchmark.training.objective import Objective, make_objective
from benchmark.training.train_state import (
    Best,
    Checkpoint,
    CurveRow,
    TrainState,
    load_checkpoint,
    make_train_state,
    save_checkpoint,
)

_SAVE_SECONDS = 30.0
"""How much work an interruption can cost at most, besides the steps of one report."""

_WAIT_SECONDS = 1.0
"""Between two looks at a stage that another process trains."""

_LOOK = "val.psnr"
"""Name in the curve of what a look at val finds."""


def obtain_stage(
    run: Run, planned: PlannedStage, parent: str | None, context: Context
) -> Generator[Event, None, tuple[StageResult, bool]]:
    """Return a stage from the store, and True; or train and store it, and False.

    Waits while another process trains it.
    """
    is_announced = False
    while True:
        stored = context.store.finished(planned.key, verify=True)
        if stored is not None:
            yield StageReused(run.folder, stored)
            return _on_val_of(run, stored, context), True
        with context.store.lease(planned.key) as lease:
            if lease is not None and context.store.finished(planned.key, verify=True) is None:
                with suppress(LeaseLost):  # this process was paused, and another one goes on with the stage
                    return (yield from _train_stage(run, planned, parent, context, lease)), False
        if lease is None:
            if not is_announced:
                yield StageAwaited(run.folder, planned.name)
                is_announced = True
            time.sleep(_WAIT_SECONDS)


def _train_stage(
    run: Run, planned: PlannedStage, parent: str | None, context: Context, lease: Lease
) -> Generator[Event, None, StageResult]:
    """Train one stage from the stored weights of the stage before it (the key `parent`; None: from initial weights).

    Looks at val at the end and stores the result. An interrupted stage goes on from its last stored state.
    """
    stage = Stage.model_validate(planned.settings)
    device = context.machine.device
    state = make_train_state(network(run, parent, context), stage, device)
    reset_peak_memory(device)
    objective = make_objective(planned.name, stage, context.registry)
    sampler = make_sampler(run, planned.name, stage, context)
    repeats = None if device.type == "cpu" else is_deterministic(state, objective, sampler, stage, device)
    checkpoint = yield from _fit(run, planned, stage, state, objective, sampler, context)

    _set_output_weights(stage, state, checkpoint.best)
    val = look_at_val(run, state.restorer, context)
    result = StageResult(
        name=planned.name,
        key=planned.key,
        steps=stage.steps,
        seconds=checkpoint.seconds,
        images_per_second=stage.steps * stage.batch / checkpoint.seconds,
        peak_memory_bytes=peak_memory_bytes(device),
        val=val,
        val_fingerprint=_val(run, context).fingerprint,
        skipped_steps=len(checkpoint.skipped_steps),
        late_gain_psnr=_late_gain(stage, checkpoint, val["psnr"]["mean"]),
        identity_psnr=mean_psnr(np.asarray, _val(run, context)),
        repeatable=repeats,
    )
    context.store.publish(lease, result, state.restorer, checkpoint.curve)
    yield StageFinished(run.folder, result)
    return result


def _fit(
    run: Run,
    planned: PlannedStage,
    stage: Stage,
    state: TrainState,
    objective: Objective,
    sampler: Sampler,
    context: Context,
) -> Generator[Event, None, Checkpoint]:
    """Train from the stored state, if there is one, to the end of the stage; looks at val on the way.

    Stores the state from time to time, and after the step at hand when Ctrl-C or SIGTERM comes.
    """
    state_file = context.store.state_file(planned.key)
    checkpoint = load_checkpoint(state_file, state)
    saved_at = started = time.perf_counter() - checkpoint.seconds
    validations, device = validation_steps(stage), context.machine.device
    with deferred_interrupts() as is_stopping:
        for progress in progress_reports(
            state, objective, sampler, stage, device, checkpoint.step, checkpoint.skipped_steps, is_stopping
        ):
            checkpoint = _went_on(checkpoint, progress, time.perf_counter() - started)
            if progress.step in validations:
                checkpoint = _looked(checkpoint, run, stage, state, context)
            if is_stopping() or time.perf_counter() - saved_at > _SAVE_SECONDS:
                save_checkpoint(state_file, state, checkpoint)
                saved_at = time.perf_counter()
            if is_stopping():
                raise KeyboardInterrupt
            yield StageProgress(run.folder, planned.key, progress)
    if is_stopping():  # it came while the last report was passed on
        save_checkpoint(state_file, state, checkpoint)
        raise KeyboardInterrupt
    return checkpoint


def _went_on(checkpoint: Checkpoint, progress: Progress, seconds: float) -> Checkpoint:
    curve = [*checkpoint.curve, *_curve_rows(progress)]
    return replace(checkpoint, step=progress.step, seconds=seconds, curve=curve, skipped_steps=progress.skipped_steps)


def _looked(checkpoint: Checkpoint, run: Run, stage: Stage, state: TrainState, context: Context) -> Checkpoint:
    """With the PSNR on val of what the stage would yield now; its weights, if wanted and the best so far."""
    weights = state.restorer.state_dict() if stage.output == "last" else state.averaged_weights()
    restorer = _with_weights(run, weights, context).eval()
    psnr = mean_psnr(lambda image: restore_image(restorer, image, context.machine.device), _val(run, context))
    checkpoint = replace(checkpoint, curve=[*checkpoint.curve, (checkpoint.step, _LOOK, psnr)])
    if stage.output != "best" or (checkpoint.best is not None and checkpoint.best.psnr >= psnr):
        return checkpoint
    copied = {name: value.detach().cpu().clone() for name, value in weights.items()}
    return replace(checkpoint, best=Best(psnr, copied))


def _set_output_weights(stage: Stage, state: TrainState, best: Best | None) -> None:
    """Put the weights that the stage yields into the network."""
    if stage.output == "ema":
        state.restorer.load_state_dict(state.averaged_weights())
    elif stage.output == "best" and best is not None:
        state.restorer.load_state_dict(best.weights)


def _late_gain(stage: Stage, checkpoint: Checkpoint, at_end: float) -> float | None:
    """What the last fifth of the stage added to the PSNR on val."""
    looks = {step: value for step, name, value in checkpoint.curve if name == _LOOK}
    late = late_validation_step(stage)
    return None if late is None else looks.get(stage.steps, at_end) - looks[late]


def _on_val_of(run: Run, result: StageResult, context: Context) -> StageResult:
    """A stored stage's result on the val images of this run, which are not those of whoever trained it by nature."""
    fingerprint = _val(run, context).fingerprint
    if result.val_fingerprint == fingerprint:
        return result
    trained = network(run, result.key, context)
    return replace(
        result,
        val=look_at_val(run, trained, context),
        val_fingerprint=fingerprint,
        late_gain_psnr=None,  # nobody looked at these images on the way
        identity_psnr=mean_psnr(np.asarray, _val(run, context)),
    )


def network(run: Run, key: str | None, context: Context) -> Restorer:
    """The row's network on the device, with the stored weights of a stage (None: those it begins with).

    Always built anew: weights that took another way than through the store could differ in memory layout, and with it
    in the last bit of what they compute.
    """
    if key is None:
        return build(run.config["model"], run.seed, context.registry).to(context.machine.device)
    return _with_weights(run, context.store.weights(key), context)


def make_sampler(run: Run, name: str, stage: Stage, context: Context) -> Sampler:
    """The stream of training patches of a stage."""
    augmentations = make_augmentations(stage.augment, context.registry)
    return Sampler(context.source(run.config, "train"), run.seed, name, stage.patch, augmentations)


def look_at_val(run: Run, trained: Restorer, context: Context) -> dict[str, Summary]:
    """Scores of weights on the val images of a run."""
    restorer, device = _with_weights(run, trained.state_dict(), context).eval(), context.machine.device
    scored = evaluate(lambda image: restore_image(restorer, image, device), _val(run, context))
    return summarise(image.metrics for image in scored)


def _with_weights(run: Run, weights: Mapping[str, Any], context: Context) -> Restorer:
    restorer = build(architecture(run.config["model"]), run.seed, context.registry)
    restorer.load_state_dict(weights)
    return restorer.to(context.machine.device)


def _val(run: Run, context: Context) -> Source:
    return context.source(run.config, "val")


def _curve_rows(progress: Progress) -> list[CurveRow]:
    values = {
        "lr": progress.lr,
        "loss": progress.loss,
        **{f"loss.{name}": value for name, value in progress.parts.items()},
        "gradient_norm": progress.gradient_norm,
        "images_per_second": progress.images_per_second,
    }
    return [(progress.step, name, value) for name, value in values.items() if isfinite(value)]
