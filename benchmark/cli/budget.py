"""`run --budget` and `plan --budget`: spend a time where it settles most, and say what it is expected to settle."""

from collections.abc import Sequence

import click

from benchmark.cli.experiment_setup import Prepared, part_to_run, rows_to_run
from benchmark.cli.terminal import duration, new_table, show_network, show_table
from benchmark.errors import counted
from benchmark.experiment.load import BASE
from benchmark.experiment.plan import PlannedBaseline, PlannedRow
from benchmark.runner.context import Context
from benchmark.runner.estimates import Estimate, estimate
from benchmark.runner.events import Event, OnEvent
from benchmark.runner.local_executor import worker_devices
from benchmark.runner.row_jobs import AnyRow
from benchmark.runner.run import run_rows
from benchmark.search.budget import BudgetedRows, RowWork, work_of
from reports.schema import Record


def run_within_budget(
    todo: Sequence[AnyRow],
    context: Context,
    devices: Sequence[str],
    on_event: OnEvent,
    times: Estimate,
    ends_at: float,
) -> list[Record]:
    """Run baselines, and then rows as long as they are expected to end in time; see `run_rows`.

    Args:
        todo: What is to be run, in any order.
        context: Of the run, whose plan is written.
        devices: Of each worker.
        on_event: Called with everything that happens.
        times: What the stages take.
        ends_at: When no row shall be running any more, by `time.monotonic`.
    """
    baselines = [row for row in todo if isinstance(row, PlannedBaseline)]
    rows = BudgetedRows(_work(todo, context, times, len(devices)), ends_at)

    def note(event: Event) -> None:
        rows.note(event)
        on_event(event)

    return run_rows(baselines, context, devices, note, estimates=times.seconds, more_rows=rows)


def show_budget(prepared: Prepared, seconds: float, *, replace: bool) -> None:
    """Print in which order a budget is spent, and how many rows it is expected to settle."""
    plan, context = prepared.plan, prepared.context
    todo = rows_to_run(prepared, replace=replace)
    workers = len(worker_devices(plan, context))
    work = _work(todo, context, estimate(part_to_run(plan, todo), context, workers, show_network), workers)
    if not work:
        click.echo("all rows are finished: nothing is left for a budget")
        return
    table = new_table("row", "seeds", "takes about", "chance to be resolved", f"within {duration(seconds)}")
    within: list[RowWork] = []
    spent = 0.0
    for item in work:
        spent += item.seconds / workers
        within += [item] * (spent <= seconds)
        chance = "-" if item.row == BASE else "no records yet" if item.chance is None else f"{item.chance:.0%}"
        fits = "yes" if spent <= seconds else "no"
        table.add_row(item.row, str(len(item.seeds)), duration(item.seconds / workers), chance, fits)
    show_table(table)
    rows = [item for item in within if item.row != BASE]
    chances = [item.chance for item in rows if item.chance is not None]
    forecast = f"expected to settle {sum(chances):.1f} of {counted(len(chances), 'row')} that have records"
    others = f"; {counted(len(rows) - len(chances), 'row')} without records" if len(rows) > len(chances) else ""
    click.echo(f"budget of {duration(seconds)}: {counted(len(rows), 'row')} with all seeds, {forecast}{others}")


def _work(todo: Sequence[AnyRow], context: Context, times: Estimate, workers: int) -> list[RowWork]:
    rows = [row for row in todo if isinstance(row, PlannedRow)]
    alone = {key: workers * seconds for key, seconds in times.seconds.items()}  # an estimate is of workers side by side
    return work_of(rows, context.output, alone)
