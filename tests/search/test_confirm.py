"""The best trials with fresh seeds: a winner is proven by its interval, or none is named."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml

from benchmark.experiment.search_settings import Confirm
from benchmark.files import read_json
from benchmark.runner.events import RowFinished, StageFinished
from benchmark.search.confirm import confirm, fresh_seeds, gain_on_test
from benchmark.search.judge import DEFAULT, judge
from benchmark.search.search import Setup, open_trials
from benchmark.search.trial_results import TrialResult
from reports.schema import PlannedStage, PlanRow

SetUp = Callable[..., Setup]
MARGIN = 0.1


def plan_row(name: str, seeds: int) -> PlanRow:
    keys = {str(seed): f"{name}{seed}" for seed in range(seeds)}
    stage = PlannedStage(name="a", steps=1, keys=keys)
    return PlanRow(row=name, table=None, kind="trained", seeds=tuple(range(seeds)), stages=(stage,))


def scores(gain: float, seeds: int = 5, *, chance: int = 0) -> list[dict[str, float]]:
    """Scores of six images that differ by much more than a row gains, with a little noise of seeds."""
    noise = np.random.default_rng(chance).normal(0, 0.02, (seeds, 6))
    return [{f"image_{i}": 25 + 2 * i + gain + float(noise[seed, i]) for i in range(6)} for seed in range(seeds)]


def test_a_verdict_comes_from_the_interval() -> None:
    """A clear gain, a gain smaller than what matters, the same, and a trial that failed with a seed."""
    numbers = {"trial.1": 1, "trial.2": 2, "trial.3": 3, "trial.4": 4}
    by_row = {
        DEFAULT: scores(0),
        "trial.1": scores(0.5, chance=1),
        "trial.2": scores(0.05, chance=2),
        "trial.3": scores(-0.5, chance=3),
    }
    judged = judge(by_row, {name: plan_row(name, 5) for name in (DEFAULT, *numbers)}, numbers, MARGIN)
    assert [trial.trial for trial in judged] == [1, 2, 3, 4]
    assert [trial.verdict for trial in judged] == ["gain", "negligible gain", "loss", None]
    assert judged[0].gain and judged[0].gain.low < 0.5 < judged[0].gain.high
    assert judged[3].reason == "it has not finished with all seeds"


@pytest.mark.parametrize(
    ("by_row", "reason"),
    [
        ({"trial.1": scores(1)}, "the base row has not finished with all seeds"),
        ({DEFAULT: scores(0, 3), "trial.1": scores(1, 3, chance=1)}, "with 5 seeds none are needed"),
        ({DEFAULT: [{"a": 1.0}] * 5, "trial.1": [{"a": 2.0}] * 5}, "fewer than 2 images of val have the metric"),
    ],
)
def test_without_enough_evidence_there_is_no_verdict(by_row: dict[str, Any], reason: str) -> None:
    """The reason is told, and no winner can be named."""
    judged = judge(by_row, {name: plan_row(name, 5) for name in (DEFAULT, "trial.1")}, {"trial.1": 1}, MARGIN)
    assert judged[0].verdict is None and reason in judged[0].reason


def test_fresh_seeds_are_those_that_no_trial_had(set_up: SetUp) -> None:
    """Those of the experiment first: a later run over them finds its stages in the store."""
    search = set_up().search
    assert fresh_seeds(search, (0, 3), 4) == (3, 1, 2, 4)
    assert fresh_seeds(search, (7, 8, 9), 2) == (7, 8)


def searched(setup: Setup) -> tuple[Setup, list[TrialResult]]:
    """A finished search of three trials, of which the best is to be confirmed."""
    setup = dataclasses.replace(setup, search=dataclasses.replace(setup.search, confirm=Confirm(top=1, seeds=3)))
    with open_trials(setup, lambda event: None, replace=False) as trials:
        return setup, trials.run().trials


def test_the_best_and_the_base_row_run_again_as_ordinary_rows(set_up: SetUp) -> None:
    """Scored on val alone; with so few seeds none is proven, best.yaml says so, and the next call trains nothing."""
    setup, trials = searched(set_up(trials=3))
    events = list[Any]()
    result = confirm(setup, trials, events.append)
    assert result and result.seeds == (1, 2, 3) and result.winner is None and result.test is None
    rows = [event.record for event in events if isinstance(event, RowFinished)]
    assert sorted({row.row for row in rows}) == ["confirm/default", f"confirm/trial.{result.trials[0].trial}"]
    assert len(rows) == 6 and all(row.status == "done" and set(row.scores) == {"val"} for row in rows)
    output = setup.context.output
    assert read_json(output / "confirm.json")["winner"] is None and not (output / "confirm_test").exists()
    text = (output / "best.yaml").read_text()
    assert "NOT PROVEN: with seeds 1, 2, 3" in text and yaml.safe_load(text)["name"] == "small_best"
    again = list[Any]()
    assert confirm(setup, trials, again.append) == result and not again


@pytest.mark.slow
def test_the_winner_and_the_base_row_are_tested(set_up: SetUp) -> None:
    """With the stages that are stored; both have records with test scores."""
    setup, trials = searched(set_up(trials=3))
    result = confirm(setup, trials, lambda event: None)
    assert result
    winner = next(trial for trial in trials if trial.number == result.trials[0].trial)
    events = list[Any]()
    gain = gain_on_test(setup, winner, events.append)
    assert gain and gain.low < gain.difference < gain.high
    assert not [event for event in events if isinstance(event, StageFinished)]
    means = {
        name: np.mean([record.scores["test"]["psnr"].mean for record in rows])
        for name in ("default", f"trial.{winner.number}")
        if (rows := [e.record for e in events if isinstance(e, RowFinished) and e.record.row.endswith(f"/{name}")])
    }
    assert gain.difference == pytest.approx(means[f"trial.{winner.number}"] - means["default"], abs=1e-9)
