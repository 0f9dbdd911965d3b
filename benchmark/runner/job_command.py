"""How a job is handed to a process elsewhere: the command line, and the files with plan and rule that it names.

The jobs of `run` are in plan.json. Rows that come up in the course of a command, such as trials of a search, have plan
files of their own, in `.plans` in the folder of the run.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.experiment.plan import Plan
from benchmark.files import write_json, write_text
from benchmark.runner.context import Context
from benchmark.runner.events import MeasuredModel
from benchmark.runner.job_notes import JobNote, JobNotes
from benchmark.runner.jobs import Job, TrainStage
from benchmark.runner.plan_file import plan_file
from benchmark.runner.pruning_rules import rule_text
from benchmark.runner.row_jobs import AnyRow
from reports.schema import PlanFile, to_json
from reports.sealing import sealed

_FOLDER = ".plans"


@dataclass(frozen=True)
class JobPlans:
    """Where the processes that carry out the jobs of a run read what to do."""

    file_of: Callable[[AnyRow], Path]
    """Returns the plan file of a row."""
    example: Path
    """A plan file that is there before the first job starts: all hosts must see the same."""
    is_trial: bool = False
    """The rows are scored on val, not on test, and any failed gate rejects them."""


def plans_of_run(output: Path) -> JobPlans:
    """Return the plans of an ordinary run in a folder: all of them are plan.json."""
    file = output / "plan.json"
    return JobPlans(lambda _: file, file)


def own_plan(output: Path, name: str) -> Path:
    """Return the path of a plan file beside plan.json. `name`: of a row or a set of rows."""
    return output / _FOLDER / f"{name.replace('/', '~')}.json"


def write_own_plan(file: Path, plan: Plan, context: Context, measured: Mapping[str, MeasuredModel]) -> None:
    """Write the plan file of rows that plan.json lacks, and note what is known of their networks.

    Args:
        file: Of the plan.
        plan: The rows; without its baselines.
        context: Of the run.
        measured: Networks that need not be measured any more, by `PlannedRow.network`.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, sealed(to_json(own_plan_file(plan, context))))
    for row in plan.rows:
        if model := measured.get(row.network):
            note = JobNote(row=row.folder, cost=model.cost, gates=model.gates)
            JobNotes(context.output).write(row.network, note)


def own_plan_file(plan: Plan, context: Context) -> PlanFile:
    """Return the content of the plan file of rows that plan.json lacks, with those that they learn from."""
    teachers = {row.teacher.folder: row.teacher for row in plan.rows if row.teacher}
    rows = {**teachers, **{row.folder: row for row in plan.rows}}
    experiment = dataclasses.replace(plan.experiment, claims=(), adaptive_seeds=None)
    whole = dataclasses.replace(plan, experiment=experiment, rows=tuple(rows.values()), baselines=())
    return plan_file(whole, context.command, context.output, [row.folder for row in plan.rows])


def job_arguments(job: Job, context: Context, plans: JobPlans) -> list[str]:
    """Return the arguments of `python -m benchmark` that carry out a job; its rule is written to a file first."""
    file, output = plans.file_of(job.row), context.output.resolve()
    own = [] if file.name == "plan.json" else ["--plan", str(file.resolve())]
    if isinstance(job, TrainStage) and job.rule:
        rule_file = output / _FOLDER / f"{job.id}.rule"
        write_text(rule_file, rule_text(job.rule))
        own += ["--rule", str(rule_file)]
    plugins = [text for plugin in context.registry.plugins for text in ("--plugin", str(plugin.resolve()))]
    return ["job", str(output), job.id, *own, *(["--trial"] if plans.is_trial else []), *plugins]
