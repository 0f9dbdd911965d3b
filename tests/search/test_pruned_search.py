"""A search that ends trials early: what it trains, what it says, what stays for others."""

import csv
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchmarkError, ExperimentError
from benchmark.files import read_json
from benchmark.runner.events import StageFinished, StagePruned
from benchmark.search.search import Setup, open_trials
from benchmark.search.search_events import Outcome
from benchmark.search.storage import default_workers
from benchmark.search.trial_results import steps_of, trial_result
from reports.schema import Failure, Record, SearchFile, StageRecord, parse

SetUp = Callable[..., Setup]
STRICT = ("pruner: none", "pruner: {name: successive_halving, reduction: 2, min_steps: 1, startup_trials: 1}")
LONGER = ("psnr: {steps: 3,", "psnr: {steps: 12, validate_every: 4,")


def search(setup: Setup) -> tuple[list[Any], Outcome]:
    events = list[Any]()
    with open_trials(setup, events.append, replace=False) as trials:
        return events, trials.run()


def trained(events: list[Any]) -> int:
    """Steps that were really trained."""
    return sum(event.steps for event in events if isinstance(event, StageFinished | StagePruned))


def settings(setup: Setup) -> SearchFile:
    return parse(SearchFile, read_json(setup.context.output / "search.json"))


@pytest.fixture(scope="module")
def pruned(search_text: str, set_up_of: SetUp, tmp_path_factory: pytest.TempPathFactory) -> tuple[Setup, Any, Outcome]:
    """A search of eight trials in which each trial must be among the better half, for reading only."""
    file = tmp_path_factory.mktemp("pruned") / "small.yaml"
    file.write_text(search_text)
    setup = set_up_of(file, STRICT, LONGER, trials=8)
    return setup, *search(setup)


def test_the_steps_trained_are_those_of_the_tree_of_stages(pruned: tuple[Setup, list[Any], Outcome]) -> None:
    """To the step: each stage once, as far as the trial that needed most of it; the rest of a plain search is saved."""
    setup, events, outcome = pruned
    furthest: dict[str, int] = {}
    for trial in settings(setup).trials:
        for stage in trial.stages:
            furthest[stage.key] = max(furthest.get(stage.key, 0), stage.done)
    steps = outcome.steps
    assert trained(events) == sum(furthest.values()) == steps.trained == settings(setup).steps.trained  # type: ignore[union-attr]
    assert steps.plain == 8 * (4 + 12)
    assert steps.shared > 0 and steps.pruned > 0
    assert sum(result.steps_trained for result in outcome.trials) == steps.trained


def test_a_stage_that_was_trained_to_its_end_counts_as_a_whole(set_up: SetUp) -> None:
    """One of several workers may finish a stage before the result is there that ends its trial at an earlier step."""
    setup = set_up()
    row = setup.plan(0, {}).rows[0]
    first, second = row.stages
    finished = [StageRecord(name=s.name, key=s.key, reused=s is first, steps=s.steps, val={}) for s in row.stages]
    record = Record(
        experiment="small",
        row=row.row,
        tables=(),
        seed=0,
        status="rejected",
        config={},
        config_hash="x",
        provenance={"seconds": 1.0},
        stages=tuple(finished),
        error=Failure(message="pruned", stage=first.name, step=first.steps - 1),
    )
    result = trial_result(0, {}, setup.search, row, record, 0)
    assert result.status == "pruned" and [stage.done for stage in result.stages] == [first.steps - 1, second.steps]
    assert steps_of([result]).trained == result.steps_trained + first.steps - 1


def test_a_pruned_trial_says_at_which_step_and_against_what(pruned: tuple[Setup, list[Any], Outcome]) -> None:
    """In the table, and in a record with the stages that it had finished; the base row is never pruned."""
    setup, _, outcome = pruned
    results = [result for result in outcome.trials if result.status == "pruned"]
    assert results and outcome.trials[0].status == "done"
    assert {result.status for result in outcome.trials} == {"done", "pruned"}
    for result in results:
        form = r"pruned at step (\d+) of 16: psnr \S+ is not among the best \d of \d trials at rung \d .* of trial\.\d"
        match = re.fullmatch(form, result.message)
        assert match, result.message
        assert sum(stage.done for stage in result.stages) == int(match[1]) < 16
        record = read_json(setup.context.output / f"trial.{result.number}/seed0/record.json")
        assert record["status"] == "rejected" and len(record["stages"]) == 1 and not record["scores"]
    rows = csv.DictReader((setup.context.output / "trials.csv").read_text().splitlines())
    assert [row["status"] for row in rows] == [result.status for result in outcome.trials]


def test_what_a_pruned_trial_has_finished_stays_in_the_store(pruned: tuple[Setup, list[Any], Outcome]) -> None:
    """A trial that begins alike needs not train it again; of the unfinished stage the train state stays."""
    setup, _, outcome = pruned
    store = setup.context.store
    for result in outcome.trials:
        for stage in result.stages:
            assert (store.finished(stage.key) is not None) == (stage.done == stage.steps)
            assert store.state_file(stage.key).exists() == (0 < stage.done < stage.steps)


def test_a_pruned_trial_is_a_result(pruned: tuple[Setup, list[Any], Outcome]) -> None:
    """The next call has nothing to do, and search.json has what each trial reached on its way."""
    setup, _, outcome = pruned
    events, again = search(setup)
    assert not trained(events) and again.trials == outcome.trials
    for result, stored in zip(outcome.trials, settings(setup).trials, strict=True):
        steps = [step for step, _ in stored.validations]
        assert steps == sorted(steps) and set(steps) <= {4, 8, 12, 13, 16}
        assert result.status == "done" or steps[-1] == sum(stage.done for stage in result.stages)


@pytest.mark.slow
def test_two_workers_prune_and_count_alike(set_up: SetUp) -> None:
    """The steps are those of the tree here, too, whichever trial ended first."""
    setup = set_up(STRICT, LONGER, trials=8, workers=2)
    events, outcome = search(setup)
    assert trained(events) == outcome.steps.trained
    assert {result.status for result in outcome.trials} <= {"done", "pruned"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pruner: hyperbend", "search.pruner: no pruner 'hyperbend'; did you mean 'hyperband'?"),
        ("pruner: {name: median, p: 0.1}", "p"),
        ("metric: texture\n  pruner: median", "search.pruner: median does not suit texture, which is best at 1"),
        ("objectives: [psnr, size_mb]\n  pruner: median", "search.pruner: median compares one value"),
        ("objectives: [size_mb, macs]", "search.objectives: are costs alone"),
        ("objectives: [psnr, psnr]", "search.objectives: one is given twice"),
        ("objectives: [psnr, size_mb]\n  metric: psnr", "search.objectives: and search.metric exclude each other"),
        ("objectives: [psnr, size_mb]\n  confirm: {}", "search.confirm: names one winner"),
        ("objectives: [psnr, size_mb]\n  sampler: cmaes", "search.sampler: cmaes knows one objective"),
    ],
)
def test_what_cannot_be_is_refused(set_up: SetUp, text: str, message: str) -> None:
    """With the line of the file, the reason and a way out."""
    with pytest.raises(ExperimentError, match=r"small\.yaml:\d+: search") as error:
        set_up(("pruner: none", text))
    assert message in str(error.value)


def test_one_objective_is_pruned_unless_the_file_says_otherwise(set_up: SetUp) -> None:
    """By successive halving; a metric that is best at 1 cannot be, and several objectives cannot."""
    assert set_up(("  pruner: none\n", "")).search.pruner.name == "successive_halving"
    assert set_up(("search:\n", "search:\n  metric: texture\n")).search.pruner.name == "none"


def test_sqlite_holds_a_study_for_one_worker(set_up: SetUp) -> None:
    """The same trials as in a journal, and the next call finds them; two workers are refused with the reason."""
    journal = set_up(trials=2)
    _, expected = search(journal)
    context = dataclasses.replace(journal.context, output=journal.context.output.parent / "sqlite")
    setup = Setup(journal.experiment, journal.search, context, str(context.output / "study.db"), 1)
    _, outcome = search(setup)
    assert [result.values for result in outcome.trials] == [result.values for result in expected.trials]
    assert not search(setup)[0]
    assert default_workers(setup.storage, None) == 1
    with pytest.raises(BenchmarkError, match="SQLite locks the whole file for each entry, so it is for one worker"):
        default_workers(setup.storage, 2)
    Path(setup.storage).write_text("trial,value\n" * 9)
    with pytest.raises(BenchmarkError, match=r"study\.db: not an SQLite file"):
        search(setup)
