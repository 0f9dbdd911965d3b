"""`run --executor slurm`: submit the jobs of an experiment to a cluster, and go on when they have ended."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from benchmark.cli.display import failure_lines
from benchmark.cli.experiment_setup import Prepared, refuse_untuned, use_study
from benchmark.cli.interim import analyses_of, next_analysis
from benchmark.cli.options import Selection
from benchmark.cli.run_report import write_report
from benchmark.cli.rungs import first_rung, rungs_of
from benchmark.cli.tune import with_choices
from benchmark.errors import counted
from benchmark.experiment.plan import Plan
from benchmark.files import write_json
from benchmark.runner.context import Context
from benchmark.runner.job_command import own_plan_file
from benchmark.runner.job_list import JobList, ListedJob
from benchmark.runner.late_gates import measure_open_latencies
from benchmark.runner.plan_file import plan_file, write_plan
from benchmark.runner.preflight import preflight
from benchmark.runner.record_writer import planned_record
from benchmark.runner.slurm import (
    SlurmJob,
    SlurmQueue,
    job_script,
    pending_jobs,
    script_file,
    slurm_jobs,
    submission_script,
)
from benchmark.search.tuning import candidates_of, tuning_plan, unfinished
from reports.schema import to_json

_FOLLOW_UP = "--follow-up"


def submit(
    written: Prepared, selection: Selection, options: Sequence[str], *, dry_run: bool, is_follow_up: bool
) -> int:
    """Submit what is to be done of the first unfinished rung; write the reports of those before. Return the exit code.

    Args:
        written: The experiment as it is written.
        selection: What the command line selects.
        options: Options for sbatch.
        dry_run: Print what would be submitted of the first rung, as a script, and write nothing.
        is_follow_up: The jobs of an earlier submission have ended: what failed is not tried again.

    Raises:
        BenchmarkError: The plan cannot work, or SLURM refuses a job.
    """
    if dry_run:
        rung = first_rung(written)
        part = _candidates(rung, selection) or _rows(next_analysis(rung), selection)
        if not part:
            click.echo(f"# {rung.plan.experiment.name}: all rows are finished; nothing to submit")
            return 0
        click.echo(
            submission_script(_slurm_jobs(part, pending_jobs(part.jobs)), part.jobs.output, part.script, options)
        )
        return 0
    has_failed_rows = False
    for scale in rungs_of(written):
        if scale.candidates:
            if (part := _candidates(scale, selection)) and _submit(part, options, is_follow_up=is_follow_up):
                return 0
            scale = with_choices(scale, candidates_of(scale.rows, scale.candidates))
        for rung in analyses_of(scale):
            use_study(rung)
            part = _rows(rung, selection)
            write_plan(rung.whole, rung.plan, rung.context.output, rung.context.command)
            if part and _submit(part, options, is_follow_up=is_follow_up):
                return 0
            has_failed_rows |= _report(rung)
    return int(has_failed_rows)


@dataclass(frozen=True)
class _Part:
    """What is submitted before something is decided by its records: candidates of tuning, or rows up to an analysis."""

    name: str
    jobs: JobList
    script: str
    arguments: tuple[str, ...]
    """Of each `job` beside its id."""


def _candidates(rung: Prepared, selection: Selection) -> _Part | None:
    """Return the candidates without a result; None if all have one. Raises BenchmarkError where they cannot work."""
    if rung.candidates is None:
        return None
    context = rung.context
    todo = unfinished(candidates_of(rung.rows, rung.candidates), context, replace=selection.replace)
    if not todo:
        return None
    plan = dataclasses.replace(rung.candidates, rows=tuple(todo))
    preflight(plan, context, replace=selection.replace)
    file, content = tuning_plan(context.output), own_plan_file(plan, context)
    jobs = JobList(content, context.output, context.store, is_trial=True)
    arguments = ("--plan", str(file.absolute()), "--trial", *_plugins(selection))
    return _Part(f"{plan.experiment.name}: tuning", jobs, _script(plan, context), arguments)


def _rows(rung: Prepared, selection: Selection) -> _Part | None:
    """Return the chosen rows, with or without a plan.json; None if all are finished. Raises BenchmarkError as above."""
    refuse_untuned(rung)
    plan, context = rung.plan, rung.context
    if not preflight(plan, context, replace=selection.replace):
        return None
    content = plan_file(rung.whole, context.command, context.output, [row.folder for row in plan.rows])
    jobs = JobList(content, context.output, context.store)
    return _Part(plan.experiment.name, jobs, _script(plan, context), _plugins(selection))


def _submit(part: _Part, options: Sequence[str], *, is_follow_up: bool) -> bool:
    """Submit what is to be done of a part; return whether anything is."""
    queue = SlurmQueue(part.jobs.output)
    if not is_follow_up:
        queue.forget_ended()
    pending = pending_jobs(part.jobs, queue.submissions() if is_follow_up else None)
    if pending:
        if part.jobs.is_trial:
            write_json(tuning_plan(part.jobs.output), to_json(part.jobs.plan))
        count = queue.submit(_slurm_jobs(part, pending), part.script, options)
        new = f"{count} submitted" if count else "all are in the queue already"
        logs = script_file(part.jobs.output).parent
        click.echo(f"{part.name}: {counted(len(pending), 'job')} to do; {new}; logs in {logs}")
    return bool(pending)


def _slurm_jobs(part: _Part, pending: Sequence[ListedJob]) -> list[SlurmJob]:
    """Return the pending jobs as SLURM has them, and the job that calls this command again when they have ended."""
    arguments = [argument for argument in sys.argv[1:] if argument not in (_FOLLOW_UP, "--dry-run")]
    return slurm_jobs(pending, part.jobs.output, part.arguments, [*arguments, _FOLLOW_UP])


def _plugins(selection: Selection) -> tuple[str, ...]:
    return tuple(text for file in selection.plugins for text in ("--plugin", str(file)))


def _script(plan: Plan, context: Context) -> str:
    threads = max((int(stage.settings.threads) for stage in plan.stages.values()), default=1)
    return job_script(context.output, has_gpu=plan.environment.device != "cpu", threads=threads)


def _report(rung: Prepared) -> bool:
    """Write and name the report of a rung; return whether a row failed."""
    plan, context = rung.plan, rung.context
    measure_open_latencies(plan.rows, context, lambda row, line: click.echo(f"{row}: {line}", err=True))
    report = write_report(rung.whole, context, is_changed=True)
    rows = (*plan.baselines, *plan.rows)
    records = [
        record for row in rows if (record := planned_record(context.output / row.folder, row.config_hash)) is not None
    ]
    click.echo(failure_lines(records, report.damage), err=True, nl=False)
    click.echo(f"report: {report.page}")
    return len(records) < len(rows) or any(record.status == "failed" for record in records)
