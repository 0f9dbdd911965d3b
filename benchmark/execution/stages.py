"""One stage of a row: from the store, or trained and stored."""

import time
from collections.abc import Generator
from dataclasses import replace

from benchmark.data.open import make_augmentations
from benchmark.data.passes import PassSampler
from benchmark.data.sampling import Sampler
from benchmark.evaluation.evaluate import Summary, evaluate, summarise
from benchmark.execution.context import Context
from benchmark.execution.events import Event, StageAwaited, StageFinished, StageProgress, StageReused
from benchmark.execution.store import StageResult
from benchmark.experiment.plan import PlannedStage, Run
from benchmark.experiment.schema import Stage
from benchmark.gates.memory import peak_memory_bytes, reset_peak_memory
from benchmark.model import Restorer, build, restore_image
from benchmark.model.build import architecture
from benchmark.training.fit import Progress, fit, make_optimizer
from benchmark.training.objective import make_objective
from benchmark.training.state import CurveRow, Reached, load_state, save_state

_SAVE_SECONDS = 30.0
"""How much work an interruption can cost at most, besides the steps of one report."""


_WAIT_SECONDS = 1.0
"""Between two looks at a stage that another process trains."""


def obtain_stage(
    run: Run, planned: PlannedStage, parent: str | None, context: Context
) -> Generator[Event, None, tuple[StageResult, bool]]:
    """A stage from the store, and True; or trained and stored, and False. Waits while another process trains it."""
    is_told = False
    while True:
        with context.store.lease(planned.key) as is_ours:
            stored = context.store.finished(planned.key)
            if stored is not None:
                yield StageReused(run.folder, stored)
                return _on_val_of(run, stored, context), True
            if is_ours:
                return (yield from _train_stage(run, planned, parent, context)), False
        if not is_told:
            yield StageAwaited(run.folder, planned.name)
            is_told = True
        time.sleep(_WAIT_SECONDS)


def _train_stage(
    run: Run, planned: PlannedStage, parent: str | None, context: Context
) -> Generator[Event, None, StageResult]:
    """Train one stage from the stored weights of the stage before it (the key `parent`; None: from initial weights).

    Looks at val at the end and stores the result. An interrupted stage goes on from its last stored state.
    """
    stage = Stage.model_validate(planned.settings)
    device = context.machine.device
    restorer = network(run, parent, context)
    optimizer = make_optimizer(restorer, stage)
    state_file = context.store.state_file(planned.key)
    reached = load_state(state_file, restorer, optimizer)
    curve, seconds, started = list(reached.curve), reached.seconds, time.perf_counter()
    left_out = reached.left_out
    saved_at = started
    reset_peak_memory(device)

    objective = make_objective(planned.name, stage, context.registry)
    sampler = make_sampler(run, planned.name, stage, context)
    for progress in fit(restorer, optimizer, objective, sampler, stage, device, reached.step, left_out):
        curve += _curve_rows(progress)
        left_out = progress.left_out
        now = time.perf_counter()
        if now - saved_at > _SAVE_SECONDS:
            reached = Reached(progress.step, seconds + now - started, curve, left_out)
            save_state(state_file, restorer, optimizer, reached)
            saved_at = now
        yield StageProgress(run.folder, planned.key, progress)

    seconds += time.perf_counter() - started
    result = StageResult(
        name=planned.name,
        key=planned.key,
        steps=stage.steps,
        seconds=seconds,
        images_per_second=stage.steps * stage.batch / seconds,
        peak_memory_bytes=peak_memory_bytes(device),
        val=look_at_val(run, restorer, context),
        val_fingerprint=context.source(run.config, "val").fingerprint,
        steps_left_out=len(left_out),
    )
    context.store.publish(result, restorer, curve)
    yield StageFinished(run.folder, result)
    return result


def _on_val_of(run: Run, result: StageResult, context: Context) -> StageResult:
    """A stored stage's result on the val images of this run, which are not those of whoever trained it by nature."""
    fingerprint = context.source(run.config, "val").fingerprint
    if result.val_fingerprint == fingerprint:
        return result
    trained = network(run, result.key, context)
    return replace(result, val=look_at_val(run, trained, context), val_fingerprint=fingerprint)


def network(run: Run, key: str | None, context: Context) -> Restorer:
    """The row's network on the device, with the stored weights of a stage (None: those it begins with).

    Always built anew: weights that took another way than through the store could differ in memory layout, and with it
    in the last bit of what they compute.
    """
    if key is None:
        return build(run.config["model"], run.seed, context.registry).to(context.machine.device)
    restorer = build(architecture(run.config["model"]), run.seed, context.registry)
    restorer.load_state_dict(context.store.weights(key))
    return restorer.to(context.machine.device)


def make_sampler(run: Run, name: str, stage: Stage, context: Context) -> Sampler:
    """The stream of training patches of a stage."""
    augmentations = make_augmentations(stage.augment, context.registry)
    return PassSampler(context.source(run.config, "train"), run.seed, name, stage.patch, augmentations)


def look_at_val(run: Run, trained: Restorer, context: Context) -> dict[str, Summary]:
    """Scores of weights on the val images of a run."""
    restorer = network(run, None, context).eval()
    restorer.load_state_dict(trained.state_dict())
    device = context.machine.device
    scored = evaluate(lambda image: restore_image(restorer, image, device), context.source(run.config, "val"))
    return summarise(image.metrics for image in scored)


def _curve_rows(progress: Progress) -> list[CurveRow]:
    values = {
        "lr": progress.lr,
        "loss": progress.loss,
        **{f"loss.{name}": value for name, value in progress.parts.items()},
        "gradient_norm": progress.gradient_norm,
        "images_per_second": progress.images_per_second,
    }
    return [(progress.step, name, value) for name, value in values.items()]
