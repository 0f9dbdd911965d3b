"""One stage of a row: from the store, or trained and stored."""

import time
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np

from benchmark.data import Source
from benchmark.data.factory import make_augmentations
from benchmark.data.passes import PassSampler
from benchmark.data.sampling import Sampler
from benchmark.evaluation.evaluate import Summary, evaluate, mean_psnr, summarise
from benchmark.experiment.plan import PlannedStage, Run
from benchmark.experiment.stage import Stage
from benchmark.gates.memory import peak_memory_bytes, reset_peak_memory
from benchmark.interrupts import deferred_interrupts
from benchmark.lease import Lease, LeaseLost
from benchmark.model import Restorer, build, restore_image
from benchmark.model.build import architecture
from benchmark.runner.context import Context
from benchmark.runner.progress_events import Event, StageAwaited, StageFinished, StageProgress, StageReused
from benchmark.runner.stage_store import StageResult
from benchmark.training.checkpoint import Best, CurveRow, Reached, load_state, save_state
from benchmark.training.determinism import is_repeatable
from benchmark.training.loop import Progress, fit
from benchmark.training.objective import Objective, make_objective
from benchmark.training.train_state import Learner, make_learner
from benchmark.training.validation_steps import late_step, look_steps

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
    learner = make_learner(network(run, parent, context), stage, device)
    reset_peak_memory(device)
    objective = make_objective(planned.name, stage, context.registry)
    sampler = make_sampler(run, planned.name, stage, context)
    repeats = None if device.type == "cpu" else is_repeatable(learner, objective, sampler, stage, device)
    reached = yield from _fit(run, planned, stage, learner, objective, sampler, context)

    _set_output_weights(stage, learner, reached.best)
    val = look_at_val(run, learner.restorer, context)
    result = StageResult(
        name=planned.name,
        key=planned.key,
        steps=stage.steps,
        seconds=reached.seconds,
        images_per_second=stage.steps * stage.batch / reached.seconds,
        peak_memory_bytes=peak_memory_bytes(device),
        val=val,
        val_fingerprint=_val(run, context).fingerprint,
        skipped_steps=len(reached.left_out),
        late_gain_psnr=_late_gain(stage, reached, val["psnr"]["mean"]),
        identity_psnr=mean_psnr(np.asarray, _val(run, context)),
        repeatable=repeats,
    )
    context.store.publish(lease, result, learner.restorer, reached.curve)
    yield StageFinished(run.folder, result)
    return result


def _fit(
    run: Run,
    planned: PlannedStage,
    stage: Stage,
    learner: Learner,
    objective: Objective,
    sampler: Sampler,
    context: Context,
) -> Generator[Event, None, Reached]:
    """Train from the stored state, if there is one, to the end of the stage; looks at val on the way.

    Stores the state from time to time, and after the step at hand when Ctrl-C or SIGTERM comes.
    """
    state_file = context.store.state_file(planned.key)
    reached = load_state(state_file, learner)
    saved_at = started = time.perf_counter() - reached.seconds
    looks, device = look_steps(stage), context.machine.device
    with deferred_interrupts() as is_stopping:
        for progress in fit(learner, objective, sampler, stage, device, reached.step, reached.left_out, is_stopping):
            reached = _went_on(reached, progress, time.perf_counter() - started)
            if progress.step in looks:
                reached = _looked(reached, run, stage, learner, context)
            if is_stopping() or time.perf_counter() - saved_at > _SAVE_SECONDS:
                save_state(state_file, learner, reached)
                saved_at = time.perf_counter()
            if is_stopping():
                raise KeyboardInterrupt
            yield StageProgress(run.folder, planned.key, progress)
    if is_stopping():  # it came while the last report was passed on
        save_state(state_file, learner, reached)
        raise KeyboardInterrupt
    return reached


def _went_on(reached: Reached, progress: Progress, seconds: float) -> Reached:
    curve = [*reached.curve, *_curve_rows(progress)]
    return replace(reached, step=progress.step, seconds=seconds, curve=curve, left_out=progress.left_out)


def _looked(reached: Reached, run: Run, stage: Stage, learner: Learner, context: Context) -> Reached:
    """With the PSNR on val of what the stage would yield now; its weights, if wanted and the best so far."""
    weights = learner.restorer.state_dict() if stage.output == "last" else learner.averaged()
    restorer = _with_weights(run, weights, context).eval()
    psnr = mean_psnr(lambda image: restore_image(restorer, image, context.machine.device), _val(run, context))
    reached = replace(reached, curve=[*reached.curve, (reached.step, _LOOK, psnr)])
    if stage.output != "best" or (reached.best is not None and reached.best.psnr >= psnr):
        return reached
    copied = {name: value.detach().cpu().clone() for name, value in weights.items()}
    return replace(reached, best=Best(psnr, copied))


def _set_output_weights(stage: Stage, learner: Learner, best: Best | None) -> None:
    """Put the weights that the stage yields into the network."""
    if stage.output == "ema":
        learner.restorer.load_state_dict(learner.averaged())
    elif stage.output == "best" and best is not None:
        learner.restorer.load_state_dict(best.weights)


def _late_gain(stage: Stage, reached: Reached, at_end: float) -> float | None:
    """What the last fifth of the stage added to the PSNR on val."""
    looks = {step: value for step, name, value in reached.curve if name == _LOOK}
    late = late_step(stage)
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
    return PassSampler(context.source(run.config, "train"), run.seed, name, stage.patch, augmentations)


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
