"""Train one stage of a row: from the stored weights of the stage before it to stored weights of its own."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import numpy as np
import torch

from benchmark.data.augmentations import make_augmentations
from benchmark.data.sampling import Sampler
from benchmark.errors import RecordError
from benchmark.evaluation.evaluate import ImageScores, Summary, evaluate, load_metrics, mean_psnr, summarise
from benchmark.experiment.plan import PlannedRow, PlannedStage, hash_of, metric_digests
from benchmark.experiment.stage import late_validation_step, validation_steps
from benchmark.gates.cost import peak_memory_bytes, reset_peak_memory
from benchmark.interrupts import deferred_interrupts
from benchmark.lease import Lease
from benchmark.model import Restorer, build, restore_image
from benchmark.runner.context import Context
from benchmark.runner.events import OnAnyEvent, StageDamaged, StageFinished, StageProgress
from benchmark.runner.record_writer import provenance
from benchmark.runner.stage_store import StageResult
from benchmark.training.loop import Progress, is_deterministic, train
from benchmark.training.objective import make_objective
from benchmark.training.train_state import (
    Checkpoint,
    TrainState,
    load_checkpoint,
    make_train_state,
    save_checkpoint,
)

SAVE_SECONDS = 30.0
"""Between two stored states of a stage: how much work a kill can cost, besides the steps of one report."""

_VAL_CURVE = "val.psnr"
"""Name in the curve of the PSNR on validation images."""


def train_stage(row: PlannedRow, planned: PlannedStage, lease: Lease, context: Context, on_event: OnAnyEvent) -> None:
    """Train a stage, score it on val and store it. An interrupted stage continues from its last stored state.

    The state is stored every `SAVE_SECONDS`, and when an interrupt comes, after the current step. A state that is not
    what was stored is set aside.

    Raises:
        KeyboardInterrupt: an interrupt came; the state is stored.
        LeaseLost: this process was paused, and another one continues the stage.
        DivergedError: the loss or a gradient is no longer finite.
    """
    stage, device, store = planned.settings, context.machine.device, context.store
    state = make_train_state(load_network(row, planned.parent, context), stage, device)
    reset_peak_memory(device)
    objective = make_objective(planned.name, stage, context.registry)
    augmentations = make_augmentations(stage.augment, context.registry)
    source = context.source(row.recipe.data["train"])
    sampler = Sampler(source, row.seed, planned.name, stage.patch, augmentations)
    repeatable = None if device.type == "cpu" else is_deterministic(state, objective, sampler, stage, device)
    state_file, validations = store.state_file(planned.key), validation_steps(stage)
    checkpoint = _load_or_set_aside(row, planned, state, lease, context, on_event)
    saved_at = started = time.perf_counter() - checkpoint.seconds

    def on_progress(progress: Progress) -> None:
        nonlocal checkpoint, saved_at
        values = [(progress.step, name, value) for name, value in scalars(progress).items() if isfinite(value)]
        curve = [*checkpoint.curve, *values]
        seconds, skipped = time.perf_counter() - started, progress.skipped_steps
        checkpoint = replace(checkpoint, step=progress.step, seconds=seconds, curve=curve, skipped_steps=skipped)
        if progress.step in validations:
            checkpoint = _validate(checkpoint, row, planned, state, context)
        if is_stopping() or time.perf_counter() - saved_at > SAVE_SECONDS:
            lease.check()
            save_checkpoint(state_file, state, checkpoint)
            saved_at = time.perf_counter()
        if not is_stopping():
            on_event(StageProgress(row.folder, planned.key, progress))

    done, skipped = checkpoint.step, checkpoint.skipped_steps
    with deferred_interrupts() as is_stopping:
        train(state, objective, sampler, stage, device, done, skipped, is_stopping, on_progress)
    if is_stopping():
        save_checkpoint(state_file, state, checkpoint)  # once more: it may have come after the last report
        raise KeyboardInterrupt

    if stage.output == "ema":
        state.restorer.load_state_dict(state.averaged_weights())
    elif stage.output == "best" and checkpoint.best_weights is not None:
        state.restorer.load_state_dict(checkpoint.best_weights)
    result = _result(row, planned, state, checkpoint, repeatable, context)
    store.publish(lease, result, state.restorer, checkpoint.curve)
    on_event(StageFinished(row.folder, result, stage.steps - done))


def _load_or_set_aside(
    row: PlannedRow,
    planned: PlannedStage,
    state: TrainState,
    lease: Lease,
    context: Context,
    on_event: OnAnyEvent,
) -> Checkpoint:
    """Put the stored state of a stage into `state`; set it aside, say so and begin anew if it is damaged."""
    state_file = context.store.state_file(planned.key)
    try:
        return load_checkpoint(state_file, state)
    except RecordError:
        context.store.set_state_aside(lease)
        on_event(StageDamaged(row.folder, planned.name, state_file))
        return Checkpoint()


def _result(
    row: PlannedRow,
    planned: PlannedStage,
    state: TrainState,
    checkpoint: Checkpoint,
    repeatable: bool | None,
    context: Context,
) -> StageResult:
    """Score the trained weights on val; return all that is recorded of a stage."""
    stage = planned.settings
    val, val_source = score_on_val(row, state.restorer, context), context.source(row.recipe.data["val"])
    return StageResult(
        name=planned.name,
        key=planned.key,
        steps=stage.steps,
        seconds=checkpoint.seconds,
        images_per_second=stage.steps * stage.batch / checkpoint.seconds,
        peak_memory_bytes=peak_memory_bytes(context.machine.device),
        val=val,
        val_fingerprint=_val_fingerprint(row, context),
        skipped_steps=len(checkpoint.skipped_steps),
        late_gain_psnr=_late_gain(planned, checkpoint, val["psnr"]["mean"]),
        identity_psnr=mean_psnr(np.asarray, val_source),
        repeatable=repeatable,
        provenance=_provenance(row, context),
    )


def load_network(row: PlannedRow, key: str | None, context: Context) -> Restorer:
    """Return the network of a row on the device, with the stored weights of a stage; None: with its initial weights.

    It is always built anew: the memory layout of weights that did not come from the store could differ, and with it the
    last bits of what they compute.
    """
    if key is None:
        return build(row.recipe.model, row.seed, context.registry).to(context.machine.device)
    return _with_weights(row, context.store.weights(key), context)


def score_on_val(row: PlannedRow, trained: Restorer, context: Context) -> dict[str, Summary]:
    """Return the scores of a trained network on the validation images of a row."""
    return summarise(image.metrics for image in images_on_val(row, trained, context))


def images_on_val(row: PlannedRow, trained: Restorer, context: Context) -> Iterator[ImageScores]:
    """Yield the validation images of a row as a trained network restores them, with their scores."""
    restorer, device = _with_weights(row, trained.state_dict(), context).eval(), context.machine.device
    source, metrics = context.source(row.recipe.data["val"]), load_metrics(context.registry, context.metrics)
    yield from evaluate(lambda image: restore_image(restorer, image, device), source, metrics=metrics)


def on_val_of(row: PlannedRow, result: StageResult, context: Context) -> StageResult:
    """Return a stored result, scored anew if the row has other validation images or metrics: the key has neither."""
    source, fingerprint = context.source(row.recipe.data["val"]), _val_fingerprint(row, context)
    if result.val_fingerprint == fingerprint:
        return result
    return replace(
        result,
        val=score_on_val(row, load_network(row, result.key, context), context),
        val_fingerprint=fingerprint,
        late_gain_psnr=None,  # these images were not scored during training
        identity_psnr=mean_psnr(np.asarray, source),
    )


def _val_fingerprint(row: PlannedRow, context: Context) -> str:
    """Return what scores on val depend on beside the weights: the images, and the metrics that not every row has."""
    fingerprint = context.source(row.recipe.data["val"]).fingerprint
    metrics = metric_digests(context.registry, context.metrics)
    return hash_of([fingerprint, metrics]) if metrics else fingerprint


def _validate(
    checkpoint: Checkpoint, row: PlannedRow, planned: PlannedStage, state: TrainState, context: Context
) -> Checkpoint:
    """Add the PSNR on val of the weights that the stage would yield now, and keep them if they are the best."""
    output = planned.settings.output
    weights = state.restorer.state_dict() if output == "last" else state.averaged_weights()
    restorer = _with_weights(row, weights, context).eval()
    source = context.source(row.recipe.data["val"])
    psnr = mean_psnr(lambda image: restore_image(restorer, image, context.machine.device), source)
    checkpoint = replace(checkpoint, curve=[*checkpoint.curve, (checkpoint.step, _VAL_CURVE, psnr)])
    if output != "best" or checkpoint.best_psnr >= psnr:
        return checkpoint
    copies = {name: value.detach().cpu().clone() for name, value in weights.items()}
    return replace(checkpoint, best_psnr=psnr, best_weights=copies)


def _with_weights(row: PlannedRow, weights: Mapping[str, Any], context: Context) -> Restorer:
    restorer = build(row.recipe.model.architecture, row.seed, context.registry)
    restorer.load_state_dict(weights)
    return restorer.to(context.machine.device)


def _provenance(row: PlannedRow, context: Context) -> dict[str, Any]:
    """Return where, when and for which row a stage was trained."""
    facts = provenance(context.machine, context.command)
    del facts["command"]  # that of the row's record, which has its other settings, too
    finished = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    of_stage = {"threads": torch.get_num_threads(), "experiment": context.experiment, "row": row.folder}
    return {**facts, **of_stage, "finished": finished}


def _late_gain(planned: PlannedStage, checkpoint: Checkpoint, final_psnr: float) -> float | None:
    """Return the dB that the last fifth of the stage added on val; None for a stage too short to tell."""
    psnrs = {step: value for step, name, value in checkpoint.curve if name == _VAL_CURVE}
    late = late_validation_step(planned.settings)
    return None if late is None else psnrs.get(planned.steps, final_psnr) - psnrs[late]


def scalars(progress: Progress) -> dict[str, float]:
    """Return the numbers of a progress report by their names in curves."""
    return {
        "lr": progress.lr,
        "loss": progress.loss,
        **{f"loss.{name}": value for name, value in progress.parts.items()},
        "gradient_norm": progress.gradient_norm,
        "images_per_second": progress.images_per_second,
    }
