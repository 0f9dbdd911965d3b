"""`run --executor slurm`: submit the jobs of an experiment to a cluster, and go on when they have ended."""

import shlex
import sys
from collections.abc import Sequence

import click

from benchmark.cli.display import failure_lines
from benchmark.cli.experiment_setup import Prepared, refuse_untuned, use_study
from benchmark.cli.interim import analyses_of, next_analysis
from benchmark.cli.options import Selection
from benchmark.cli.run_report import write_report
from benchmark.cli.rungs import first_rung, rungs_of
from benchmark.errors import counted
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

_FOLLOW_UP = "--follow-up"


def submit(written: Prepared, selection: Selection, options: str, *, dry_run: bool, is_follow_up: bool) -> int:
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
        rung = next_analysis(first_rung(written))
        if not _unfinished_rows(rung, selection):
            click.echo(f"# {rung.plan.experiment.name}: all rows are finished; nothing to submit")
            return 0
        submitted, script = _submitted(pending_jobs(_jobs(rung)), rung, selection), _script(rung)
        click.echo(submission_script(submitted, rung.context.output, script, shlex.split(options)))
        return 0
    has_failed_rows = False
    for rung in (part for scale in rungs_of(written) for part in analyses_of(scale)):
        use_study(rung)
        todo, output = _unfinished_rows(rung, selection), rung.context.output
        write_plan(rung.whole, rung.plan, output, rung.context.command)
        queue = SlurmQueue(output)
        if not is_follow_up:
            queue.forget_ended()
        if todo and (pending := pending_jobs(_jobs(rung), queue.submissions() if is_follow_up else None)):
            submitted = _submitted(pending, rung, selection)
            count = queue.submit(submitted, _script(rung), shlex.split(options))
            new = f"{count} submitted" if count else "all are in the queue already"
            logs = script_file(output).parent
            click.echo(f"{rung.plan.experiment.name}: {counted(len(pending), 'job')} to do; {new}; logs in {logs}")
            return 0
        has_failed_rows |= _report(rung)
    return int(has_failed_rows)


def _unfinished_rows(rung: Prepared, selection: Selection) -> bool:
    """Return whether rows are to be run. Raises BenchmarkError where the plan cannot work."""
    refuse_untuned(rung)
    return bool(preflight(rung.plan, rung.context, replace=selection.replace))


def _jobs(rung: Prepared) -> JobList:
    """Return the jobs of the chosen rows, with or without a plan.json."""
    context, folders = rung.context, [row.folder for row in rung.plan.rows]
    return JobList(plan_file(rung.whole, context.command, context.output, folders), context.output, context.store)


def _submitted(pending: Sequence[ListedJob], rung: Prepared, selection: Selection) -> list[SlurmJob]:
    """Return the pending jobs as SLURM has them, and the job that calls this command again when they have ended."""
    arguments = [argument for argument in sys.argv[1:] if argument not in (_FOLLOW_UP, "--dry-run")]
    return slurm_jobs(pending, rung.context.output, selection.plugins, [*arguments, _FOLLOW_UP])


def _script(rung: Prepared) -> str:
    threads = max((int(stage.settings.threads) for stage in rung.plan.stages.values()), default=1)
    return job_script(rung.context.output, has_gpu=rung.plan.environment.device != "cpu", threads=threads)


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
