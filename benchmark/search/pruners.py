"""Which trials end before their last step: each pruner as the values that a trial must reach, by what others reached.

A rule is made from the trials so far when a stage starts, and goes with the stage to the process that trains it. So
nothing has to be sent back and forth, and what ended a trial, and against what, is known exactly. With several workers
a rule does not know what others have reached since then; asynchronous successive halving allows for that.
"""

import math
from collections.abc import Sequence
from statistics import median

from benchmark.experiment.pruner_settings import Hyperband, Median, NoPruner, Pruner, SuccessiveHalving, Wilcoxon
from benchmark.runner.pruning_rules import Cut, CutRule, History, Rule, WilcoxonRule
from reports.metrics import Metric


def rule_for(
    pruner: Pruner, number: int, points: Sequence[int], others: Sequence[History], metric: Metric, base_steps: int
) -> Rule:
    """Return the rule for a trial.

    Args:
        pruner: Name and options.
        number: Of the trial; the base row must not be given, since nothing is to end it.
        points: Steps after which the trial is validated, without the last one.
        others: What the other trials reached.
        metric: What is compared.
        base_steps: Steps of the base row.
    """
    match pruner:
        case NoPruner():
            return CutRule(metric)
        case SuccessiveHalving() as halving:
            first = halving.min_steps or first_rung(base_steps, halving.reduction)
            return CutRule(metric, _halving(halving, first, points, others, metric))
        case Hyperband() as hyperband:
            first = hyperband.min_steps or first_rung(base_steps, hyperband.reduction)
            bracket = bracket_of(number, first, base_steps, hyperband.reduction)
            rivals = [
                other for other in others if bracket_of(other.number, first, base_steps, hyperband.reduction) == bracket
            ]
            begin = first * hyperband.reduction**bracket
            return CutRule(metric, _halving(hyperband, begin, points, rivals, metric))
        case Median() as rule:
            return CutRule(metric, _medians(rule, points, others))
        case Wilcoxon() as wilcoxon:
            finished = [(metric.sort_key(other.final), other) for other in others if other.final is not None]
            if len(finished) < max(1, wilcoxon.startup_trials):
                return CutRule(metric)
            return WilcoxonRule(metric, min(finished, key=lambda entry: entry[0])[1], wilcoxon.p)


def first_rung(base_steps: int, reduction: int) -> int:
    """Return the steps of the first rung where the file does not give them."""
    return max(1, base_steps // reduction**2)


def bracket_of(number: int, first: int, base_steps: int, reduction: int) -> int:
    """Return the bracket of a trial; 0 begins at the first rung. Brackets have as many trials as Hyperband gives them.

    Trials go to brackets in turn, so that a few trials are spread as many are.
    """
    count = max(1, math.floor(math.log(max(1.0, base_steps / first), reduction) + 1e-9) + 1)
    sizes = [math.ceil(count * reduction ** (count - 1 - bracket) / (count - bracket)) for bracket in range(count)]
    place = number % sum(sizes)
    return next(bracket for bracket in range(count) if place < sum(sizes[: bracket + 1]))


def _halving(
    settings: SuccessiveHalving | Hyperband,
    first: int,
    points: Sequence[int],
    others: Sequence[History],
    metric: Metric,
) -> dict[int, Cut]:
    cuts: dict[int, Cut] = {}
    steps, rung = first, 0
    while points and steps <= points[-1]:
        point = next(point for point in points if point >= steps)
        reached = [(other, first_value) for other in others if (first_value := _first_value(other, steps)) is not None]
        reached.sort(key=lambda entry: metric.sort_key(entry[1]))
        places = max(1, (len(reached) + 1) // settings.reduction)
        if point not in cuts and places <= len(reached) >= settings.startup_trials:
            last, value = reached[places - 1]
            cuts[point] = Cut(
                value,
                f"is not among the best {places} of {len(reached) + 1} trials at rung {rung} (step {point}), "
                f"which end at {value:.4f} of trial.{last.number}",
            )
        steps, rung = steps * settings.reduction, rung + 1
    return cuts


def _first_value(history: History, step: int) -> float | None:
    """Return the value at the first validation from a step on."""
    later = [point for point in history.values if point >= step]
    return history.values[min(later)] if later else None


def _medians(settings: Median, points: Sequence[int], others: Sequence[History]) -> dict[int, Cut]:
    cuts: dict[int, Cut] = {}
    for point in points:
        values = [other.values[point] for other in others if other.final is not None and point in other.values]
        if point >= settings.warmup_steps and len(values) >= max(1, settings.startup_trials):
            middle = median(values)
            reason = f"is worse than {middle:.4f}, the median of {len(values)} finished trials at step {point}"
            cuts[point] = Cut(middle, reason)
    return cuts
