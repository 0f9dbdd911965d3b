"""The interim analyses of an experiment: all rows with the first seeds, then those that are not resolved with more."""

import dataclasses
from collections.abc import Iterator

import click

from benchmark.cli.experiment_setup import Prepared, part_to_run, rows_to_run
from benchmark.cli.terminal import duration, show_network
from benchmark.errors import counted
from benchmark.experiment.plan import select
from benchmark.runner.estimates import estimate
from benchmark.runner.local_executor import worker_devices
from benchmark.search.interim import RowSeeds, after_analysis, has_plan, mark_stops, seeds_so_far, with_seeds
from reports.results.load import load
from reports.statistics.error_spending import error_spent


def analyses_of(prepared: Prepared) -> Iterator[Prepared]:
    """Yield an experiment with the seeds up to each analysis, to be run before the next one is asked for.

    Without interim analyses it is yielded as it is. What stopped before stays stopped. It ends where records are
    missing, because a run was stopped or only some rows were chosen: the same command goes on.
    """
    adaptive, output = prepared.written.adaptive_seeds, prepared.context.output
    if adaptive is None:
        yield prepared
        return
    seeds = seeds_so_far(prepared.whole, adaptive, output, prepared.study)
    while True:
        mark_stops(output, seeds, prepared.context.store)
        yield _with_seeds(prepared, seeds)
        following = after_analysis(load(output), seeds, adaptive.analyses)
        if following == seeds:
            return
        for line in _decisions(seeds, following):
            click.echo(line, err=True)
        seeds = following


def next_analysis(prepared: Prepared) -> Prepared:
    """Return an experiment with the seeds that `run` would come to next, as the records that are there decide."""
    adaptive, output = prepared.written.adaptive_seeds, prepared.context.output
    if adaptive is None:
        return prepared
    seeds = seeds_so_far(prepared.whole, adaptive, output, prepared.study)
    if has_plan(output):
        seeds = after_analysis(load(output), seeds, adaptive.analyses)
    return _with_seeds(prepared, seeds)


def show_analyses(prepared: Prepared, following: Prepared, *, replace: bool) -> None:
    """Print the planned analyses, and what a run trains at least and at most; nothing where there is one analysis.

    Args:
        prepared: The experiment with the most seeds that rows may have.
        following: The same with the seeds up to the next analysis.
        replace: Run rows again whose records belong to other settings.
    """
    if (adaptive := prepared.written.adaptive_seeds) is None:
        return
    spent = error_spent(adaptive.analyses, 100.0, adaptive.exponent)
    shares = ", ".join(f"{count} ({share:.3g} %)" for count, share in zip(adaptive.analyses, spent, strict=True))
    click.echo(f"interim analyses after {shares} seeds; in brackets the share of the error rate that each spends")
    stopped = following.plan.stopped_at
    if stopped:
        click.echo(f"stopped, resolved: {', '.join(f'{row} after {count}' for row, count in stopped.items())}")
    kept = [row for row in following.plan.rows if row.row in stopped]
    others = [row for row in prepared.plan.rows if row.row not in stopped]
    most = dataclasses.replace(prepared, plan=dataclasses.replace(prepared.plan, rows=(*kept, *others)))
    _show_work("at least", following, replace=replace)
    _show_work("at most", most, replace=replace)


def _with_seeds(prepared: Prepared, seeds: dict[str, RowSeeds]) -> Prepared:
    whole = with_seeds(prepared.whole, seeds)
    return dataclasses.replace(prepared, whole=whole, plan=select(whole, prepared.rows, ()))


def _show_work(name: str, prepared: Prepared, *, replace: bool) -> None:
    plan, context = prepared.plan, prepared.context
    todo = part_to_run(plan, rows_to_run(prepared, replace=replace))
    times = estimate(todo, context, len(worker_devices(plan, context)), show_network)
    steps = counted(sum(plan.stages[key].steps for key in times.seconds), "step")
    click.echo(f"{name}: {counted(len(plan.rows), 'record')}, {steps} to train, about {duration(times.total)}")


def _decisions(before: dict[str, RowSeeds], after: dict[str, RowSeeds]) -> Iterator[str]:
    """Yield which rows an analysis stops, and which get more seeds, by the seeds that they had."""
    for count in sorted({row.count for row in before.values()}):
        due = [name for name in before if before[name].count == count and after[name] != before[name]]
        stops = [name for name in due if after[name].stopped_at]
        others = [name for name in due if name not in stops]
        if stops:
            yield f"interim analysis after {count} seeds: resolved, so they stop: {', '.join(stops)}"
        if others:
            most = max(after[name].count for name in others)
            yield f"interim analysis after {count} seeds: open, so they get {most}: {', '.join(others)}"
