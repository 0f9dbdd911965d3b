"""The training loop of one stage: its steps, what happens to steps that are not finite, and progress reports."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmark.data.sampling import Sampler
from benchmark.errors import RowError
from benchmark.experiment.stage import Stage, validation_steps
from benchmark.training.batch_norm import over_ranks
from benchmark.training.batches import HostBatch, batch_maker, host_batches
from benchmark.training.distributed import ALONE, Ranks
from benchmark.training.objective import Objective
from benchmark.training.quantiser import with_quantiser
from benchmark.training.step import train_step
from benchmark.training.train_state import TrainState, lr_at, set_memory_format

REPORT_STEPS = 10
"""Steps between two reports. Losses are read from the device only then, so the loop never waits for the device."""

MAX_SKIPPED_STEPS = 3
"""Steps of a stage that may be skipped because loss or gradient is not finite; one more ends the stage."""

_MIN_LOSS_SCALE = 2.0**-10
"""In float16 the scale of the loss starts at 2^16, and each step that overflows halves it."""


class DivergedError(RowError):
    """The loss or a gradient is no longer a finite number."""

    def __init__(self, message: str, stage: str, step: int) -> None:
        super().__init__(message)
        self.stage = stage
        self.step = step


@dataclass(frozen=True)
class Progress:
    """Where a stage stands after `step` steps.

    Losses and norms are means over the steps since the previous report, NaN where all of these were skipped.
    """

    stage: str
    step: int
    steps: int
    lr: float
    loss: float
    parts: dict[str, float]
    """Each loss by itself, before its weight, by name."""
    gradient_norm: float
    """Of all weights together, before clipping."""
    images_per_second: float
    skipped_steps: tuple[int, ...]
    """All steps of the stage so far that were undone because loss or gradient were not finite."""


def train(
    state: TrainState,
    objective: Objective,
    sampler: Sampler,
    stage: Stage,
    device: torch.device,
    done: int = 0,
    skipped_steps: tuple[int, ...] = (),
    is_stopping: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], object] = lambda progress: None,
    ranks: Ranks = ALONE,
) -> None:
    """Train in place from step `done + 1` to `stage.steps`.

    Every batch, augmentation and learning rate is a pure function of (seed, stage, step), so a stage that is resumed
    from a checkpoint ends with the same bits as one that was never interrupted.

    Args:
        state: What is trained.
        objective: The weighted losses.
        sampler: The stream of training patches, with the seed and the stage's name.
        stage: Settings of the stage.
        device: Where `state` is.
        done: Steps that `state` has already seen.
        skipped_steps: The steps up to `done` that were skipped.
        is_stopping: Asked after every step and report; once it is true in any rank, training reports and returns.
        on_progress: Called with a report every `REPORT_STEPS` steps, at every validation step and after the last step.
            `state` is then that of exactly `Progress.step` steps, so the callback may store it.
        ranks: The processes that train together; all of them call this, each for its share of every batch.

    Raises:
        DivergedError: Loss or gradients are not finite and skipping steps does not help (see `SkipNonFinite`).
    """
    memory_format = set_memory_format(state.restorer, stage)
    restorer = with_quantiser(state.restorer) if stage.quantiser else state.restorer
    network = over_ranks(restorer, ranks, device, compile=stage.compile is True)
    run_step = partial(train_step, state, network, objective, sampler, stage, memory_format, ranks)
    policy = SkipNonFinite(state, run_step, sampler.stage, skipped_steps, ranks)
    steps, validations = range(done + 1, stage.steps + 1), validation_steps(stage)
    started, reported = time.perf_counter(), done
    maker = batch_maker(device)
    with closing(host_batches(sampler, steps, stage.batch, ranks, stage.accumulate, maker)) as batches:
        for step, host_batch in zip(steps, batches, strict=True):
            policy.note(step, host_batch, run_step(step, host_batch))
            is_last = ranks.any(is_stopping()) or step == stage.steps
            if step % REPORT_STEPS == 0 or step in validations or is_last:
                mean = policy.finish_interval().mean(0).tolist()  # NaN where no step is left
                seconds = time.perf_counter() - started
                progress = Progress(
                    stage=sampler.stage,
                    step=step,
                    steps=stage.steps,
                    lr=lr_at(stage, step),
                    loss=mean[0],
                    parts=dict(zip(objective.names, mean[2:], strict=True)),
                    gradient_norm=mean[1],
                    images_per_second=(step - reported) * stage.batch / seconds,
                    skipped_steps=policy.skipped_steps,
                )
                on_progress(progress)
                if is_last or ranks.any(is_stopping()):  # what is done with a report may end the stage, at this step
                    return
                policy.start_interval()
                started, reported = time.perf_counter(), step


class SkipNonFinite:
    """Keeps the steps between two reports, and skips those whose loss or gradient is not finite.

    A step that is not finite is found at the end of the interval, when the losses are read from the device. Then the
    train state goes back to the snapshot from the start of the interval, and the other steps of the interval run
    again. The stage ends with DivergedError if the step after a skipped one is not finite either, for then the weights
    are the cause and not the batch, and if more than `MAX_SKIPPED_STEPS` steps would be skipped.
    """

    def __init__(
        self,
        state: TrainState,
        run_step: Callable[[int, HostBatch], Tensor],
        stage: str,
        skipped_steps: tuple[int, ...] = (),
        ranks: Ranks = ALONE,
    ) -> None:
        """Start an interval.

        Args:
            state: What `run_step` changes.
            run_step: Runs a step again; returns loss, gradient norm and other losses, on the device.
            stage: Name of the stage, for messages.
            skipped_steps: The steps of the stage that were skipped before.
            ranks: The processes that train together; what is not finite in one of them is skipped in all.
        """
        self.skipped_steps = skipped_steps
        self._ranks = ranks
        self._state, self._run_step, self._stage = state, run_step, stage
        self.start_interval()

    def start_interval(self) -> None:
        """Take the snapshot that a rollback goes to."""
        self._snapshot = self._state.snapshot()
        self._interval: list[tuple[int, HostBatch]] = []
        self._values: list[Tensor] = []

    def note(self, step: int, batch: HostBatch, values: Tensor) -> None:
        """Note what a step gave; whether it was finite is not known before the end of the interval."""
        self._interval.append((step, batch))
        self._values.append(values)

    def finish_interval(self) -> Tensor:
        """Return what the steps of the interval gave, `steps values` on the CPU, after skipping those not finite.

        Raises:
            DivergedError: See the class; also if gradients overflow float16 however small the loss is scaled.
        """
        last_step = self._interval[-1][0]
        values = self._ranks.mean(torch.stack(self._values)).cpu()
        while not values.isfinite().all():
            bad = int((~values.isfinite()).any(1).nonzero()[0, 0])
            step, batch = self._interval[bad]
            if step - 1 in self.skipped_steps or len(self.skipped_steps) == MAX_SKIPPED_STEPS:
                raise self._diverged(step, batch, values[bad])
            self._state.restore(self._snapshot)
            del self._interval[bad]
            self.skipped_steps = (*self.skipped_steps, step)
            replayed = [self._run_step(*item) for item in self._interval]
            values = self._ranks.mean(torch.stack(replayed)).cpu() if replayed else values[:0]
        scaler = self._state.scaler
        if scaler.is_enabled() and scaler.get_scale() < _MIN_LOSS_SCALE:
            problem = "gradients overflow float16 at any scale; use precision bfloat16"
            raise DivergedError(f"stage {self._stage!r}, step {last_step}: {problem}", self._stage, last_step)
        return values

    def _diverged(self, step: int, batch: HostBatch, values: Tensor) -> DivergedError:
        quantity, value = ("gradient norm", values[1]) if values[0].isfinite() else ("loss", values[0])
        earlier = f"; skipped before: step {', '.join(map(str, self.skipped_steps))}" if self.skipped_steps else ""
        names = [name for share in self._ranks.gather(batch.names) for name in share]
        message = (
            f"stage {self._stage!r}, step {step}: the {quantity} is {value.item()} "
            f"(batch: {', '.join(names)}){earlier}; lower lr or set clip_norm"
        )
        return DivergedError(message, self._stage, step)


def is_deterministic(
    state: TrainState,
    objective: Objective,
    sampler: Sampler,
    stage: Stage,
    device: torch.device,
    ranks: Ranks = ALONE,
) -> bool:
    """Return whether the first step of a stage gives the same bits twice; the train state stays as it was.

    The CPU always does. On a GPU, kernels that add in any order (scattered sums, some convolutions and paddings in the
    backward pass) may not, and one step is enough to see it.
    """
    one_step = stage.model_copy(update={"steps": 1, "compile": False})
    before, ends = state.snapshot(), list[dict[str, Tensor]]()
    for _ in range(2):
        train(state, objective, sampler, one_step, device, ranks=ranks)
        ends.append({name: value.clone() for name, value in state.restorer.state_dict().items()})
        state.restore(before)
    return all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
