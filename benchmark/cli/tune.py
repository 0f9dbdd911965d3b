"""Tuning before a run: train the candidates of all rows, and give each row the best of its own."""

import dataclasses
from collections.abc import Sequence

import click

from benchmark.cli.display import Display, failure_lines
from benchmark.cli.experiment_setup import Prepared, read_data, with_tuned_rows
from benchmark.cli.terminal import duration, show_network
from benchmark.errors import counted
from benchmark.experiment.plan import PlannedRow
from benchmark.runner.estimates import Estimate, estimate
from benchmark.runner.executor import OpenExecutor
from benchmark.runner.local_executor import worker_devices
from benchmark.runner.preflight import preflight
from benchmark.runner.run import run_rows
from benchmark.search.tuning import candidates_of, finish_tuning, unfinished, written_plans


def with_best_candidates(prepared: Prepared, open_executor: OpenExecutor | None, *, replace: bool) -> Prepared:
    """Train the candidates that have no result yet; return the experiment with the best candidate in each chosen row.

    Args:
        prepared: An experiment with tuning.
        open_executor: Opens what carries out the jobs; None: workers of this machine.
        replace: Train candidates again whose records belong to other settings.

    Raises:
        RecordError: A candidate failed otherwise than by divergence.
    """
    plan_of_all, context = prepared.candidates, prepared.context
    assert plan_of_all is not None
    candidates = candidates_of(prepared.rows, plan_of_all)
    todo = unfinished(candidates, context, replace=replace)
    plan = dataclasses.replace(plan_of_all, rows=tuple(todo))
    preflight(plan, context, replace=replace)
    devices = worker_devices(plan_of_all, context)
    times = estimate(plan, context, len(devices), show_network) if todo else Estimate()
    about = f", about {duration(times.total)}{times.note}" if todo else ""
    headline = f"tuning: {len(todo)} of {counted(len(candidates), 'candidate')} to train{about}"
    click.echo(f"{plan.experiment.name}: {headline}", err=True)
    if todo:
        with Display(times.seconds) as display:
            context = read_data(plan_of_all, context, display)
            cluster = open_executor(context, written_plans(plan, context), None) if open_executor else None
            records = run_rows(
                todo, context, devices, display.show, estimates=times.seconds, is_trial=True, executor=cluster
            )
        click.echo(failure_lines(records), err=True, nl=False)
    return with_choices(prepared, candidates)


def with_choices(prepared: Prepared, candidates: Sequence[PlannedRow]) -> Prepared:
    """Return the experiment with the best candidate in each chosen row, all of which have results.

    Raises:
        RecordError: A candidate failed otherwise than by divergence.
    """
    plan_of_all, context = prepared.candidates, prepared.context
    assert plan_of_all is not None
    finish_tuning(plan_of_all, candidates, context)
    whole = with_tuned_rows(prepared.written, plan_of_all, prepared.rows, prepared.seeds, context)
    return dataclasses.replace(whole, study=prepared.study)
