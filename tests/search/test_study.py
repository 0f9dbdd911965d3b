"""The study on disk: what was tried stays, what was not finished is tried again."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from benchmark.errors import RecordError
from benchmark.experiment.search_space import Choices, Parameter, Range, Search
from benchmark.search.search import base_result, ranked, write_trials
from benchmark.search.study import TrialResult, ask, objective, open_study, results, resume, tell, values_of
from reports.metrics import metric as metric_facts

SPACE = Search(
    metric_facts("psnr"),
    20,
    "tpe",
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
    tell(study, trial, result, space.metric)
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
    space = Search(metric_facts("psnr"), 9, "tpe", 0, (Parameter("a.lr", 0.5, Range(0, 1, False, None, False)),))
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
