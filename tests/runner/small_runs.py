"""Runs of a small experiment in this process, without the command line."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from benchmark.cli.experiment_setup import Prepared, prepare
from benchmark.cli.options import Selection
from benchmark.experiment.plan import PlannedBaseline, PlannedRow
from benchmark.runner.context import with_cached_sources
from benchmark.runner.events import Event
from benchmark.runner.local_executor import worker_devices
from benchmark.runner.plan_file import write_plan
from benchmark.runner.preflight import preflight
from benchmark.runner.run import run_rows
from reports.schema import Record

Run = tuple[list[Event], list[Record], Path]
"""Events, records, folder."""


def prepared(file: Path, *sets: str, plugins: tuple[Path, ...] = (), threads: int = 1) -> Prepared:
    """Return the plan of an experiment, and where it runs, with as many threads."""
    ready = prepare(Selection(file, file.parent / "runs" / "small", (), (), sets, "cpu", plugins, replace=False))
    machine = dataclasses.replace(ready.context.machine, threads=threads)
    return dataclasses.replace(ready, context=dataclasses.replace(ready.context, machine=machine))


def carry_out(
    ready: Prepared, todo: Sequence[PlannedRow | PlannedBaseline], until: type | None = None
) -> tuple[list[Event], list[Record]]:
    """Run rows; return all events and the records. An event of the type `until` interrupts the run."""
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if until and isinstance(event, until):
            raise KeyboardInterrupt

    context = with_cached_sources(ready.plan.experiment.data, ready.context, lambda event: None)
    try:
        records = run_rows(todo, context, worker_devices(ready.plan, context), on_event)
    except KeyboardInterrupt:
        return events, []
    return events, records


def run(file: Path, *sets: str, plugins: tuple[Path, ...] = (), threads: int = 1) -> Run:
    """Carry out all of an experiment that is not finished."""
    ready = prepared(file, *sets, plugins=plugins, threads=threads)
    todo = preflight(ready.plan, ready.context, replace=False)
    write_plan(ready.whole, ready.plan, ready.context.output, ready.context.command)
    events, records = carry_out(ready, todo)
    return events, records, ready.context.output
