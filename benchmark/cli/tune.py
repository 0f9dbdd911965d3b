"""Tuning before a run: train the candidates of all rows, and give each row the best of its own."""

import dataclasses

import click

from benchmark.cli.display import Display, failure_lines
from benchmark.cli.experiment_setup import Prepared, read_data, with_tuned_rows
from benchmark.cli.terminal import duration, show_network
from benchmark.errors import counted
from benchmark.runner.estimates import Estimate, estimate
from benchmark.runner.local_executor import worker_devices
from benchmark.runner.preflight import preflight
from benchmark.runner.run import run_rows
from benchmark.search.tuning import candidates_of, finish_tuning, unfinished


def with_best_candidates(prepared: Prepared, *, replace: bool) -> Prepared:
    """Train the candidates that have no result yet; return the experiment with the best candidate in each chosen row.

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
            records = run_rows(todo, context, devices, display.show, estimates=times.seconds, is_trial=True)
        click.echo(failure_lines(records), err=True, nl=False)
    finish_tuning(plan_of_all, candidates, context)
    whole = with_tuned_rows(prepared.written, plan_of_all, prepared.rows, prepared.seeds, context)
    return dataclasses.replace(whole, study=prepared.study)
