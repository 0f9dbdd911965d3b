"""The section `scales`: rungs, on which every row is trained with a share of its steps before it gets all of them."""

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, WithJsonSchema, field_validator

from benchmark.experiment.stage import Average, Count, Settings, Stage

Promotion = Literal["all", "undecided", "front"]
_SHARE = re.compile(r"\d{1,9}(\.\d{1,9})?|\d{1,9}/\d{1,9}", re.ASCII)
_STEP_DOWN = 4
"""An added rung has this many times fewer steps than the next one."""


class Scale(Settings):
    """A rung: all rows with a share of their steps, their warm-up and schedule shortened alike."""

    steps: Annotated[
        str, WithJsonSchema({"type": ["number", "string"], "pattern": r"^\d+(\.\d+)?$|^\d+/\d+$", "default": "1"})
    ] = Field(default="1", description="share of the steps of every stage, e.g. 1/16")
    lr: PositiveFloat = Field(default=1.0, description="every learning rate is multiplied by it")
    seeds: Count | None = Field(default=None, description="how many of the seeds, from the first; null: all")

    @field_validator("steps", mode="before")
    @classmethod
    def _check_share(cls, value: Any) -> str:
        """Return the share as a reduced fraction, so that 0.25 and 1/4 are the same."""
        text = str(value).replace(" ", "")
        if isinstance(value, bool) or not _SHARE.fullmatch(text) or re.search(r"/0+$", text):
            raise ValueError("expected a share of the steps such as 1/16 or 0.25")
        if not 0 < (share := Fraction(text)) <= 1:
            raise ValueError("expected a share above 0 and at most 1")
        return str(share)

    @property
    def share(self) -> Fraction:
        """Share of the steps."""
        return Fraction(self.steps)

    @property
    def is_full(self) -> bool:
        """Whether it is the experiment as it is written."""
        return self.share == 1


def check_scales(scales: Sequence[Scale]) -> None:
    """Raise ValueError where a rung is no larger than the one before, or a full one changes the learning rate."""
    for before, scale in pairwise(scales):
        if scale.share <= before.share:
            raise ValueError(f"steps: {scale.steps} follows {before.steps}; every scale needs more steps than the last")
    if any(scale.is_full and scale.lr != 1 for scale in scales):
        raise ValueError("a scale of all steps is the experiment as it is written: leave its lr out, write {}")


def scaled_stage(stage: Stage, scale: Scale) -> Stage:
    """Return a stage with a share of its steps, at least one.

    Warm-up, the distance of validations and the memory of the running average shrink with the steps; a schedule is a
    function of the share of the steps that are done, and needs no change.
    """
    if scale.is_full:
        return stage
    warmup, every = stage.schedule.warmup_steps, stage.validate_every
    changes = {
        "steps": scaled_count(stage.steps, scale.share),
        "lr": float(f"{stage.lr * scale.lr:.6g}"),
        "schedule": stage.schedule.model_copy(
            update={"warmup_steps": scaled_count(warmup, scale.share) if warmup else 0}
        ),
        "validate_every": scaled_count(every, scale.share) if every else None,
        "ema": Average(decay=float(f"{stage.ema.decay ** (1 / float(scale.share)):.6g}"), warmup=stage.ema.warmup)
        if stage.ema
        else None,
    }
    return stage.model_copy(update=changes)


def scaled_count(count: int, share: Fraction) -> int:
    """Return a share of a count, rounded, at least one."""
    return max(1, round(count * share))


def with_first_rungs(scales: Sequence[Scale], seconds: float, limit: float, most_steps: int) -> tuple[Scale, ...]:
    """Return the scales with smaller rungs of one seed in front, until the base row fits a limit on the first one.

    Args:
        scales: As written, at least one.
        seconds: What all steps of the base row take, with one seed.
        limit: What they may take on the first rung, in seconds.
        most_steps: Steps of its longest stage: a rung below one step of it would train nothing less.
    """
    rungs = list(scales)
    while seconds * rungs[0].share > limit and most_steps * rungs[0].share >= _STEP_DOWN:
        rungs.insert(0, rungs[0].model_copy(update={"steps": str(rungs[0].share / _STEP_DOWN), "seeds": 1}))
    return tuple(rungs)
