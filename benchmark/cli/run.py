"""`run`: measure, train and test the rows of an experiment, then write the report; `plan`: show what it would do."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import Selection, selection_options
from benchmark.cli.terminal import duration
from benchmark.errors import counted
from benchmark.interrupts import resumable_interrupts

if TYPE_CHECKING:  # torch is imported only when the command runs
    from benchmark.experiment.plan import Plan
    from reports.schema import Record


@click.command("run")
@selection_options
@click.option("--tensorboard", is_flag=True, help="Write losses, rates and norms for TensorBoard, too.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop; the same as `plan`.")
def command(dry_run: bool, tensorboard: bool, **options: Any) -> int:
    """Train, test and compare the rows of the experiment in FILE, then write the report.

    What is finished is never run again: stop it whenever you like, the same command goes on.

    \b
    Examples:
      python -m benchmark run experiments/quickstart.yaml
      python -m benchmark run experiments/quickstart.yaml --rows base --rows 'heads.*' --seeds 0
      python -m benchmark run my.yaml --set protocol.coarse.lr=1e-4 --output runs/my_lower_lr
      python -m benchmark run my.yaml --plugin path/to/my_net.py
      python -m benchmark run my.yaml --tensorboard       # then: tensorboard --logdir runs
    """
    selection = Selection(**options)
    with resumable_interrupts():
        from benchmark.cli.display import Display
        from benchmark.cli.experiment_setup import advice, prepare, read_data, show_plan, with_tuned_rows
        from benchmark.runner.local_executor import worker_devices
        from benchmark.runner.maps import write_map_images
        from benchmark.runner.plan_file import write_plan
        from benchmark.runner.preflight import estimate_seconds, preflight
        from benchmark.runner.run import run_rows
        from benchmark.search.tuning import candidates_of, finish_tuning, unfinished
        from reports import first_examples, write

        started, prepared, replace = time.perf_counter(), prepare(selection), selection.replace
        if dry_run:
            show_plan(prepared, replace=replace)
            return 0
        context = prepared.context

        if prepared.candidates:  # tuning: find the best candidate of each row, then plan the rows anew
            candidates = candidates_of(prepared.rows, prepared.candidates)
            todo = unfinished(candidates, context, replace=replace)
            plan = dataclasses.replace(prepared.candidates, rows=tuple(todo))
            preflight(plan, context, replace=replace)
            devices = worker_devices(prepared.candidates, context)
            estimates = estimate_seconds(plan, context, len(devices)) if todo else {}
            estimate = f", about {duration(sum(estimates.values()))}" if todo else ""
            headline = f"tuning: {len(todo)} of {counted(len(candidates), 'candidate')} to train{estimate}"
            click.echo(f"{plan.experiment.name}: {headline}", err=True)
            if todo:
                with Display(estimates) as display:
                    context = read_data(prepared.candidates, context, display)
                    records = run_rows(todo, context, devices, display.show, estimates=estimates, is_trial=True)
                click.echo(_failures(records), err=True, nl=False)
            finish_tuning(prepared.candidates, candidates, context)
            prepared = with_tuned_rows(prepared.written, prepared.candidates, prepared.rows, selection.seeds, context)

        plan = prepared.plan
        todo = preflight(plan, context, replace=replace)
        devices = worker_devices(plan, context)
        estimates = estimate_seconds(plan, context, len(devices)) if todo else {}
        click.echo("\n".join([_headline(plan, len(todo), estimates), *advice(plan, sum(estimates.values()))]), err=True)
        write_plan(prepared.whole, plan, context.output, context.command)
        with Display(estimates, scalars_folder=context.output / "tensorboard" if tensorboard else None) as display:
            for row in (row for row in (*plan.baselines, *plan.rows) if row not in todo):
                display.end(row.folder, f"{row.folder}: finished before")
            context = read_data(plan, context, display) if todo else context
            records = run_rows(todo, context, devices, display.show, estimates=estimates)

        write_map_images(prepared.whole, first_examples(context.output), context)
        report = write(context.output)
        work = f"{counted(len(records), 'row')} run, {counted(display.steps_trained, 'step')} trained"
        click.echo(f"{plan.experiment.name}: {work}, {duration(time.perf_counter() - started)} in all", err=True)
        click.echo(_failures(records, report.damage), err=True, nl=False)
        click.echo(f"report: {report.page}")
        return 1 if any(record.status == "failed" for record in records) else 0


@click.command("plan")
@selection_options
@click.option("--write", is_flag=True, help="Write plan.json, too, from which `job` carries out the jobs one by one.")
def plan(*, write: bool, **options: Any) -> None:
    """Show rows, stages with their keys, what is shared and what is done, gates and time, without running.

    \b
    Examples:
      python -m benchmark plan experiments/quickstart.yaml
      python -m benchmark plan my.yaml --set protocol.coarse.steps=1000
      python -m benchmark plan my.yaml --write            # then: python -m benchmark job runs/my --list
    """
    from benchmark.cli.experiment_setup import prepare, show_plan, write_prepared

    selection = Selection(**options)
    prepared = prepare(selection)
    show_plan(prepared, replace=selection.replace)
    if write:
        click.echo(f"plan: {write_prepared(prepared)}")


def _headline(plan: "Plan", todo: int, estimates: Mapping[str, float]) -> str:
    rows = len(plan.rows) + len(plan.baselines)
    if not todo:
        return f"{plan.experiment.name}: all {rows} rows are finished; 0 steps to train"
    shared = f"{plan.steps_without_sharing - plan.steps_trained} saved by shared stages"
    steps, seconds = counted(sum(plan.stages[key].steps for key in estimates), "step"), sum(estimates.values())
    work = f"{steps} to train ({shared}), about {duration(seconds)} of training"
    return f"{plan.experiment.name}: {todo} of {counted(rows, 'row')} to run, {work}"


def _failures(records: "Sequence[Record]", damage: Sequence[str] = ()) -> str:
    """Return a line for each failed record and each damaged file."""
    failed = [
        f"failed: {record.row}{'' if record.seed is None else f' seed {record.seed}'}: {record.reason}"
        for record in records
        if record.status == "failed"
    ]
    return "".join(f"{line}\n" for line in (*failed, *(f"damaged: {line}" for line in damage)))
