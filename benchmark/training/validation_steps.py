"""The steps of a stage at which val is looked at before its end."""

from benchmark.experiment.stage import Stage


def late_step(stage: Stage) -> int | None:
    """Four fifths of the stage: what is gained after it tells whether the row is still learning. None: too short."""
    return stage.steps * 4 // 5 if stage.steps >= 5 else None


def look_steps(stage: Stage) -> frozenset[int]:
    """Every `validate_every` steps, at four fifths, and for `output: best` at the last step."""
    every = stage.validate_every or stage.steps
    late = late_step(stage)
    regular = range(every, stage.steps, every)
    return frozenset([*regular, *([late] if late else []), *([stage.steps] if stage.output == "best" else [])])
