"""Which trials end before their last step: each pruner as the values that a trial must reach, by what others reached.

A rule is made from the trials so far when a stage starts, and goes with the stage to the process that trains it. So
nothing has to be sent back and forth, and what ended a trial, and against what, is known exactly. With several workers
a rule does not know what others have reached since then; asynchronous successive halving allows for that.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmark.experiment.pruner_settings import Hyperband, Median, NoPruner, Pruner, SuccessiveHalving, Wilcoxon
from benchmark.runner.stopping_rule import Validation
from reports.metrics import Metric


@dataclass(frozen=True)
class History:
    """What a trial reached on val so far. `values`: by the steps of its row."""

    number: int
    values: Mapping[int, float]
    final: float | None = None
    """After the last step; None where it was not trained to its end."""
    images: Mapping[int, Mapping[str, float]] = field(default_factory=dict[int, Mapping[str, float]])
    """By step, then by image; only for pruners that compare images."""


@dataclass(frozen=True)
class Cut:
    """The worst value that a trial may have to go on, and the words for a trial that is worse."""

    value: float
    reason: str


@dataclass(frozen=True)
class CutRule:
    """Ends a trial that is worse than the cut at a step. No cuts: it never does."""

    facts: Metric
    cuts: Mapping[int, Cut] = field(default_factory=dict[int, Cut])

    @property
    def metric(self) -> str:
        """Name of the metric that validations are in."""
        return self.facts.name

    def reason_to_stop(self, validation: Validation) -> str | None:
        """Return why the trial should end; None: it goes on. What is no number is worse than any."""
        cut, key = self.cuts.get(validation.step), self.facts.sort_key
        if cut is None or key(validation.value) <= key(cut.value):
            return None
        return f"{self.metric} {validation.value:.4f} {cut.reason}"


@dataclass(frozen=True)
class WilcoxonRule:
    """Ends a trial whose val images are worse than those of the best trial at the same step, by a signed-rank test."""

    facts: Metric
    best: History
    p: float

    @property
    def metric(self) -> str:
        """Name of the metric that validations are in."""
        return self.facts.name

    def reason_to_stop(self, validation: Validation) -> str | None:
        """Return why the trial should end; None: it goes on, also where the best has no images at this step."""
        from scipy import stats  # takes long to import, and few searches need it

        reference, key = self.best.images.get(validation.step, {}), self.facts.sort_key
        images = sorted(reference.keys() & validation.images.keys())
        losses = [key(validation.images[image]) - key(reference[image]) for image in images]
        if not any(losses):
            return None
        test: Any = stats.wilcoxon(losses, alternative="greater")
        p = float(test.pvalue)
        if not p < self.p:
            return None
        return (
            f"{self.metric} {validation.value:.4f} is worse than that of trial.{self.best.number} at this step on "
            f"{len(images)} val images (Wilcoxon, p {p:.3f} below {self.p:g}; the noise of seeds is not in p)"
        )


Rule = CutRule | WilcoxonRule


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
