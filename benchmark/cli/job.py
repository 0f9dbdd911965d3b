"""`job`: carry out one job of a plan, so that any scheduler can run an experiment; list its jobs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.cli.options import command_line, plugin_option
from benchmark.errors import RecordError
from benchmark.interrupts import resumable_interrupts

if TYPE_CHECKING:  # torch is imported only when the command runs
    from benchmark.runner.job_list import JobList


@click.command("job")
@click.argument("folder", metavar="RUN_FOLDER", type=click.Path(path_type=Path))
@click.argument("job_id", metavar="[JOB_ID]", default="")
@click.option(
    "--list", "is_list", is_flag=True, help="Print the jobs, or that one: id, state, kind, name, what it waits for."
)
@click.option("--device", metavar="NAME", help="cpu, cuda or cuda:N.  [default: of the kind that the plan is for]")
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), hidden=True, help="In place of plan.json.")
@click.option("--rule", "rule_file", type=click.Path(path_type=Path), hidden=True, help="May end the stage.")
@click.option("--trial", "is_trial", is_flag=True, hidden=True, help="Rows are scored on val.")
@plugin_option
def command(
    folder: Path,
    job_id: str,
    device: str | None,
    plan_file: Path | None,
    rule_file: Path | None,
    plugins: tuple[Path, ...],
    *,
    is_list: bool,
    is_trial: bool,
) -> int:
    """Carry out one job of the plan in RUN_FOLDER: measure a network, train a stage, test a row or a baseline.

    Any process on any machine that shares the folder above RUN_FOLDER may do so, side by side with others and with
    `run`. A job that is done says so; stop one whenever you like, the same command goes on. JOB_ID is an id
    or a name as --list prints them; the first 6 characters of an id are enough where no other begins so.

    \b
    Exit codes:
      0   done, now or before        1   failed: the record of its row says why
      2   a job that it needs is not done, or another mistake
      85  interrupted: start the same command again

    \b
    Examples:
      python -m benchmark plan experiments/quickstart.yaml --write     writes runs/quickstart/plan.json
      python -m benchmark job runs/quickstart --list
      python -m benchmark job runs/quickstart base/seed0/coarse
      python -m benchmark job runs/quickstart --list | awk '$2 == "ready" {print $1}'
    """
    with resumable_interrupts():
        from benchmark.runner.job_list import JobList
        from benchmark.runner.plan_file import read_plan
        from benchmark.runner.stage_store import StageStore

        store = StageStore(Path(os.path.abspath(folder)).parent / ".stages")  # noqa: PTH100  # `runs/x` may be a link
        jobs = JobList(read_plan(folder, plan_file), folder, store, is_trial)
        if is_list:
            for job in [jobs.find(job_id)] if job_id else jobs.jobs.values():
                status = jobs.status(job)
                click.echo(f"{job.id}  {status.state:7s}  {job.kind:8s}  {job.name}  {status.detail}".rstrip())
            return 0
        if not job_id:
            raise click.UsageError(f"name a job; python -m benchmark job {folder} --list shows them")
        return _carry_out(jobs, job_id, device, rule_file, plugins)


def _carry_out(
    jobs: "JobList", job_id: str, device: str | None, rule_file: Path | None, plugins: tuple[Path, ...]
) -> int:
    from benchmark.cli.display import Display
    from benchmark.inference.device_setup import prepare_machine
    from benchmark.registry import Registry
    from benchmark.runner.pruning_rules import read_rule
    from benchmark.runner.single_job import carry_out

    job = jobs.find(job_id)
    if jobs.status(job, verify=True).state == "done":
        click.echo(f"{job}: finished before")
        return 0
    if missing := jobs.missing_needs(job, verify=True):
        raise RecordError(f"{job}: waits for {', '.join(map(str, missing))}; carry that out first")
    machine = prepare_machine(device or ("cpu" if jobs.plan.environment.get("device") == "cpu" else None))
    rule = read_rule(rule_file) if rule_file else None
    with Display({}) as display:
        failure = carry_out(job, jobs, machine, Registry(plugins), command_line(), display.show, rule)
    click.echo(f"{job}: {f'failed: {failure.message}' if failure else 'done'}")
    return int(failure is not None)
