"""Searches replayed on a recorded grid: deterministic, and what the page shows of them is what the records say."""

import sys
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from benchmark.experiment.pruner_settings import NoPruner, SuccessiveHalving
from benchmark.experiment.search_settings import Cmaes, Random, Tpe
from reports.schema import StageSteps

ROOT = Path(__file__).parents[2]
SIZES = (4, 3)
STEPS = (40, 60)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of the tool: `recorded_grid` and `replay_search`."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    for name in ("recorded_grid", "replay_search"):
        sys.modules.pop(name, None)
    import recorded_grid  # pyright: ignore[reportMissingImports]
    import replay_search  # pyright: ignore[reportMissingImports]

    return recorded_grid, replay_search


@pytest.fixture
def grid(tools: Any) -> Any:
    """Four first stages with three second stages each; (3, 1) is the best; what ends worse is worse early."""
    points = {
        (first, second): tools[0].Point(
            30 + first - abs(second - 1) / 2,
            ((32, 28.0 + first), (40, 29.0 + first), (100, 30 + first - abs(second - 1) / 2)),
            (
                StageSteps(key=f"a{first}", steps=STEPS[0], done=STEPS[0]),
                StageSteps(key=f"a{first}b{second}", steps=STEPS[1], done=STEPS[1]),
            ),
        )
        for first, second in product(*map(range, SIZES))
    }
    return tools[0].Grid({"first": SIZES[0], "second": SIZES[1]}, (1, 1), points)


@pytest.mark.parametrize("sampler", [Random(), Tpe(), Cmaes()], ids=lambda sampler: sampler.name)
def test_a_replay_is_deterministic(tools: Any, grid: Any, sampler: Any) -> None:
    """The same seed gives the same trials, another one others; the first trial is the base row."""
    first, again, other = (tools[0].replay(grid, sampler, SuccessiveHalving(), seed, 12) for seed in (0, 0, 1))
    assert first == again and first != other
    assert first[0].regret == grid.best - grid.points[1, 1].value == 2.0


def test_a_stage_counts_once_where_stages_are_shared(tools: Any, grid: Any) -> None:
    """After all combinations nothing is left to find, and the tree of stages is trained; a plain search trains more."""
    course = tools[0].replay(grid, Random(), NoPruner(), 0, 100)
    assert len(course) == 12 and course[-1].regret == 0
    assert course[-1].steps == 12 * sum(STEPS)
    assert course[-1].shared_steps == 4 * STEPS[0] + 12 * STEPS[1]


def test_a_pruned_trial_costs_the_steps_it_was_trained_for(tools: Any, grid: Any) -> None:
    """It has no value, even were it the best; what others have trained of it costs nothing where stages are shared."""
    plain, pruned = (tools[0].replay(grid, Random(), pruner, 3, 12) for pruner in (NoPruner(), SuccessiveHalving()))
    assert pruned[0] == plain[0]
    ends = {later.steps - before.steps for before, later in pairwise(pruned)}
    assert ends <= {32, 40, 100} and min(ends) < 100 and 100 in ends
    assert pruned[-1].steps < plain[-1].steps and pruned[-1].shared_steps < plain[-1].shared_steps
    assert all(trial.shared_steps <= trial.steps for trial in pruned)


def test_the_page_shows_what_the_records_say(tools: Any) -> None:
    """Figure and table are made from the records of the replay, which begin at the base row of the published grid."""
    _, tool = tools
    assert tool.main(["--check"]) == 0
    published = tools[0].read_grid(tool.GRID)
    at_base = published.best - published.points[published.base].value
    first = [record for record in tool.read_records() if (record.unit, record.at) == ("trials", 1)]
    assert {(record.sampler, record.pruner) for record in first} == set(product(tool.SAMPLERS, tool.PRUNERS))
    assert all(record.mean == record.low == record.high == pytest.approx(at_base, abs=1e-4) for record in first)


@pytest.mark.slow
def test_the_records_are_those_of_a_replay_of_the_published_grid(tools: Any) -> None:
    """Every repetition of random trials again, to the last digit."""
    _, tool = tools
    repetitions = tool.REPETITIONS["random"]
    replayed = [
        record
        for pruner in tool.PRUNERS
        for record in tool.regrets(tool.read_grid(tool.GRID), "random", pruner, repetitions)
    ]
    lines = tool.RECORDS.read_text().splitlines()
    assert tool.to_csv(replayed).splitlines() == [lines[0], *(line for line in lines if line.startswith("random,"))]
