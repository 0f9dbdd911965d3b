"""Train one stage of a row: from the stored weights of the stage before it to stored weights of its own."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from math import isfinite
from typing import Any

import numpy as np
import torch

from benchmark.data.augmentations import make_augmentations
from benchmark.data.sampling import Sampler
from benchmark.errors import RecordError
from benchmark.experiment.plan import PlannedRow, PlannedStage
from benchmark.experiment.stage import Stage, late_validation_step, validation_steps
from benchmark.gates.cost import peak_memory_bytes, reset_peak_memory
from benchmark.interrupts import deferred_interrupts
from benchmark.lease import Lease
from benchmark.model import Restorer
from benchmark.model.pruning import prune
from benchmark.runner.context import Context
from benchmark.runner.events import OnAnyEvent, StageDamaged, StageFinished, StageProgress, StagePruned
from benchmark.runner.pruning_rules import Rule
from benchmark.runner.record_writer import provenance
from benchmark.runner.stage_store import StageResult
from benchmark.runner.stage_validation import VAL_CURVE, StageValidation
from benchmark.runner.val_scores import load_network, psnr_on_val, score_on_val, val_fingerprint
from benchmark.training.distributed import ALONE, Ranks
from benchmark.training.loop import Progress, is_deterministic, train
from benchmark.training.objective import make_objective, with_teacher
from benchmark.training.train_state import (
    Checkpoint,
    TrainState,
    load_checkpoint,
    make_train_state,
    save_checkpoint,
)

SAVE_SECONDS = 30.0
"""Between two stored states of a stage: how much work a kill can cost, besides the steps of one report."""


def train_stage(
    row: PlannedRow,
    planned: PlannedStage,
    lease: Lease,
    context: Context,
    on_event: OnAnyEvent,
    ranks: Ranks = ALONE,
    is_stopped_elsewhere: Callable[[], bool] = lambda: False,
    rule: Rule | None = None,
) -> None:
    """Train a stage, score it on val and store it. An interrupted stage continues from its last stored state.

    The state is stored every `SAVE_SECONDS`, and when an interrupt comes, after the current step. A state that is not
    what was stored is set aside.

    Args:
        row: The row that it is trained for.
        planned: The stage.
        lease: Of the stage.
        context: What the jobs of a run share.
        on_event: Called with everything that happens.
        ranks: The processes that train it together, each of which calls this. The first one stores and reports.
        is_stopped_elsewhere: Whether a process outside has asked to stop, as an interrupt does.
        rule: May end the stage after a validation; None: nothing does. Not for several ranks.

    Raises:
        KeyboardInterrupt: an interrupt came; the state is stored.
        PrunedError: The rule ended the stage; the state is stored.
        LeaseLost: this process was paused, and another one continues the stage.
        DivergedError: the loss or a gradient is no longer finite.
    """
    stage, device, store = planned.settings, context.machine.device, context.store
    state = make_train_state(_initial_network(row, planned, context), stage, device)
    reset_peak_memory(device)
    objective = with_teacher(make_objective(planned.name, stage, context.registry, ranks), *_teacher(row, context))
    augmentations = make_augmentations(stage.augment, context.registry)
    source = context.source(row.recipe.data["train"])
    sampler = Sampler(source, row.seed, planned.name, stage.patch, augmentations, objective.needs_maps)
    repeatable = None if device.type == "cpu" else is_deterministic(state, objective, sampler, stage, device, ranks)
    state_file, validations = store.state_file(planned.key), validation_steps(stage)
    checkpoint = _load_or_set_aside(row, planned, state, lease, context, on_event, ranks)
    saved_at = started = time.perf_counter() - checkpoint.seconds
    validation = StageValidation(row, planned, context, ranks, rule, on_event)

    def on_progress(progress: Progress) -> None:
        nonlocal checkpoint, saved_at
        values = [(progress.step, name, value) for name, value in scalars(progress).items() if isfinite(value)]
        curve = [*checkpoint.curve, *values]
        seconds, skipped = time.perf_counter() - started, progress.skipped_steps
        checkpoint = replace(checkpoint, step=progress.step, seconds=seconds, curve=curve, skipped_steps=skipped)
        if progress.step in validations:
            checkpoint = validation.validate(checkpoint, state)
        if ranks.is_first and (is_stopping() or time.perf_counter() - saved_at > SAVE_SECONDS):
            lease.check()
            save_checkpoint(state_file, state, checkpoint)
            saved_at = time.perf_counter()
        if not is_stopping():
            on_event(StageProgress(row.folder, planned.key, progress))

    done, skipped = checkpoint.step, checkpoint.skipped_steps
    validation.resume(checkpoint)
    with deferred_interrupts() as is_interrupted:

        def is_stopping() -> bool:
            return is_interrupted() or is_stopped_elsewhere()

        train(
            state,
            objective,
            sampler,
            stage,
            device,
            done,
            skipped,
            partial(validation.is_ending, is_stopping),
            on_progress,
            ranks,
        )
    if ranks.any(is_stopping()):
        if ranks.is_first:
            save_checkpoint(state_file, state, checkpoint)  # once more: it may have come after the last report
        ranks.gather(None)  # no rank ends before the state is stored
        raise KeyboardInterrupt
    if validation.end:
        lease.check()
        save_checkpoint(state_file, state, checkpoint)
        on_event(StagePruned(row.folder, planned.key, checkpoint.step - done))
        raise validation.end

    _load_output_weights(state, stage, checkpoint)
    result = _result(row, planned, state, checkpoint, repeatable, context, ranks)
    if ranks.is_first:
        store.publish(lease, result, state.restorer, checkpoint.curve)
        validation.finish(state.restorer)
        on_event(StageFinished(row.folder, result, stage.steps - done))


def _initial_network(row: PlannedRow, planned: PlannedStage, context: Context) -> Restorer:
    """Return the network that a stage begins with: that of its parent, pruned where the row says so."""
    restorer = load_network(row, planned.parent, context)
    pruning = row.recipe.pruning_before(planned.name)
    return prune(restorer, pruning.channels) if pruning else restorer


def _teacher(row: PlannedRow, context: Context) -> tuple[Restorer | None, float]:
    """Return the trained network that a row learns from, if there is one, and the weight of its images."""
    distil = row.recipe.model.compression.teacher
    if row.teacher is None or distil is None:
        return None, 0.0
    network = load_network(row.teacher, row.teacher.last_key, context)
    return network.eval().requires_grad_(False), distil.weight


def _load_or_set_aside(
    row: PlannedRow,
    planned: PlannedStage,
    state: TrainState,
    lease: Lease,
    context: Context,
    on_event: OnAnyEvent,
    ranks: Ranks,
) -> Checkpoint:
    """Put the stored state of a stage into `state`; set it aside, say so and begin anew if it is damaged."""
    state_file = context.store.state_file(planned.key)
    if not ranks.is_first:
        ranks.gather(None)  # the first one may have to set it aside
        return load_checkpoint(state_file, state)
    try:
        checkpoint = load_checkpoint(state_file, state)
    except RecordError:
        context.store.set_state_aside(lease)
        on_event(StageDamaged(row.folder, planned.name, state_file))
        checkpoint = Checkpoint()
    ranks.gather(None)
    return checkpoint


def _load_output_weights(state: TrainState, stage: Stage, checkpoint: Checkpoint) -> None:
    """Put the weights that the stage ends with into the network."""
    if stage.output == "ema":
        state.restorer.load_state_dict(state.averaged_weights())
    elif stage.output == "best" and checkpoint.best_weights is not None:
        state.restorer.load_state_dict(checkpoint.best_weights)


def _result(
    row: PlannedRow,
    planned: PlannedStage,
    state: TrainState,
    checkpoint: Checkpoint,
    repeatable: bool | None,
    context: Context,
    ranks: Ranks,
) -> StageResult:
    """Score the trained weights on val; return all that is recorded of a stage."""
    stage = planned.settings
    val, peak_bytes = score_on_val(row, state.restorer, context, ranks), peak_memory_bytes(context.machine.device)
    return StageResult(
        name=planned.name,
        key=planned.key,
        steps=stage.steps,
        seconds=checkpoint.seconds,
        images_per_second=stage.steps * stage.batch / checkpoint.seconds,
        peak_memory_bytes=max(ranks.gather(peak_bytes)),
        val=val,
        val_fingerprint=val_fingerprint(row, context),
        skipped_steps=len(checkpoint.skipped_steps),
        late_gain_psnr=_late_gain(planned, checkpoint, val["psnr"]["mean"]),
        identity_psnr=psnr_on_val(row, np.asarray, context, ranks),
        repeatable=repeatable,
        provenance=_provenance(row, context),
    )


def _provenance(row: PlannedRow, context: Context) -> dict[str, Any]:
    """Return where, when and for which row a stage was trained."""
    facts = provenance(context.machine, context.command)
    del facts["command"]  # that of the row's record, which has its other settings, too
    finished = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    of_stage = {"threads": torch.get_num_threads(), "experiment": context.experiment, "row": row.folder}
    return {**facts, **of_stage, "finished": finished}


def _late_gain(planned: PlannedStage, checkpoint: Checkpoint, final_psnr: float) -> float | None:
    """Return the dB that the last fifth of the stage added on val; None for a stage too short to tell."""
    psnr_at = {step: value for step, name, value in checkpoint.curve if name == VAL_CURVE}
    late = late_validation_step(planned.settings)
    return None if late is None else psnr_at.get(planned.steps, final_psnr) - psnr_at[late]


def scalars(progress: Progress) -> dict[str, float]:
    """Return the numbers of a progress report by their names in curves."""
    return {
        "lr": progress.lr,
        "loss": progress.loss,
        **{f"loss.{name}": value for name, value in progress.parts.items()},
        "gradient_norm": progress.gradient_norm,
        "images_per_second": progress.images_per_second,
    }
