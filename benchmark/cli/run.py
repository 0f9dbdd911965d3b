"""`run`: plan, gates, stages, evaluation, records, report."""

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import Selection, selection_options
from benchmark.generators import result_of
from benchmark.interrupts import resumable_interrupts

if TYPE_CHECKING:  # torch comes in only when the command runs
    from benchmark.cli.setup import Prepared
    from benchmark.experiment.plan import Floor, Plan, Run
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
        from benchmark.cli.plan import show_plan
        from benchmark.cli.setup import prepare

        prepared = prepare(selection)
        if dry_run:
            show_plan(prepared, replace=selection.replace)
            return 0
        return _run(prepared, replace=selection.replace, tensorboard=tensorboard)


def _run(prepared: "Prepared", *, replace: bool, tensorboard: bool) -> int:
    from benchmark.cli.display import Display
    from benchmark.cli.plan import advice
    from benchmark.cli.tensorboard import with_scalars
    from benchmark.runner.map_images import write_map_pictures
    from benchmark.runner.run import check, execute, write_plan
    from benchmark.runner.time_estimate import estimate_seconds
    from reports import first_examples, write

    started = time.perf_counter()
    if prepared.tries:
        prepared = _tune(prepared, prepared.tries, replace=replace)
    plan, context = prepared.plan, prepared.context
    todo = check(plan, context, replace=replace)
    estimates = estimate_seconds(plan, context) if todo else {}
    click.echo("\n".join([_headline(plan, todo, estimates), *advice(plan, sum(estimates.values()))]), err=True)
    write_plan(prepared.whole, context)
    with Display(estimates) as display:
        if todo:
            context = result_of(prepared.with_cached_data(), display.show).context
        events = execute(plan, context, todo, estimates)
        scalars = context.output / "tensorboard"
        records = result_of(with_scalars(events, scalars) if tensorboard else events, display.show)
    write_map_pictures(prepared.whole, first_examples(context.output), context)
    page = write(context.output)
    click.echo(_outcome(plan, records, time.perf_counter() - started), err=True)
    click.echo(f"report: {page}")
    return 1 if any(record.status == "failed" for record in records) else 0


def _tune(prepared: "Prepared", tries: "Plan", *, replace: bool) -> "Prepared":
    """Try the candidates of all rows, then lay out the plan anew with the best of each."""
    from benchmark.cli.display import Display, duration
    from benchmark.cli.setup import lay_out
    from benchmark.runner.run import check
    from benchmark.runner.time_estimate import estimate_seconds
    from benchmark.search.tuning import run_tries, tries_of, unfinished, write_tuning

    context = prepared.context
    of_rows = tries_of(prepared.rows, tries, prepared.asked)
    todo = unfinished(of_rows, context, replace=replace)
    asked = dataclasses.replace(tries, runs=tuple(todo))
    check(asked, context, replace=replace)
    estimates = estimate_seconds(asked, context) if todo else {}
    duration_text = f", about {duration(sum(estimates.values()))}" if todo else ""
    click.echo(
        f"{prepared.asked.name}: tuning: {len(todo)} of {len(of_rows)} candidates to try{duration_text}", err=True
    )
    if todo:
        with Display(estimates) as display:
            cached = result_of(prepared.with_cached_data(), display.show).context
            records = result_of(run_tries(tries, cached, todo, estimates), display.show)
        click.echo("".join(f"{line}\n" for line in _failures(records)), err=True, nl=False)
    write_tuning(prepared.asked, tries, context)
    return lay_out(prepared.asked, tries, prepared.rows, sorted({run.seed for run in prepared.plan.runs}), context)


def _headline(plan: "Plan", todo: "Sequence[Run | Floor]", estimates: dict[str, float]) -> str:
    from benchmark.cli.display import duration

    all_rows = len(plan.runs) + len(plan.floors)
    if not todo:
        return f"{plan.experiment.name}: all {all_rows} rows are finished; 0 steps to train"
    shared = plan.steps_without_sharing - plan.steps_trained
    return (
        f"{plan.experiment.name}: {len(todo)} of {all_rows} rows to run, "
        f"{sum(plan.stages[key].steps for key in estimates)} steps to train ({shared} saved by shared stages), "
        f"about {duration(sum(estimates.values()))} of training"
    )


def _outcome(plan: "Plan", records: "Sequence[Record]", seconds: float) -> str:
    from benchmark.cli.display import duration

    trained = sum(stage.steps for record in records for stage in record.stages if not stage.reused)
    head = f"{plan.experiment.name}: {len(records)} rows run, {trained} steps trained, {duration(seconds)} in all"
    return "\n".join([head, *_failures(records)])


def _failures(records: "Sequence[Record]") -> list[str]:
    return [
        f"failed: {record.row} seed {record.seed}: {record.reason}" for record in records if record.status == "failed"
    ]
