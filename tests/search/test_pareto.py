"""Several objectives: the front, and the trial that is picked from it."""

import dataclasses
from collections.abc import Callable

import pytest
import yaml

from benchmark.errors import BenchmarkError
from benchmark.experiment.search_settings import Tpe
from benchmark.experiment.search_space import Search
from benchmark.files import read_json
from benchmark.search.pareto import Pick, front, parse_pick, picked
from benchmark.search.search import Setup, open_trials
from benchmark.search.search_events import Outcome
from benchmark.search.trial_results import TrialResult
from reports.metrics import COSTS
from reports.metrics import metric as metric_facts

PSNR, LATENCY = metric_facts("psnr"), COSTS["latency_ms"]
SEARCH = Search(PSNR, 9, Tpe(), 0, (), objectives=(PSNR, LATENCY))


def trial(number: int, psnr: float, ms: float) -> TrialResult:
    return TrialResult(number, "done", psnr, {}, objectives={"psnr": psnr, "latency_ms": ms})


TRIALS = [
    trial(0, 30.0, 50.0),
    trial(1, 31.0, 60.0),
    trial(2, 30.9, 45.0),
    trial(3, 28.0, 20.0),
    trial(4, 28.0, 20.0),
    TrialResult(5, "rejected", None, {}),
    trial(6, 27.9, 21.0),
]


def test_the_front_is_what_no_other_beats() -> None:
    """Best psnr first; of equal trials the earlier; a trial without a value is none of it."""
    assert [result.number for result in front(TRIALS, SEARCH.objectives)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("best-quality", 1),
        ("knee", 2),
        ("under latency_ms=30", 3),
        ("under latency_ms = 59", 2),
        ("under latency_ms=1", None),
    ],
)
def test_a_trial_is_picked(text: str, number: int | None) -> None:
    """The knee is near the best in both; under a limit it is the one with the best metric; there may be none."""
    choice = picked(TRIALS, SEARCH, parse_pick(text, SEARCH))
    assert (choice.number if choice else None) == number


@pytest.mark.parametrize(
    "text", ["fastest", "under psnr=30", "under latency_ms", "under latency_ms=fast", "under size=1"]
)
def test_another_rule_is_refused(text: str) -> None:
    """With the rules there are, and an example."""
    with pytest.raises(BenchmarkError, match=r"is not knee, best-quality or .* e\.g\. --pick 'under latency_ms=50'"):
        parse_pick(text, SEARCH)


def test_one_objective_leaves_nothing_to_pick() -> None:
    """It is said, so that nobody believes that the rule was followed."""
    with pytest.raises(BenchmarkError, match="there is one objective, psnr; drop --pick"):
        parse_pick("knee", dataclasses.replace(SEARCH, objectives=()))


def run(setup: Setup) -> Outcome:
    with open_trials(setup, lambda event: None, replace=False) as trials:
        return trials.run()


def test_a_search_of_two_objectives_has_a_front(set_up: Callable[..., Setup]) -> None:
    """Of networks of three widths; best.yaml is the picked one, and says that there is no single best."""
    widths = ("protocol.coarse.lr: {choices: [1e-3, 2e-3]}", "model.backbone.width: {choices: [4, 8, 12]}")
    setup = set_up(("pruner: none", "objectives: [psnr, size_mb]"), widths, trials=5)
    outcome = run(setup)
    assert [set(result.objectives) for result in outcome.trials] == [{"psnr", "size_mb"}] * 5
    smallest = min(result.objectives["size_mb"] for result in outcome.trials)
    assert smallest in [result.objectives["size_mb"] for result in outcome.front]
    stored = read_json(setup.context.output / "search.json")
    assert stored["front"] == [result.number for result in outcome.front] and stored["pick"] == "knee"
    for pick in (Pick("under", "size_mb", smallest), Pick("best-quality")):
        best = run(dataclasses.replace(setup, pick=pick)).best
        text = (setup.context.output / "best.yaml").read_text()
        assert best and f"# Trial {best.number} of 5 trials of small, picked by {pick}: psnr" in text
        assert "there is no single best" in text
        width = yaml.safe_load(text)["model"]["backbone"]["width"]
        assert width == best.values["model.backbone.width"]
