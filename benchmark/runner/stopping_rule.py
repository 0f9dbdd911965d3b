"""What ends a trial before its last step: the rule for its row, asked after each validation, also of stored stages."""

import csv
from typing import Protocol

from benchmark.experiment.plan import PlannedRow, PlannedStage
from benchmark.experiment.stage import validation_steps
from benchmark.runner.pruning_rules import Rule, Validation
from benchmark.runner.stage_store import StageStore


class Pruning(Protocol):
    """Learns of the validations of all rows of a run, and makes the rules for them."""

    @property
    def metric(self) -> str:
        """Name of the metric that validations are in."""
        ...

    def note(self, row: PlannedRow, validation: Validation) -> Validation:
        """Keep a validation of a row; return it as it was noted first, perhaps with the scores of images."""
        ...

    def rule(self, row: PlannedRow) -> Rule:
        """Return the rule for a row, by what is known of the others now."""
        ...


def steps_before(row: PlannedRow, stage: PlannedStage) -> int:
    """Return the steps of a row's stages before this one."""
    place = [other.key for other in row.stages].index(stage.key)
    return sum(other.steps for other in row.stages[:place])


def validation_points(row: PlannedRow) -> tuple[int, ...]:
    """Return the steps of a row after which it is scored on val, but for the last step."""
    points: set[int] = set()
    for stage in row.stages:
        before = steps_before(row, stage)
        points |= {before + step for step in (*validation_steps(stage.settings), stage.steps)}
    return tuple(sorted(points))[:-1]


def judge_stored(row: PlannedRow, pruning: Pruning, store: StageStore) -> tuple[Validation, str] | None:
    """Note the validations of a row's stored stages.

    Returns:
        The first validation that the row's rule is against, and the reason; None where there is none, or where nothing
        is left to train.
    """
    rule, reasons = pruning.rule(row), list[tuple[Validation, str]]()
    for stage in row.stages:
        stored = _stored_validations(row, stage, pruning.metric, store)
        if not stored:
            return reasons[0] if reasons else None
        for validation in (pruning.note(row, validation) for validation in stored):
            if reason := rule.reason_to_stop(validation):
                reasons.append((validation, reason))
    return None


def _stored_validations(row: PlannedRow, stage: PlannedStage, metric: str, store: StageStore) -> list[Validation]:
    """Return the validations of a stored stage: of its curve, which has the PSNR alone, and after its last step."""
    result, before = store.finished(stage.key), steps_before(row, stage)
    if result is None:
        return []
    with store.curve_file(stage.key).open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["name"] == f"val.{metric}"]
    by_step = {int(line["step"]): float(line["value"]) for line in lines}
    if metric in result.val:
        by_step[stage.steps] = result.val[metric]["mean"]
    return [Validation(before + step, value) for step, value in sorted(by_step.items())]
