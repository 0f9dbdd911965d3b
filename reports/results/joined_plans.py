"""The plan of a published study, and of one that a further run is appended to."""

from pathlib import Path
from typing import Any

from reports.errors import ReportError
from reports.schema import PlanFile, PlannedStage, PlanRow


def without_recipes(plan: PlanFile) -> PlanFile:
    """Return a plan without recipes, and digests of what they use: the records of a study have them."""
    without: dict[str, Any] = {"recipe": {}, "inputs": {}}
    return plan.model_copy(update={"rows": tuple(row.model_copy(update=without) for row in plan.rows)})


def joined_plans(before: PlanFile, plan: PlanFile, study: Path) -> PlanFile:
    """Return a plan of the rows and seeds of both; what else it says is that of the later plan.

    Raises:
        ReportError: The plans are of different experiments; the message names the study.
    """
    if (before.experiment, before.primary) != (plan.experiment, plan.primary):
        raise ReportError(
            f"{study}: is of experiment {before.experiment!r}, ranked by {before.primary}; the run is of "
            f"{plan.experiment!r}, ranked by {plan.primary}"
        )
    later = {row.row: row for row in plan.rows}
    rows = [_joined_rows(row, later.pop(row.row)) if row.row in later else row for row in before.rows]
    ordered = sorted((*rows, *later.values()), key=lambda row: row.kind == "baseline")
    return plan.model_copy(update={"rows": tuple(ordered), "seeds": tuple(sorted({*before.seeds, *plan.seeds}))})


def _joined_rows(before: PlanRow, row: PlanRow) -> PlanRow:
    keys = {stage.name: stage.keys for stage in before.stages}
    return row.model_copy(
        update={
            "seeds": tuple(dict.fromkeys((*before.seeds, *row.seeds))),
            "config_hashes": before.config_hashes | row.config_hashes,
            "stages": tuple(
                PlannedStage(name=stage.name, steps=stage.steps, keys=keys.get(stage.name, {}) | stage.keys)
                for stage in row.stages
            ),
        }
    )
