"""From the options of a command to a plan: what `run` and `plan` have in common."""

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import click

from benchmark.cli.options import Selection, command_line, matching_rows
from benchmark.experiment.load import Experiment, load
from benchmark.experiment.plan import Plan, select
from benchmark.registry import Registry
from benchmark.runner.context import Context, cache_sources, open_sources
from benchmark.runner.device_setup import prepare_machine
from benchmark.runner.progress_events import Event
from benchmark.runner.run import output_folder, plan_of
from benchmark.runner.stage_store import StageStore
from benchmark.search.tuning import tries_plan, tuned


@dataclass(frozen=True)
class Prepared:
    """`plan`: what was asked for; `whole`: all rows of the experiment, which a report is to show.

    Of an experiment with tuning `tries` is the plan of all its candidates, and `asked` the experiment as written.
    """

    plan: Plan
    whole: Plan
    context: Context
    asked: Experiment
    tries: Plan | None = None

    @property
    def rows(self) -> list[str]:
        """Names of the rows that were asked for."""
        return list(dict.fromkeys(run.row for run in self.plan.runs))

    def with_cached_data(self) -> Generator[Event, None, "Prepared"]:
        """The same with all images decoded or rendered; yields the progress of it."""
        sources = yield from cache_sources(self.plan.experiment, self.context.sources, self.context.registry)
        return dataclasses.replace(self, context=dataclasses.replace(self.context, sources=sources))


def prepare(selection: Selection) -> Prepared:
    """Read the experiment, open its data, lay out the plan. Trains and renders nothing. Raises BenchmarkError."""
    registry = Registry(selection.plugins)
    experiment = _with_seeds(load(selection.file, registry, selection.sets), selection.seeds)
    for notice in experiment.notices:
        click.echo(f"note: {notice}", err=True)
    machine = prepare_machine(selection.device)
    output = output_folder(experiment.name, selection.output)
    store = StageStore(output.parent / ".stages")
    context = Context(output, store, machine, registry, command_line(), open_sources(experiment, registry))
    rows = matching_rows(selection.rows, [row.name for row in experiment.rows])
    tries = tries_plan(experiment, experiment.tuning, context) if experiment.tuning else None
    return lay_out(experiment, tries, rows, selection.seeds, context)


def lay_out(
    experiment: Experiment, tries: Plan | None, rows: Sequence[str], seeds: Sequence[int], context: Context
) -> Prepared:
    """The plan of the experiment with its rows tuned as far as their tries have come to an end."""
    whole = plan_of(tuned(experiment, tries, context) if tries else experiment, context)
    return Prepared(select(whole, rows, seeds), whole, context, experiment, tries)


def _with_seeds(experiment: Experiment, seeds: tuple[int, ...]) -> Experiment:
    """With the seeds asked for beside those of the file."""
    return dataclasses.replace(experiment, seeds=tuple(dict.fromkeys((*experiment.seeds, *seeds))))
