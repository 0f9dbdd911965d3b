"""A search on real files: trials are rows, what is shared is trained once, what fails a gate is not trained."""

import csv
import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.errors import BenchmarkError, ExperimentError
from benchmark.experiment.document import Document, merge
from benchmark.files import read_json
from benchmark.runner.events import RowFinished, StageFinished, StageProgress, StageReused
from benchmark.search.search import Setup, open_trials
from benchmark.search.search_events import Outcome, SearchStarted, TrialFinished
from benchmark.search.study import open_study
from benchmark.search.trial_files import override_to
from reports.schema import Record, parse

SetUp = Callable[..., Setup]
WIDTH = ("protocol.coarse.lr: {choices: [1e-3, 2e-3]}", "model.backbone.width: {choices: [4, 16]}")
WIDE_IS_TOO_LARGE = ("size: {limit_bytes: 10_000_000}", "size: {limit_bytes: 20_000}")


def search(setup: Setup, *, replace: bool = False, until: int = 99) -> tuple[list[Any], Outcome | None]:
    """All events of a search and its outcome; interrupts it in training, after `until` trials have finished."""
    events, finished = list[Any](), 0

    def on_event(event: Any) -> None:
        nonlocal finished
        events.append(event)
        finished += isinstance(event, TrialFinished)
        if finished == until and isinstance(event, StageProgress):
            raise KeyboardInterrupt

    try:
        with open_trials(setup, on_event, replace=replace) as trials:
            return events, trials.run()
    except KeyboardInterrupt:
        return events, None


def keys(events: list[Any], kind: type) -> list[str]:
    return [event.result.key for event in events if isinstance(event, kind)]


def trials_csv(setup: Setup) -> list[dict[str, str]]:
    return list(csv.DictReader((setup.context.output / "trials.csv").read_text().splitlines()))


Finished = tuple[Setup, list[Any], Outcome]


@pytest.fixture(scope="module")
def finished(search_text: str, set_up_of: SetUp, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A search of six trials, for reading only: what it was given, its events and its outcome."""
    file = tmp_path_factory.mktemp("finished") / "small.yaml"
    file.write_text(search_text)
    setup = set_up_of(file, trials=6)
    events, outcome = search(setup)
    assert outcome
    return setup, events, outcome


def test_the_folder_of_another_search_is_refused(set_up: SetUp) -> None:
    """A new study would number its trials from 0 again and overwrite records, so nothing is trained."""
    setup = set_up()
    setup.context.output.mkdir(parents=True)
    (setup.context.output / "search.json").write_text("{}")
    with pytest.raises(BenchmarkError, match=r"small: holds the trials of another search.*choose another --output"):
        search(setup)
    assert not list(setup.context.output.glob("trial.*"))


def test_trials_are_rows_with_records(finished: Finished) -> None:
    """Each has the record of a row that reports can read, with config, gates and curves, but scores on val alone."""
    setup, _, outcome = finished
    assert [result.status for result in outcome.trials] == ["done"] * 6
    for result in outcome.trials:
        folder = setup.context.output / f"trial.{result.number}/seed0"
        data = read_json(folder / "record.json")
        record = parse(Record, data)
        assert (record.row, record.tables, record.seed, record.status) == (
            f"trial.{result.number}",
            ("trial",),
            0,
            "done",
        )
        assert set(record.scores) == {"val"} and record.scores["val"]["psnr"].mean == result.value
        assert data["config"]["protocol"]["psnr"]["lr"] == result.values["protocol.psnr.lr"]
        assert [gate.result for gate in record.gates] == ["passed", "not_measured"]
        assert sorted(file.name for file in folder.iterdir()) == ["curve.csv", "record.json"]


def test_the_first_trial_is_the_base_row(finished: Finished) -> None:
    """It has the recipe of the base row, so an ordinary run finds all its stages in the store."""
    setup = finished[0]
    record = read_json(setup.context.output / "trial.0/seed0/record.json")
    file = setup.context.output.parent.parent / "small.yaml"
    plan = prepare(Selection(file, None, ("base",), (), (), "cpu", (), replace=False)).plan
    assert record["config"] == plan.rows[0].recipe.config
    assert [stage.key for stage in plan.rows[0].stages] == [stage["key"] for stage in record["stages"]]


def test_no_stage_is_trained_twice(finished: Finished) -> None:
    """Trials that choose the same first stage train it once; the number of steps says what that saved."""
    _, events, outcome = finished
    trained, reused = keys(events, StageFinished), keys(events, StageReused)
    assert len(trained) == len(set(trained)) == 8  # at most two first stages, and six second ones
    assert len(reused) == 4
    assert sum(result.steps_trained for result in outcome.trials) == 2 * 4 + 6 * 3
    assert sum(result.steps_reused for result in outcome.trials) == 4 * 4
    started = next(event for event in events if isinstance(event, SearchStarted))
    assert (started.todo, started.total, started.workers) == (6, 6, 1) and started.at_most_seconds > 0


def test_test_images_are_not_read(set_up: SetUp, pairs: Path, tmp_path: Path) -> None:
    """A search ends well although no image of test can be read."""
    for name in ("degraded", "target"):
        for file in (pairs / "test" / name).iterdir():
            (tmp_path / "broken" / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / "broken" / name / file.name).write_bytes(b"no image")
    _, outcome = search(set_up((f"{pairs}/test", f"{tmp_path}/broken"), trials=2))
    assert outcome and [result.status for result in outcome.trials] == ["done", "done"]


def test_a_gate_that_fails_keeps_a_trial_from_being_trained(set_up: SetUp) -> None:
    """It is recorded as rejected, the study knows by how much, and the best is one that passes."""
    setup = set_up(WIDTH, WIDE_IS_TOO_LARGE, trials=6)
    events, outcome = search(setup)
    assert outcome and not outcome.failed
    rejected = [result for result in outcome.trials if result.values["model.backbone.width"] == 16]
    assert rejected
    for result in outcome.trials:
        assert result.status == ("rejected" if result in rejected else "done")
        record = read_json(setup.context.output / f"trial.{result.number}/seed0/record.json")
        assert record["status"] == result.status and bool(record["stages"]) == (result not in rejected)
    assert "not trained: fails gate size: failed" in rejected[0].message
    with open_study(setup.storage, "small", setup.search, _identity(setup), replace=False) as study:
        for trial, result in zip(study.trials, outcome.trials, strict=True):
            assert (trial.constraints["size"] > 0) == (result in rejected)
        assert study.best_trial.params["model.backbone.width"] == 4
    assert len([event for event in events if isinstance(event, TrialFinished)]) == 6


@pytest.mark.slow
def test_latencies_are_scaled_to_one_time_of_the_reference_network(set_up: SetUp) -> None:
    """That of the begin of the study, also after an interruption: a busy machine does not choose the winner."""
    here = ("latency: {limit_ms: 50, device: V100, image: [64, 64]}", "latency: {limit_ms: 5000, image: [64, 64]}")
    setup = set_up(WIDTH, here, trials=2)
    search(setup)
    search(dataclasses.replace(setup, search=dataclasses.replace(setup.search, trials=3)))
    with open_study(setup.storage, "small", setup.search, _identity(setup), replace=False) as study:
        quiet_ms = study.user_attrs["quiet_reference_ms"]
    for number in range(3):
        record = read_json(setup.context.output / f"trial.{number}/seed0/record.json")
        latency = next(gate for gate in record["gates"] if gate["quantity"] == "latency")
        assert latency["result"] == "passed" and latency["protocol"]["scaled_to_reference_ms"] == quiet_ms


def _identity(setup: Setup) -> str:
    """What the journal says, so that a test may open it."""
    lines = [json.loads(line) for line in Path(setup.storage).read_text().splitlines()]
    return next(line["user_attr"]["identity"] for line in lines if "identity" in line.get("user_attr", {}))


def test_a_gate_that_no_trial_can_pass_is_told_at_once(set_up: SetUp) -> None:
    """If nothing below model varies, the base row's network is that of all trials."""
    setup = set_up((WIDE_IS_TOO_LARGE[0], "size: {limit_bytes: 100}"))
    with pytest.raises(BenchmarkError, match=r"base row: fails gate size: failed .* and so would every trial"):
        search(setup)
    assert not list(setup.context.output.rglob("record.json"))


def test_a_value_that_makes_no_trial_is_told_at_once(set_up: SetUp) -> None:
    """Here a loss that needs larger patches, which its stage would find when it starts."""
    choice = "protocol.psnr.loss.ms_ssim: {choices: [null, 1.0]}"
    setup = set_up(("protocol.coarse.lr: {choices: [1e-3, 2e-3]}", choice))
    with pytest.raises(ExperimentError, match="needs patches of at least"):
        search(setup)


@pytest.mark.slow
def test_a_trial_that_diverges_is_a_result(set_up: SetUp) -> None:
    """The others go on, those that share the diverged stage are not tried, the next call does not try them again."""
    setup = set_up(("choices: [1e-3, 2e-3]", "choices: [1e-3, 1e30]"), trials=7)
    events, outcome = search(setup)
    assert outcome and not outcome.failed
    diverged = [result for result in outcome.trials if result.values["protocol.coarse.lr"] == 1e30]
    assert len(diverged) >= 2
    assert {result.status for result in diverged} == {"diverged"}
    assert {result.status for result in outcome.trials if result not in diverged} == {"done"}
    assert all("shares a stage that failed in trial." in result.message for result in diverged[1:])
    assert len(keys(events, StageFinished)) == 1 + 7 - len(diverged)
    assert not search(setup)[0]


def test_a_finished_search_does_nothing_until_more_trials_are_wanted(set_up: SetUp) -> None:
    """`--trials` counts those finished before."""
    setup = set_up()
    search(setup)
    before = trials_csv(setup)
    events, outcome = search(setup)
    assert not events and outcome and len(outcome.trials) == 4
    search(dataclasses.replace(setup, search=dataclasses.replace(setup.search, trials=6)))
    assert trials_csv(setup)[:4] == before
    assert len(trials_csv(setup)) == 6


FINITE = ("protocol.psnr.lr: {low: 1e-5, high: 1e-3, log: true}", "protocol.coarse.batch: {choices: [2, 3]}")
HALVED = ("protocol.coarse.lr: {choices: [1e-3, 2e-3]}", "protocol.coarse.accumulate: {choices: [1, 2]}")


@pytest.mark.slow
def test_settings_that_fit_no_row_are_a_result(set_up: SetUp) -> None:
    """Three patches cannot be halved. All four settings are asked for once, and the next call has nothing to do."""
    setup = set_up(FINITE, HALVED, trials=9)
    events, outcome = search(setup)
    assert outcome and not outcome.failed
    tried = {tuple(result.values.values()): result.status for result in outcome.trials}
    assert tried == {(1, 2): "done", (1, 3): "done", (2, 2): "done", (2, 3): "rejected"}
    assert len(outcome.trials) == 4
    assert next(event for event in events if isinstance(event, SearchStarted)).total == 4
    assert [event.done for event in events if isinstance(event, TrialFinished)] == [1, 2, 3, 4]
    assert not search(setup)[0]


def test_an_interrupted_search_goes_on(set_up: SetUp) -> None:
    """Finished trials stay, the one that ran is tried again with its parameters, and then all are there."""
    setup = set_up()
    events, outcome = search(setup, until=2)
    assert outcome is None
    before = trials_csv(setup)
    events, outcome = search(setup)
    after = trials_csv(setup)
    assert outcome and after[:2] == before
    assert [row["status"] for row in after] == ["done", "done", "interrupted", "done", "done"]
    columns = ("protocol.coarse.lr", "protocol.psnr.lr")
    assert [after[2][column] for column in columns] == [after[3][column] for column in columns]
    assert len(keys(events, StageFinished)) <= 4


def test_the_best_is_an_experiment_that_runs(
    set_up: SetUp, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its base row is the best trial, with no stage left to train for the search's seed; the default is beside it.

    Folders relative to the experiment are found from where it lies.
    """
    setup = set_up(("seeds: [0]", "seeds: [0, 3]"), (str(pairs), os.path.relpath(pairs, tmp_path)), trials=6)
    _, outcome = search(setup)
    assert outcome
    best = max(outcome.trials, key=lambda result: (result.value or 0.0, -result.number))
    assert best.number > 0
    monkeypatch.chdir(tmp_path)
    plan = prepare(Selection(Path("runs/small/best.yaml"), None, (), (), (), "cpu", (), replace=False)).plan
    assert (plan.experiment.name, plan.experiment.seeds) == ("small_best", (0, 3))
    config = read_json(setup.context.output / f"trial.{best.number}/seed0/record.json")["config"]
    assert [row.name for row in plan.experiment.rows] == ["base", "search.default"]
    # Folders are relative to another file; the keys of the stored stages below say that they hold the same images.
    assert {**plan.rows[0].recipe.config, "data": None} == {**config, "data": None}
    default, base = plan.experiment.rows[1].recipe.config, setup.experiment.rows[0].recipe.config
    assert {**default, "data": None} == {**base, "data": None}
    stored = {
        row.seed: [setup.context.store.finished(stage.key) is not None for stage in row.stages] for row in plan.rows
    }
    assert stored == {0: [True, True], 3: [False, False]}


@pytest.mark.slow
def test_a_metric_that_is_best_low_is_minimised(set_up: SetUp) -> None:
    """The best trial by harm is the one that does the least."""
    setup = set_up(("search:\n", "search:\n  metric: harm\n"))
    events, outcome = search(setup)
    assert outcome
    last = [event for event in events if isinstance(event, TrialFinished)][-1]
    assert last.best and last.best.value == min(result.value or 0.0 for result in outcome.trials)


@pytest.mark.slow
def test_importances_need_twenty_trials(set_up: SetUp) -> None:
    """Their shares sum to 1, each within its interval; with fewer trials there are none."""
    setup = set_up(trials=19)
    _, few = search(setup)
    assert few and few.importances == ()
    _, enough = search(dataclasses.replace(setup, search=dataclasses.replace(setup.search, trials=20)))
    assert enough and {entry.path for entry in enough.importances} == {"protocol.coarse.lr", "protocol.psnr.lr"}
    assert sum(entry.share for entry in enough.importances) == pytest.approx(1.0)
    assert all(0 <= entry.low <= entry.high <= 1 and entry.low < entry.high for entry in enough.importances)


@pytest.mark.slow
def test_trials_side_by_side_share_what_one_after_the_other_do(set_up: SetUp) -> None:
    """With two processes no stage is trained twice, either, and the first trial has the same value to the bit."""
    alone = search(set_up())[1]
    setup = set_up()
    two = dataclasses.replace(setup, workers=2, storage=Path(setup.storage).with_name("two.journal"))
    machine = dataclasses.replace(setup.context.machine, threads=2)
    context = dataclasses.replace(setup.context, machine=machine, output=setup.context.output.with_name("two"))
    for record in setup.context.store.root.glob("*/meta.json"):
        record.unlink()
    events, together = search(dataclasses.replace(two, context=context))
    assert alone and together
    assert together.trials[0].value == alone.trials[0].value
    trained = keys(events, StageFinished)
    assert len(trained) == len(set(trained))
    assert [result.status for result in together.trials] == ["done"] * 4


def test_results_say_what_they_are(finished: Finished) -> None:
    """The events name the trial's folder, what came out, the best so far and how many are done."""
    _, events, _ = finished
    results = [event for event in events if isinstance(event, TrialFinished)]
    assert [(event.folder, event.done, event.total) for event in results] == [
        (f"trial.{number}/seed0", number + 1, 6) for number in range(6)
    ]
    assert not any(isinstance(event, RowFinished) for event in events)
    assert results[0].best == results[0].result
    assert results[-1].seconds_left == 0


@pytest.mark.parametrize(
    ("best", "base"),
    [
        ({"name": "degradation", "gain_channels": 1}, {"name": "degradation"}),
        ({"flip": {}, "rotate90": {}}, {"flip": {}}),
        ({"l1": {"weight": 1.0, "extra": 2}}, {"l1": {"weight": 2.0}, "psnr": 1.0}),
        ({"name": "rgb", "kernel_size": 1}, {"name": "degradation"}),
        ([1, 2], [1]),
    ],
)
def test_the_default_takes_away_what_only_the_best_has(best: object, base: object) -> None:
    """Laid over the best by the rule of overrides it gives the base value again."""
    merged = merge(Document({"x": best}, {}), Document({"x": override_to(base, best)}, {}))
    assert merged.data == {"x": base}
