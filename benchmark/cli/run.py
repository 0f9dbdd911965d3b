"""`run`: measure, train and test the rows of an experiment, then write the report; `plan`: show what it would do."""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.executors import LOCAL, SLURM, ExecutorChoice, executor_choice, executor_options
from benchmark.cli.options import Selection, budget_option, selection_options
from benchmark.cli.terminal import duration, show_network
from benchmark.errors import counted
from benchmark.interrupts import resumable_interrupts

if TYPE_CHECKING:  # torch is imported only when the command runs
    from benchmark.cli.display import Display
    from benchmark.cli.experiment_setup import Prepared
    from benchmark.experiment.plan import Plan
    from benchmark.runner.context import Context
    from benchmark.runner.estimates import Estimate
    from benchmark.runner.events import OnEvent
    from benchmark.runner.executor import Executor, OpenExecutor
    from benchmark.runner.row_jobs import AnyRow


@click.command("run")
@selection_options
@budget_option
@click.option("--tensorboard", is_flag=True, help="Write losses, rates and norms for TensorBoard, too.")
@click.option("--yes", is_flag=True, help="Do not ask before a rung (see `scales`) of more than a day.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show the plan and stop, as `plan` does; with --executor slurm show what would be submitted.",
)
@executor_options
@click.option("--follow-up", is_flag=True, hidden=True, help="The jobs of an earlier submission have ended.")
def command(
    *,
    dry_run: bool,
    tensorboard: bool,
    yes: bool,
    executor: str,
    address: str | None,
    sbatch: str | None,
    follow_up: bool,
    budget_seconds: float | None,
    **options: Any,
) -> int:
    """Train, test and compare the rows of the experiment in FILE, then write the report.

    What is finished is never run again: stop it whenever you like, the same command goes on. An experiment with
    `scales` runs all rows with few steps first, reports, and goes on with more.

    \b
    Examples:
      python -m benchmark run experiments/quickstart.yaml
      python -m benchmark run experiments/quickstart.yaml --rows base --rows 'heads.*' --seeds 0
      python -m benchmark run my.yaml --set protocol.coarse.lr=1e-4 --output runs/my_lower_lr
      python -m benchmark run my.yaml --plugin path/to/my_net.py
      python -m benchmark run my.yaml --tensorboard       # then: tensorboard --logdir runs
      python -m benchmark run my.yaml --devices 0,2,3     # a worker on each of these GPUs
      python -m benchmark run my.yaml --executor slurm --sbatch '--partition=gpu --time=12:00:00' --dry-run
      python -m benchmark run my.yaml --budget 4h         # ends at a finished row; the same command goes on
      python -m benchmark run my.yaml --study reports/published/my      # others have run part of it
    """
    selection, choice = Selection(**options), executor_choice(executor, address, sbatch)
    _check_local(executor, tensorboard=tensorboard, budget_seconds=budget_seconds)
    click.echo(f"{selection.file}: loading ...", err=True)  # torch takes seconds
    with resumable_interrupts():
        from benchmark.cli.budget import run_within_budget
        from benchmark.cli.display import failure_lines
        from benchmark.cli.experiment_setup import advice, part_to_run, prepare, use_study
        from benchmark.cli.run_report import write_report
        from benchmark.cli.rungs import may_start
        from benchmark.runner.estimates import Estimate, estimate
        from benchmark.runner.late_gates import measure_open_latencies
        from benchmark.runner.local_executor import worker_devices
        from benchmark.runner.plan_file import write_plan
        from benchmark.runner.preflight import preflight
        from benchmark.runner.run import run_rows

        ends_at = None if budget_seconds is None else time.monotonic() + budget_seconds
        started, written, replace = time.perf_counter(), prepare(selection), selection.replace
        if choice.name == SLURM:
            from benchmark.cli.slurm import submit

            return submit(written, selection, choice.sbatch, dry_run=dry_run, is_follow_up=follow_up)
        if dry_run:
            _show(written, budget_seconds, replace=replace)
            return 0

        has_failed_rows = False
        for prepared in _parts(written, choice.opener, replace=replace):
            plan, context = prepared.plan, prepared.context
            use_study(prepared)
            todo = preflight(plan, context, replace=replace)
            devices = worker_devices(plan, context) if todo else ("cpu",)
            times = estimate(part_to_run(plan, todo), context, len(devices), show_network) if todo else Estimate()
            click.echo("\n".join([_headline(plan, len(todo), times), *advice(plan, times.total)]), err=True)
            if written.written.scales and not (yes or may_start(times.total)):
                break
            write_plan(prepared.whole, plan, context.output, context.command)
            scalars_folder = context.output / "tensorboard" if tensorboard else None
            with _displayed(prepared, todo, times, scalars_folder, choice) as (display, context, on_event):
                if ends_at is None:
                    cluster = _cluster(context, choice) if todo else None
                    records = run_rows(todo, context, devices, on_event, estimates=times.seconds, executor=cluster)
                else:
                    records = run_within_budget(todo, context, devices, on_event, times, ends_at)
                if todo:
                    measure_open_latencies(plan.rows, context, display.end)

            report = write_report(prepared.whole, context, is_changed=bool(todo))
            work = f"{counted(len(records), 'row')} run, {counted(display.steps_trained, 'step')} trained"
            click.echo(f"{plan.experiment.name}: {work}, {duration(time.perf_counter() - started)} in all", err=True)
            click.echo(failure_lines(records, report.damage), err=True, nl=False)
            click.echo(f"report: {report.page}")
            has_failed_rows |= any(record.status == "failed" for record in records)
            if ends_at is not None and len(records) < len(todo):
                click.echo(f"budget: {_unspent(ends_at, len(todo) - len(records))}", err=True)
                break
        return int(has_failed_rows)


@click.command("plan")
@selection_options
@budget_option
@click.option("--write", is_flag=True, help="Write plan.json, too, from which `job` carries out the jobs one by one.")
@click.option(
    "--for", "device_name", metavar="GPU", help="Estimate for a GPU by its data sheet, e.g. H100, A100, V100."
)
def plan(*, write: bool, device_name: str | None, budget_seconds: float | None, **options: Any) -> None:
    """Show rows, stages with their keys, what is shared and what is done, gates and time, without running.

    \b
    Examples:
      python -m benchmark plan experiments/quickstart.yaml
      python -m benchmark plan my.yaml --set protocol.coarse.steps=1000
      python -m benchmark plan my.yaml --write            # then: python -m benchmark job runs/my --list
      python -m benchmark plan my.yaml --for H100         # a range; estimated, not measured
      python -m benchmark plan my.yaml --budget 4h        # what it is expected to settle, by the records there are
    """
    selection = Selection(**options)
    click.echo(f"{selection.file}: loading ...", err=True)  # torch takes seconds
    from benchmark.cli.experiment_setup import prepare, write_prepared

    prepared = prepare(selection)
    if device_name:
        from benchmark.cli.other_device import show_other_device

        show_other_device(prepared, device_name)
        return
    following = _show(prepared, budget_seconds, replace=selection.replace)
    if prepared.plan.experiment.search:
        click.echo("this is what `run` does; the file also has a search, whose trials and time `search` prints")
    if write:
        click.echo(f"plan: {write_prepared(following)}")


def _show(prepared: "Prepared", budget_seconds: float | None, *, replace: bool) -> "Prepared":
    """Print what a run would do, and return the part of it that comes next."""
    from benchmark.cli.budget import show_budget
    from benchmark.cli.experiment_setup import show_plan
    from benchmark.cli.interim import next_analysis, show_analyses
    from benchmark.cli.rungs import show_rungs

    following = next_analysis(prepared)
    show_plan(following, replace=replace)
    show_analyses(prepared, following, replace=replace)
    show_rungs(prepared)
    if budget_seconds is not None:
        show_budget(following, budget_seconds, replace=replace)
    return following


@contextmanager
def _displayed(
    prepared: "Prepared",
    todo: "Sequence[AnyRow]",
    times: "Estimate",
    scalars_folder: Path | None,
    choice: ExecutorChoice,
) -> "Generator[tuple[Display, Context, OnEvent]]":
    """Show what happens inside; yield the display, the context with its data read, and what takes the events."""
    from benchmark.cli.display import Display
    from benchmark.cli.experiment_setup import part_to_run, read_data
    from benchmark.cli.rungs import with_early_report
    from benchmark.runner.context import needed_pairs

    plan = prepared.plan
    needed = {} if choice.opener else needed_pairs(part_to_run(plan, todo), prepared.context)
    with Display(times.seconds, scalars_folder=scalars_folder) as display:
        for row in (row for row in (*plan.baselines, *plan.rows) if row not in todo):
            display.end(row.folder, f"{row.folder}: finished before")
        context = read_data(plan, prepared.context, display, needed) if todo else prepared.context
        yield display, context, with_early_report(display, prepared) if prepared.written.scales else display.show


def _cluster(context: "Context", choice: ExecutorChoice) -> "Executor | None":
    """Return what carries out the jobs of a run; None: workers of this machine. Raises BenchmarkError."""
    from benchmark.runner.job_command import plans_of_run

    return choice.opener(context, plans_of_run(context.output), None) if choice.opener else None


def _parts(written: "Prepared", open_executor: "OpenExecutor | None", *, replace: bool) -> "Iterator[Prepared]":
    """Yield what is run before something is decided by its records: rungs, tuned first, up to each interim analysis."""
    from benchmark.cli.interim import analyses_of
    from benchmark.cli.rungs import rungs_of
    from benchmark.cli.tune import with_best_candidates

    for rung in rungs_of(written):
        yield from analyses_of(with_best_candidates(rung, open_executor, replace=replace) if rung.candidates else rung)


def _check_local(executor: str, *, tensorboard: bool, budget_seconds: float | None) -> None:
    """Raise click.UsageError where an option belongs to the local executor."""
    if executor != LOCAL and tensorboard:
        raise click.UsageError("--tensorboard belongs to --executor local")
    if executor != LOCAL and budget_seconds is not None:
        raise click.UsageError("--budget belongs to --executor local")


def _unspent(ends_at: float, rows: int) -> str:
    left = duration(max(ends_at - time.monotonic(), 0.0))
    return f"{left} left, too little for any of {counted(rows, 'record')} to be made; the same command goes on"


def _headline(plan: "Plan", todo: int, times: "Estimate") -> str:
    rows = len(plan.rows) + len(plan.baselines)
    if not todo:
        return f"{plan.experiment.name}: all {rows} rows are finished; 0 steps to train"
    shared = f"{plan.steps_without_sharing - plan.steps_trained} saved by shared stages"
    steps = counted(sum(plan.stages[key].steps for key in times.seconds), "step")
    work = f"{steps} to train ({shared}), about {duration(times.total)} of training{times.note}"
    return f"{plan.experiment.name}: {todo} of {counted(rows, 'row')} to run, {work}"
