"""Pruners: which value a trial must reach at a step, and in which words it is told that it did not."""

import math
import random
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from optuna.pruners import SuccessiveHalvingPruner

from benchmark.errors import RecordError
from benchmark.experiment.pruner_settings import Hyperband, Median, Pruner, SuccessiveHalving, Wilcoxon
from benchmark.runner.pruning_rules import Cut, CutRule, History, Rule, Validation, WilcoxonRule, read_rule, rule_text
from benchmark.search.pruners import bracket_of, rule_for
from reports.metrics import metric as metric_facts

PSNR, HARM = metric_facts("psnr"), metric_facts("harm")
POINTS = (10, 30, 90)
HALVING = SuccessiveHalving(min_steps=10, reduction=3, startup_trials=0)


def history(number: int, *values: float, final: float | None = None) -> History:
    return History(number, dict(zip(POINTS, values, strict=False)), final)


def reason(pruner: Pruner, value: float, others: Sequence[History], *, step: int = 10, number: int = 9) -> str | None:
    rule = rule_for(pruner, number, POINTS, others, PSNR, 270)
    return rule.reason_to_stop(Validation(step, value))


def test_the_best_third_of_a_rung_goes_on() -> None:
    """Of six trials two; a value that equals the last of them is enough. Others at a later rung do not count here."""
    others = [history(number, 20.0 + number) for number in range(5)]
    assert reason(HALVING, 23.0, others) is None
    assert reason(HALVING, 22.99, others) == (
        "psnr 22.9900 is not among the best 2 of 6 trials at rung 0 (step 10), which end at 23.0000 of trial.3"
    )
    assert reason(HALVING, 1.0, others, step=30) is None


def test_halving_decides_as_that_of_optuna() -> None:
    """The same trials in the same order: those that ours ends are those that Optuna's pruner ends."""
    for seed in range(20):
        draw = random.Random(seed)
        study = optuna.create_study(
            direction="maximize", pruner=SuccessiveHalvingPruner(min_resource=10, reduction_factor=3)
        )
        others = list[History]()
        for number in range(30):
            trial, values = study.ask(), dict[int, float]()
            for step in POINTS:
                values[step] = draw.uniform(0, 1)
                trial.report(values[step], step)
                rule = rule_for(HALVING, number, POINTS, others, PSNR, 270)
                is_ended = rule.reason_to_stop(Validation(step, values[step])) is not None
                assert is_ended == trial.should_prune(), (seed, number, step)
                if is_ended:
                    break
            others.append(History(number, values))


def test_no_trial_is_ended_before_so_many_have_come_as_far() -> None:
    """By default four: of fewer, the best third is chance."""
    few = [history(number, 30.0) for number in range(3)]
    assert reason(SuccessiveHalving(min_steps=10), 1.0, few) is None
    assert reason(SuccessiveHalving(min_steps=10), 1.0, [*few, history(3, 30.0)])


def test_less_is_better_where_the_metric_says_so() -> None:
    """Of harm the lowest third goes on."""
    rule = rule_for(HALVING, 9, POINTS, [history(n, float(n)) for n in range(5)], HARM, 270)
    assert rule.reason_to_stop(Validation(10, 1.0)) is None and rule.reason_to_stop(Validation(10, 1.5))


def test_the_first_rung_follows_from_the_steps_of_the_base_row() -> None:
    """270 steps and a reduction of 3: rungs at 30, 90 and 270, so nothing is ended at step 10."""
    others = [history(number, 30.0, 30.0) for number in range(5)]
    assert reason(SuccessiveHalving(startup_trials=0), 1.0, others) is None
    assert reason(SuccessiveHalving(startup_trials=0), 1.0, others, step=30)


def test_a_value_that_is_no_number_ends_a_trial() -> None:
    """It is worse than any."""
    assert reason(HALVING, float("nan"), [history(0, 1.0)])


def test_brackets_have_the_shares_of_hyperband() -> None:
    """Of 17 trials, from 10 steps to 90 by 3: 9 begin at the first rung, 5 at the second, 3 at the last."""
    brackets = [bracket_of(number, 10, 90, 3) for number in range(17)]
    assert [brackets.count(bracket) for bracket in range(3)] == [9, 5, 3]


def test_a_trial_is_compared_within_its_bracket() -> None:
    """Trial 9 begins at the second rung, so nothing ends it at the first, and trial 0 is no rival of it."""
    hyperband = Hyperband(min_steps=10, startup_trials=0)
    assert bracket_of(0, 10, 90, 3) == 0 and bracket_of(9, 10, 90, 3) == bracket_of(10, 10, 90, 3) == 1
    others = [history(0, 50.0, 50.0), history(10, 20.0, 20.0)]
    rule = rule_for(hyperband, 9, POINTS[:2], others, PSNR, 90)
    assert rule.reason_to_stop(Validation(10, 1.0)) is None
    assert rule.reason_to_stop(Validation(30, 25.0)) is None
    assert "trial.10" in str(rule.reason_to_stop(Validation(30, 19.0)))


def test_the_median_is_that_of_finished_trials() -> None:
    """Trials that were ended do not count; before the warm-up is over nothing is ended."""
    others = [history(number, 20.0 + number, final=1.0) for number in range(4)] + [history(4, 99.0)]
    assert reason(Median(), 21.5, others) is None
    assert reason(Median(), 21.4, others) == (
        "psnr 21.4000 is worse than 21.5000, the median of 4 finished trials at step 10"
    )
    assert reason(Median(warmup_steps=11), 21.4, others) is None
    assert reason(Median(startup_trials=5), 21.4, others) is None


@pytest.mark.parametrize(("loss", "is_ended"), [(0.5, True), (-0.5, False), (0.0, False)])
def test_wilcoxon_compares_images_with_the_best_trial(loss: float, is_ended: bool) -> None:
    """Eight images that are all worse end a trial; the words say what its p leaves out."""
    images = {f"image_{index}": 20.0 + 3 * index for index in range(8)}
    best = History(2, {10: 30.0}, 31.0, {10: images})
    others = [History(3, {10: 40.0}, 30.0), best]
    rule = rule_for(Wilcoxon(startup_trials=2), 9, POINTS, others, PSNR, 270)
    own = {name: value - loss - 0.01 * index * bool(loss) for index, (name, value) in enumerate(images.items())}
    end = rule.reason_to_stop(Validation(10, 29.0, own))
    assert bool(end) == is_ended
    assert not end or ("than that of trial.2" in end and "the noise of seeds is not in p" in end)


@pytest.mark.parametrize(
    "rule",
    [
        CutRule(PSNR, {10: Cut(23.5, "is worse than the median"), 30: Cut(-math.inf, "never")}),
        WilcoxonRule(HARM, History(3, {10: 1.5}, None, {10: {"a.png": 0.1}}), 0.1),
    ],
)
def test_a_rule_goes_to_another_process_in_a_file(rule: Rule, tmp_path: Path) -> None:
    """What is read is what was written, with steps as numbers and values that JSON lacks."""
    (tmp_path / "rule").write_text(rule_text(rule))
    assert read_rule(tmp_path / "rule") == rule


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "cuts"}', '{"kind": "other", "facts": 1}'])
def test_a_file_without_a_rule_is_one_line(text: str, tmp_path: Path) -> None:
    """It names the file."""
    (tmp_path / "rule").write_text(text)
    with pytest.raises(RecordError, match=r"rule: has no rule of a trial; the search that wrote it writes it anew$"):
        read_rule(tmp_path / "rule")
