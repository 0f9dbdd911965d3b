"""The learning rate as a pure function of the step, so that a resumed stage cannot get it wrong."""

import math

from benchmark.experiment.stage import Schedule, Stage


def lr_at(stage: Stage, step: int) -> float:
    """Learning rate of step 1..`stage.steps`: linear warm-up to `lr`, then as the schedule's name says.

    Cosine annealing without restarts: Loshchilov & Hutter, SGDR, ICLR 2017, equation 5.
    """
    schedule = stage.schedule
    if step <= schedule.warmup_steps:
        return stage.lr * step / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / max(stage.steps - schedule.warmup_steps, 1)
    return stage.lr * _share(schedule, min(done, 1.0))


def _share(schedule: Schedule, done: float) -> float:
    """Share of the full rate after `done` (0 to 1) of the steps that follow the warm-up."""
    final = schedule.final_share
    match schedule.name:
        case "constant":
            return 1.0
        case "cosine":
            return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
        case "linear":
            return final + (1 - final) * (1 - done)
        case "polynomial":
            return final + (1 - final) * (1 - done) ** schedule.power
        case "exponential":
            return final**done
        case "step":
            return schedule.factor ** sum(done > milestone for milestone in schedule.milestones)
