"""The rungs of an experiment: all rows with few steps first, then the rows that go on with more steps."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from benchmark.cli.display import Display
from benchmark.cli.experiment_setup import LONG_SECONDS, Prepared, with_tuned_rows
from benchmark.cli.terminal import duration, show_network
from benchmark.errors import counted
from benchmark.experiment.load import BASE, Experiment
from benchmark.experiment.plan import Plan, select
from benchmark.experiment.rungs import folder_on_scale, on_scale
from benchmark.experiment.scales import Scale, with_first_rungs
from benchmark.files import write_json
from benchmark.runner.estimates import estimate
from benchmark.runner.events import Event, RowFinished
from benchmark.runner.local_executor import worker_devices
from benchmark.search.promotion import promoted
from benchmark.search.tuning import candidates_plan, tuned
from reports import write
from reports.errors import FileFormatError
from reports.report_stamp import is_current
from reports.schema import RUNGS, RungEntry, RungsFile, read, to_json

FIRST_TRAINING_SECONDS = 240.0
"""The base row with one seed is trained within this time on the first rung. Pairs that are drawn, gates and tests come
to it, so that a report is there after some 10 minutes."""


def rungs_of(prepared: Prepared) -> Iterator[Prepared]:
    """Yield each rung of an experiment, to be run before the next one is asked for; without scales itself alone.

    After a rung it says which conclusions changed and which rows stay behind. Tuning happens on the first scale that
    the file names; the rungs after it keep the choice. Rungs that were added before it run rows as they are written.
    """
    experiment, context, rows = prepared.written, prepared.context, prepared.rows
    if not experiment.scales:
        yield prepared
        return
    scales = scales_of(prepared)
    device, entries = context.machine.device_name, tuple(_entry(scale, context.output) for scale in scales)
    for number, scale in enumerate(scales, 1):
        rung = prepared_on_scale(prepared, experiment, scale)
        rung = dataclasses.replace(rung, plan=select(rung.plan, rows, ()))
        for folder in (context.output, rung.context.output):
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / RUNGS, to_json(RungsFile(device=device, rungs=entries)))
        is_added = scale not in experiment.scales
        added = ", added so that the base row has a result soon" if is_added else ""
        work = f"{counted(len(rows), 'row')} with {scale.steps} of the steps{added}"
        click.echo(f"rung {number} of {len(scales)}: {work}", err=True)
        was_current = is_current(rung.context.output)
        yield rung
        if not was_current:
            from reports.pages.rungs import changed_conclusions  # pandas and matplotlib are slow to import

            for change in changed_conclusions(rung.context.output):
                click.echo(f"changed: {change}", err=True)
        if rung.candidates:
            experiment = dataclasses.replace(tuned(experiment, rung.candidates, rung.context), tuning=None)
            rung = prepared_on_scale(prepared, experiment, scale)
        if number < len(scales):
            rows = _next_rows(dataclasses.replace(rung, plan=select(rung.plan, rows, ())))


def first_rung(prepared: Prepared) -> Prepared:
    """Return the first rung of an experiment; without scales the experiment itself. Nothing is written."""
    written = prepared.written
    return prepared_on_scale(prepared, written, scales_of(prepared)[0]) if written.scales else prepared


def show_rungs(prepared: Prepared) -> None:
    """Print a line for each rung: what it would train, and how long that takes; nothing without scales.

    The last line says whether all of them, with all rows and with tuning, fit into the hours of the experiment.
    """
    written, seconds = prepared.written, 0.0
    for scale in scales_of(prepared) if written.scales else ():
        rung = prepared_on_scale(prepared, written, scale)
        if rung.candidates:
            seconds += _show_work("tuning on rung", scale, rung.candidates, rung)
        seconds += _show_work("rung", scale, rung.plan, rung)
    if written.hours is not None and written.scales:
        fits = "fits into" if seconds <= 3600 * written.hours else "does not fit into"
        machine = f"{prepared.context.machine.device_name}, {counted(prepared.context.machine.threads, 'thread')}"
        made_for = f"the {duration(3600 * written.hours)} that it is made for"
        click.echo(f"{duration(seconds)} with all rows on all rungs: {fits} {made_for}, on {machine}")


def _show_work(name: str, scale: Scale, plan: Plan, rung: Prepared) -> float:
    """Print what a rung or its tuning would train, and return the seconds."""
    times = estimate(plan, rung.context, len(worker_devices(plan, rung.context)), show_network)
    steps = counted(sum(plan.stages[key].steps for key in times.seconds), "step")
    folder = rung.context.output
    click.echo(f"{name} {scale.steps}: {steps} to train, about {duration(times.total)}{times.note} ({folder})")
    return times.total


def may_start(seconds: float) -> bool:
    """Ask a user at a terminal whether to start what takes more than a day; without a terminal it starts."""
    if seconds <= LONG_SECONDS or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return click.confirm(f"about {duration(seconds)} of training: start this rung", default=True, err=True)


def with_early_report(display: Display, prepared: Prepared) -> Callable[[Event], None]:
    """Return what shows events, and writes a report once the base row has its first seed."""
    first = prepared.plan.rows[0].seed if prepared.plan.rows else None

    def on_event(event: Event) -> None:
        display.show(event)
        if isinstance(event, RowFinished) and (event.record.row, event.record.seed) == (BASE, first):
            display.end(event.folder, f"report: {write(prepared.context.output).page}")

    return on_event


def prepared_on_scale(prepared: Prepared, experiment: Experiment, scale: Scale) -> Prepared:
    """Return a prepared experiment on one of its scales, in the folder of this rung, with its rows and seeds.

    Args:
        prepared: The experiment as it is written, which gives rows, seeds, data and machine.
        experiment: The same, with rows that an earlier rung tuned.
        scale: The rung; rows are tuned on the first one that the file names.
    """
    is_tuned = scale == experiment.scales[0]
    written = on_scale(experiment if is_tuned else dataclasses.replace(experiment, tuning=None), scale)
    output = folder_on_scale(prepared.context.output, scale)
    context = dataclasses.replace(prepared.context, experiment=written.name, output=output)
    candidates = candidates_plan(written, context)
    rung = with_tuned_rows(written, candidates, prepared.rows, prepared.seeds[: scale.seeds], context)
    return dataclasses.replace(rung, study=prepared.study)


def scales_of(prepared: Prepared) -> tuple[Scale, ...]:
    """Return the scales of an experiment, with smaller ones in front where its base row takes long on this machine.

    What was chosen for a run on this device is kept: another estimate must not add a rung to it.
    """
    experiment, context = prepared.written, prepared.context
    chosen = _chosen_before(context.output, context.machine.device_name)
    if chosen[-len(experiment.scales) :] == experiment.scales:
        return chosen
    base = [row for row in prepared.whole.rows if row.row == BASE][:1]
    seconds = estimate(dataclasses.replace(prepared.whole, rows=tuple(base)), context, on_network=show_network).total
    most_steps = max((stage.steps for row in base for stage in row.stages), default=0)
    return with_first_rungs(experiment.scales, seconds, FIRST_TRAINING_SECONDS, most_steps)


def _chosen_before(output: Path, device: str) -> tuple[Scale, ...]:
    try:
        file = read(RungsFile, output / RUNGS)
    except FileFormatError:  # there is none yet
        return ()
    scales = (Scale(steps=rung.steps, lr=rung.lr, seeds=rung.seeds) for rung in file.rungs)
    return tuple(scales) if file.device == device else ()


def _entry(scale: Scale, output: Path) -> RungEntry:
    folder = folder_on_scale(output.resolve(), scale).name
    return RungEntry(steps=scale.steps, lr=scale.lr, seeds=scale.seeds, folder=folder)


def _next_rows(finished: Prepared) -> Sequence[str]:
    """Return the rows of the next rung, and say which stay behind."""
    promotion = finished.written.promote
    rows = promoted(finished.plan, finished.context, promotion)
    if behind := [row for row in finished.rows if row not in rows]:
        reason = "others beat them" if promotion == "front" else "their difference to base is settled"
        click.echo(f"{', '.join(behind)} stay behind: on val {reason}", err=True)
    return rows
