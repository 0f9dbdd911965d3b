"""Scales: every row with a share of its steps, as an ordinary experiment."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import ExperimentError
from benchmark.experiment.load import Experiment, load
from benchmark.experiment.rungs import folder_on_scale, on_scale
from benchmark.experiment.scales import Scale, scaled_stage, with_first_rungs
from benchmark.experiment.stage import Stage
from benchmark.registry import Registry

LONG = {
    "steps": 1000,
    "patch": 32,
    "lr": 1e-3,
    "loss": {"l1": 1.0},
    "schedule": {"warmup_steps": 100},
    "validate_every": 200,
    "ema": {"decay": 0.999},
    "output": "ema",
}


def with_scales(edited: Callable[[str, str], Path], scales: str) -> Experiment:
    return load(edited("seeds: [0]\n", f"seeds: [0]\nscales: {scales}\n"), Registry())


def test_a_rung_shortens_everything_that_is_counted_in_steps() -> None:
    """Steps, warm-up and validations shrink alike, the average forgets as fast, and the rate is multiplied."""
    short = scaled_stage(Stage.model_validate(LONG), Scale(steps="1/4", lr=1.5))
    assert (short.steps, short.schedule.warmup_steps, short.validate_every, short.lr) == (250, 25, 50, 1.5e-3)
    assert short.ema is not None and short.ema.decay == pytest.approx(0.999**4, abs=1e-6)
    least = scaled_stage(Stage.model_validate(LONG), Scale(steps="1/10000"))
    assert (least.steps, least.schedule.warmup_steps, least.validate_every) == (1, 1, 1)


def test_the_scale_of_all_steps_is_the_experiment_as_written(edited: Callable[[str, str], Path]) -> None:
    """Its rows are the same objects, so are their keys; its folder is that of the run; others lie beside it."""
    experiment = with_scales(edited, "[{steps: 1/2, lr: 2}, {}]")
    small, full = (on_scale(experiment, scale) for scale in experiment.scales)
    assert full is experiment and folder_on_scale(Path("runs/small"), experiment.scales[1]) == Path("runs/small")
    assert [stage.steps for stage in small.rows[0].recipe.stages.values()] == [2, 2]
    assert [stage.lr for stage in small.rows[0].recipe.stages.values()] == [2e-3, 2e-4]
    assert small.name == "small.steps_1_2"
    assert folder_on_scale(Path("runs/mine"), experiment.scales[0]) == Path("runs/mine.steps_1_2")
    assert small.document.data["scales"] == [{"steps": "1/2", "lr": 2.0}]


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ("[{steps: 2}]", "above 0 and at most 1"),
        ("[{steps: a third}]", "expected a share of the steps such as 1/16"),
        ("[{steps: 1/0}]", "expected a share of the steps such as 1/16"),
        ("[{steps: 1/4}, {steps: 0.25}]", "every scale needs more steps"),
        ("[{steps: 1/4}, {lr: 2}]", "leave its lr out"),
    ],
)
def test_scales_that_make_no_sense_are_refused(edited: Callable[[str, str], Path], scales: str, message: str) -> None:
    """With the place and what is allowed."""
    with pytest.raises(ExperimentError, match=message):
        with_scales(edited, scales)


def test_rungs_are_added_until_the_base_row_is_soon_there() -> None:
    """Each has a quarter of the steps of the next one and one seed; none where the first fits, none below one step."""
    scales = (Scale(steps="1/4", lr=1.5), Scale())
    assert with_first_rungs(scales, 2000, 600, 1000) == scales
    assert [rung.steps for rung in with_first_rungs(scales, 20_000, 600, 1000)] == ["1/64", "1/16", "1/4", "1"]
    *added, fourth, last = with_first_rungs(scales, 20_000, 600, 1000)
    assert [(rung.lr, rung.seeds) for rung in added] == [(1.5, 1), (1.5, 1)] and (fourth, last) == scales
    assert [rung.steps for rung in with_first_rungs(scales, 1e9, 600, 40)] == ["1/16", "1/4", "1"]
