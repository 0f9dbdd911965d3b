"""From the options of a command to a plan: what `run`, `plan` and `search` have in common."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmark.cli.options import Selection, command_line, matching_rows
from benchmark.experiment.load import Experiment, load
from benchmark.experiment.plan import Plan, select
from benchmark.inference.device_setup import prepare_machine
from benchmark.registry import Registry
from benchmark.runner.context import Context, open_sources, plan_of
from benchmark.runner.stage_store import StageStore
from benchmark.search.tuning import candidates_plan, tuned


@dataclass(frozen=True)
class Prepared:
    """An experiment that is ready to run."""

    plan: Plan
    """The rows and seeds that were chosen."""
    whole: Plan
    """All rows of the experiment, which a report shows."""
    context: Context
    written: Experiment
    """The experiment before tuning."""
    candidates: Plan | None = None
    """The candidates of all rows, where the experiment has tuning."""

    @property
    def rows(self) -> list[str]:
        """Names of the chosen rows."""
        return list(dict.fromkeys(row.row for row in self.plan.rows))


def prepare(selection: Selection) -> Prepared:
    """Read the experiment, open its data and make the plan. Trains and renders nothing. Raises BenchmarkError."""
    registry = Registry(selection.plugins)
    experiment = load(selection.file, registry, selection.sets, selection.rows)
    for notice in experiment.notices:
        click.echo(f"note: {notice}", err=True)
    seeds = tuple(dict.fromkeys((*experiment.seeds, *selection.seeds)))
    experiment = dataclasses.replace(experiment, seeds=seeds)
    context = Context(
        experiment=experiment.name,
        output=selection.output or Path("runs") / experiment.name,
        store=StageStore((selection.output or Path("runs") / experiment.name).parent / ".stages"),
        machine=prepare_machine(selection.device),
        registry=registry,
        command=command_line(),
        sources=open_sources(experiment, registry),
    )
    rows = matching_rows(selection.rows, [row.name for row in experiment.rows])
    return with_tuned_rows(experiment, candidates_plan(experiment, context), rows, selection.seeds, context)


def with_tuned_rows(
    experiment: Experiment, candidates: Plan | None, rows: Sequence[str], seeds: Sequence[int], context: Context
) -> Prepared:
    """Return the plan of an experiment, its rows tuned as far as their candidates have results."""
    whole = plan_of(tuned(experiment, candidates, context) if candidates else experiment, context)
    return Prepared(select(whole, rows, seeds), whole, context, experiment, candidates)
