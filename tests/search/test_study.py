"""The study on disk: what was tried stays, what was not finished is tried again."""

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from benchmark.errors import RecordError
from benchmark.experiment.search_settings import Random, Sampler, Tpe
from benchmark.experiment.search_space import Choices, Parameter, Range, Search, values_of_base
from benchmark.search.space import values_of
from benchmark.search.study import ask, objective, open_study, results, resume, tell
from benchmark.search.trial_files import write_trials
from benchmark.search.trial_results import TrialResult, base_result, ranked
from reports.metrics import metric as metric_facts

SPACE = Search(
    metric_facts("psnr"),
    20,
    Tpe(),
    0,
    (
        Parameter("a.lr", 1e-3, Range(1e-5, 1e-1, True, None, False)),
        Parameter("a.steps", 4, Range(2, 8, False, 2, True)),
        Parameter("a.loss", None, Choices((None, 0.5, {"weight": 1.0, "window_size": 5}))),
        Parameter("order", ["a", "b"], Choices((["a", "b"], ["b", "a"], "a"))),
    ),
)
Open = Callable[..., optuna.Study]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the study in the journal as a call of the command does; what was open before is closed, as when it ends."""
    with ExitStack() as stack:

        def opening(identity: str = "x", *, replace: bool = False, space: Search = SPACE) -> optuna.Study:
            stack.close()
            study = stack.enter_context(open_study(tmp_path / "j", "small", space, identity, replace=replace))
            resume(study, space)
            return study

        yield opening


def finish(study: optuna.Study, trial: optuna.Trial, status: str = "done", space: Search = SPACE) -> TrialResult:
    value = trial.params["a.lr"] if status == "done" else None
    result = TrialResult(trial.number, status, value, values_of(trial.params, space))  # type: ignore[arg-type]
    tell(study, trial, result, space)
    return result


def test_the_first_trial_is_the_base_row(opened: Open) -> None:
    """Whatever the search finds is compared with what was there; null, lists and mappings come back as they are."""
    study = opened()
    values = values_of(ask(study, SPACE).params, SPACE)
    assert values == {parameter.path: parameter.base for parameter in SPACE.parameters}


def test_values_are_of_the_domain_and_survive_the_journal(opened: Open) -> None:
    """Also those proposed by the sampler; integers are integers."""
    study = opened()
    told = [finish(study, ask(study, SPACE)) for _ in range(15)]
    choices = [parameter.domain.values for parameter in SPACE.parameters if isinstance(parameter.domain, Choices)]
    for result in told:
        assert 1e-5 <= result.values["a.lr"] <= 1e-1
        assert type(result.values["a.steps"]) is int and result.values["a.steps"] in (2, 4, 6, 8)
        assert result.values["a.loss"] in choices[0] and result.values["order"] in choices[1]
    assert results(opened(), SPACE) == told


def test_the_sampler_learns(opened: Open) -> None:
    """Where a large rate is good, later trials have larger rates than the random ones at the beginning."""
    study = opened()
    rates = [finish(study, ask(study, SPACE)).values["a.lr"] for _ in range(20)]
    assert sorted(rates[13:])[3] > sorted(rates[:7])[3]


def finite(sampler: Sampler) -> Search:
    """A space of 3 x 5 settings; the steps of the rate are no binary numbers, so they have rounding errors."""
    parameters = (
        Parameter("a.loss", None, Choices((None, 0.5, {"weight": 1.0}))),
        Parameter("a.lr", 0.3, Range(0.1, 0.5, False, 0.1, False)),
    )
    return Search(metric_facts("psnr"), 15, sampler, 0, parameters)


@pytest.mark.parametrize("sampler", [Tpe(), Random()])
def test_a_finite_space_is_exhausted_before_anything_is_repeated(opened: Open, sampler: Sampler) -> None:
    """As many trials as settings try every one, also in two calls of which the first was interrupted."""
    space, tried = finite(sampler), set[str]()
    study = opened(space=space)
    for _ in range(7):
        tried.add(str(finish(study, ask(study, space), space=space).values))
    lost = ask(study, space)
    study = opened(space=space)
    again = ask(study, space)
    assert again.params == lost.params
    tried.add(str(finish(study, again, space=space).values))
    tried |= {str(finish(study, ask(study, space), space=space).values) for _ in range(7)}
    assert len(tried) == 15
    assert len({(str(trial.params["a.loss"]), round(trial.params["a.lr"], 6)) for trial in study.trials}) == 15


@pytest.mark.parametrize(
    ("domain", "size"),
    [
        (Choices((None, 1, "x")), 3),
        (Range(2, 8, False, 2, True), 4),
        (Range(1, 100, True, None, True), 100),
        (Range(0.1, 0.5, False, 0.1, False), 5),
        (Range(1e-5, 1e-1, True, None, False), float("inf")),
    ],
)
def test_the_size_of_a_space(domain: Range | Choices, size: float) -> None:
    """It is the product over the parameters; real numbers without a step are infinitely many."""
    low = domain.values[0] if isinstance(domain, Choices) else domain.low
    parameters = (Parameter("a", low, domain), Parameter("b", 1, Choices((1, 2))))
    assert Search(metric_facts("psnr"), 9, Tpe(), 0, parameters).size == 2 * size


def test_what_ran_when_the_search_ended_is_tried_again(opened: Open) -> None:
    """It is marked, its parameters come first, and it is not tried a third time; finished trials stay."""
    study = opened()
    finish(study, ask(study, SPACE))
    lost = ask(study, SPACE)
    study = opened()
    assert study.trials[lost.number].state == TrialState.FAIL
    again = ask(study, SPACE)
    assert again.number == 2 and again.params == lost.params
    finish(study, again)
    study = opened()
    assert [result.status for result in results(study, SPACE)] == ["done", "interrupted", "done"]
    assert not study.get_trials(states=(TrialState.WAITING,))


def test_a_base_row_that_was_interrupted_is_still_the_base_row(opened: Open) -> None:
    """Also if the process was killed twice, and before any parameter of it was in the journal."""
    study = opened()
    study.ask()  # takes the waiting trial and writes no parameter
    opened()
    again = ask(opened(), SPACE)
    assert values_of(again.params, SPACE) == {parameter.path: parameter.base for parameter in SPACE.parameters}


@pytest.mark.parametrize(("status", "waits"), [("failed", 1), ("diverged", 0), ("rejected", 0), ("done", 0)])
def test_failed_trials_are_tried_again_by_the_next_call(opened: Open, status: str, waits: int) -> None:
    """As rows are. A divergence or a failed gate is a result: it would come out the same."""
    study = opened()
    finish(study, ask(study, SPACE), status)
    assert len(opened().get_trials(states=(TrialState.WAITING,))) == waits


def test_other_settings_need_another_study(opened: Open) -> None:
    """A journal whose trials cannot be compared with new ones is an error that names the ways out."""
    study = opened()
    finish(study, ask(study, SPACE))
    with pytest.raises(RecordError, match="--replace"):
        opened("y")
    assert len(opened("x").trials) == 1
    assert [trial.state for trial in opened("y", replace=True).trials] == [TrialState.WAITING]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": SPACE.parameters[:3]}, "(with order)"),
        ({"parameters": (*SPACE.parameters, Parameter("b", 1, Choices((1, 2))))}, "(without b)"),
        (
            {"parameters": (Parameter("a.lr", 1e-3, Range(1e-4, 1e-1, True, None, False)), *SPACE.parameters[1:])},
            "(another range of a.lr)",
        ),
        ({"metric": metric_facts("harm")}, "(other objectives)"),
        ({"objectives": (metric_facts("psnr"), metric_facts("harm"))}, "(other objectives)"),
        ({}, "(another metric, base row, seed, data, code or torch)"),
    ],
)
def test_a_changed_space_is_told_with_what_is_kept(opened: Open, change: dict[str, Any], message: str) -> None:
    """The message names the change; after --replace all trials are asked anew, the base row first."""
    study, space = opened(), dataclasses.replace(SPACE, **change)
    finish(study, ask(study, SPACE))
    with pytest.raises(RecordError, match=r"trained stages are kept, .* and all trials are asked anew") as error:
        opened("y", space=space)
    assert message in str(error.value) and "\n" not in str(error.value)
    study = opened("y", space=space, replace=True)
    assert [trial.state for trial in study.trials] == [TrialState.WAITING]
    assert values_of(ask(study, space).params, space) == values_of_base(space.parameters)


def test_studies_of_two_experiments_lie_side_by_side(tmp_path: Path) -> None:
    """In one journal, each by the name of its experiment; neither knows the trials of the other."""
    for name, earlier in (("small", 0), ("other", 0), ("small", 1), ("other", 1)):
        with open_study(tmp_path / "j", name, SPACE, name, replace=False) as study:
            assert len(study.trials) == earlier
            resume(study, SPACE)
            finish(study, ask(study, SPACE))


def test_a_journal_has_one_search_at_a_time(opened: Open, tmp_path: Path) -> None:
    """A second one would take the trials of the first for interrupted."""
    opened()
    with (
        pytest.raises(RecordError, match="another search is writing"),
        open_study(tmp_path / "j", "small", SPACE, "x", replace=False),
    ):
        pass


def test_half_a_line_does_no_harm(opened: Open, tmp_path: Path) -> None:
    """A process killed while it writes leaves one; it is cut off before more is written behind it."""
    study = opened()
    finish(study, ask(study, SPACE))
    with (tmp_path / "j").open("ab") as handle:
        handle.write(b'{"op_code": 4, "wor')
    study = opened()
    finish(study, ask(study, SPACE))
    assert [result.status for result in results(opened(), SPACE)] == ["done", "done"]


@pytest.mark.parametrize("text", ["trial,value\n1,2\n", "{}\n", "[1]\n", "SQLite format 3", '{"op": 1}'])
def test_another_file_is_no_journal(opened: Open, tmp_path: Path, text: str) -> None:
    """`--storage` may name anything."""
    (tmp_path / "j").write_text(text)
    with pytest.raises(RecordError, match="not an Optuna journal"):
        opened()
    assert (tmp_path / "j").read_text() == text


RESULT = {"status": "done", "value": 1.0, "steps_trained": 1, "steps_reused": 0, "seconds": 1.0, "message": ""}
LR: dict[str, Any] = {
    "name": "FloatDistribution",
    "attributes": {"low": 1e-5, "high": 0.1, "step": None, "log": True},
}
SET_LR = {"op_code": 5, "worker_id": "w", "trial_id": 0, "param_name": "a.lr", "param_value_internal": 0.0}


def journal(*entries: object) -> str:
    """A study with one trial, and these entries behind."""
    start = [
        {"op_code": 0, "worker_id": "w", "study_name": "small", "directions": [2]},
        {"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"identity": "x"}},
        {"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": "2026-01-01T00:00:00"},
    ]
    return "".join(json.dumps(entry).replace('": ', '":') + "\n" for entry in [*start, *entries])


def ended(**changes: object) -> list[object]:
    """The entries of a finished trial with a result."""
    entry: dict[str, object] = {"op_code": 8, "worker_id": "w", "trial_id": 0}
    attributes = [{**entry, "user_attr": {name: value}} for name, value in {**RESULT, **changes}.items()]
    end = {"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 1, "values": [1.0]}
    return [*attributes, {**end, "datetime_complete": "2026-01-01T00:00:01"}]


def test_the_journal_of_these_tests_is_sound(opened: Open, tmp_path: Path) -> None:
    """What the damaged ones below are compared with."""
    (tmp_path / "j").write_text(journal({**SET_LR, "distribution": json.dumps(LR)}, *ended()))
    assert [result.value for result in results(opened(), SPACE)] == [1.0]


@pytest.mark.parametrize(
    "text",
    [
        journal([1, 2]),
        journal("text"),
        journal({"op_code": 99}),
        journal() + "{,}\n",  # Optuna reads past a last line that is no JSON, and fails when it writes the next one
        journal({"op_code": 5, "worker_id": "w", "trial_id": 0, "param_name": "a.lr", "distribution": "{}"}),
        journal({**SET_LR, "distribution": json.dumps({**LR, "attributes": {**LR["attributes"], "high": 0.2}})}),
        journal(
            {**SET_LR, "distribution": json.dumps({"name": "CategoricalDistribution", "attributes": {"choices": [1]}})}
        ),
        journal(*ended(value="high")),
        journal(*ended(value=float("nan"))),
        journal(*ended(status="perhaps")),
        journal(*ended(seconds=None)),
        journal(*ended()[1:]),
        journal() + '{"op_code":' + "[" * 100_000 + "\n" + journal(),
        journal() + '{"op_code":' + "9" * 5000 + "}\n" + journal(),
        journal() + "\0\0\0\n" + journal(),
        journal().splitlines()[0][:40] + "\n" + journal(),
    ],
)
def test_a_damaged_journal_is_told_in_one_line(opened: Open, tmp_path: Path, text: str) -> None:
    """Whatever its entries are; nothing is lost."""
    (tmp_path / "j").write_text(text)
    with pytest.raises(RecordError, match=r"/j: not a study of this search, or damaged .*; move it away") as e:
        opened()
    assert "\n" not in str(e.value) and len(str(e.value)) < 400
    assert (tmp_path / "j").read_text() == text


@pytest.mark.parametrize("count", range(len(RESULT) + 1))
def test_a_kill_between_two_entries_is_an_interruption(opened: Open, tmp_path: Path, count: int) -> None:
    """However much of the result was written: the trial had not ended, so it is tried again."""
    (tmp_path / "j").write_text(journal(*ended(status="failed")[:count]))
    study = opened()
    status = "failed" if count == len(RESULT) else "interrupted"
    assert [result.status for result in results(study, SPACE)] == [status]
    assert len(study.get_trials(states=(TrialState.WAITING,))) == 1


def test_a_lock_that_a_killed_search_left_costs_nothing(opened: Open, tmp_path: Path) -> None:
    """Optuna waits 30 s for its own lock; the lease already says that no other search writes."""
    (tmp_path / "j.lock").symlink_to(tmp_path / "j")
    started = time.monotonic()
    study = opened()
    finish(study, ask(study, SPACE))
    assert time.monotonic() - started < 10


def test_a_pipe_is_no_journal(opened: Open, tmp_path: Path) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "j")
    with pytest.raises(RecordError, match="is a folder or a device"):
        opened()


def test_a_folder_is_no_journal(opened: Open, tmp_path: Path) -> None:
    """It is told as what it is."""
    (tmp_path / "j").mkdir()
    with pytest.raises(RecordError, match="is a folder"):
        opened()


def result(number: int, value: float | None, lr: float = 1.0) -> TrialResult:
    return TrialResult(number, "done" if value is not None else "rejected", value, {"a.lr": lr})


@pytest.mark.parametrize(("metric", "order"), [("psnr", [2, 0, 3]), ("harm", [3, 0, 2]), ("texture", [0, 3, 2])])
def test_better_is_what_the_metric_says(metric: str, order: list[int]) -> None:
    """psnr is best high, harm low, texture at 1; trials without a value have no rank."""
    found = [result(0, 1.1), result(1, None), result(2, 2.0), result(3, 0.8)]
    assert [trial.number for trial in ranked(found, metric_facts(metric))] == order


def test_the_study_sees_what_it_can_optimise() -> None:
    """A metric that is best at 1 as its distance from it, others as they are."""
    assert objective(metric_facts("texture"), 0.75) == 0.25
    assert objective(metric_facts("psnr"), 30.0) == 30.0


def test_a_tie_goes_to_the_earlier_trial() -> None:
    """So that a choice without effect keeps the base row."""
    assert [trial.number for trial in ranked([result(4, 1.0), result(0, 1.0)], metric_facts("psnr"))] == [0, 4]


def test_the_base_row_is_known_by_its_values() -> None:
    """Its trial may have another number after an interruption."""
    space = Search(metric_facts("psnr"), 9, Tpe(), 0, (Parameter("a.lr", 0.5, Range(0, 1, False, None, False)),))
    assert base_result([result(0, None, 0.5), result(1, 3.0, 0.7), result(2, 2.0, 0.5)], space) == result(2, 2.0, 0.5)


def test_the_table_of_trials_keeps_text_apart(tmp_path: Path) -> None:
    """Values are JSON, so a list, null and a missing value differ; commas in messages do not make columns."""
    found = [
        TrialResult(0, "done", 30.5, {"a.lr": 1e-3, "a.steps": 4, "a.loss": None, "order": ["a", "b"]}, 7, 2, 1.5),
        TrialResult(1, "interrupted", None, {}, message="one, two"),
    ]
    write_trials(tmp_path / "trials.csv", found, SPACE)
    assert (tmp_path / "trials.csv").read_text().splitlines() == [
        "trial,status,psnr,a.lr,a.steps,a.loss,order,steps_trained,steps_reused,seconds,message",
        '0,done,30.5,0.001,4,null,"[""a"", ""b""]",7,2,1.5,',
        '1,interrupted,,,,,,0,0,0.0,"one, two"',
    ]
