"""The learning rate as a pure function of the step, so that a resumed stage cannot get it wrong."""

import math

from benchmark.experiment.schema import Stage


def lr_at(stage: Stage, step: int) -> float:
    """Learning rate of step 1..`stage.steps`: linear warm-up to `lr`, then cosine to `final_share * lr`, or constant.

    Cosine annealing without restarts: Loshchilov & Hutter, SGDR, ICLR 2017, equation 5.
    """
    schedule = stage.schedule
    if step <= schedule.warmup_steps:
        return stage.lr * step / schedule.warmup_steps
    if schedule.name == "constant":
        return stage.lr
    done = (step - schedule.warmup_steps) / max(stage.steps - schedule.warmup_steps, 1)
    share = schedule.final_share + (1 - schedule.final_share) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
    return stage.lr * share
