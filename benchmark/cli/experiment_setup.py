"""From the options of a command to a plan, for `run`, `plan` and `search`; and how a plan is shown."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import click

from benchmark.cli.display import Display
from benchmark.cli.options import Selection, command_line, matching_rows
from benchmark.cli.terminal import duration, new_table, show_network, show_table
from benchmark.errors import ExperimentError, counted
from benchmark.experiment.load import Experiment, load
from benchmark.experiment.plan import Plan, PlannedBaseline, PlannedRow, select
from benchmark.inference.device_setup import prepare_machine_with
from benchmark.model.build import weights_choices
from benchmark.registry import Registry
from benchmark.runner.context import Context, open_sources, plan_of, with_cached_sources
from benchmark.runner.estimates import estimate
from benchmark.runner.jobs import counted_gates
from benchmark.runner.local_executor import worker_devices
from benchmark.runner.plan_file import write_plan
from benchmark.runner.preflight import (
    all_sides,
    check_faces,
    check_metrics,
    check_patches,
    known_sides,
    memory_shortfall,
    metrics_in_use,
    preflight,
)
from benchmark.runner.record_writer import write_test_pairs
from benchmark.runner.row import describe_gate, tests_of
from benchmark.runner.row_jobs import training_jobs
from benchmark.runner.simulation import simulate
from benchmark.runner.stage_store import StageStore
from benchmark.search.published_rows import published_folders, published_rows, read_published, take_over
from benchmark.search.tuning import candidates_of, candidates_plan, tuned, unfinished

LONG_SECONDS = 86_400
"""A day."""
_DEVICE_COUNTS = (1, 2, 4, 8)
"""For which `plan` says how long training takes."""


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
    study: Path | None = None
    """A published study whose rows count as finished."""
    candidates: Plan | None = None
    """The candidates of all rows, where the experiment has tuning."""

    @property
    def rows(self) -> list[str]:
        """Names of the chosen rows."""
        return list(dict.fromkeys(row.row for row in self.plan.rows))

    @property
    def seeds(self) -> list[int]:
        """The chosen seeds."""
        return list(dict.fromkeys(row.seed for row in self.plan.rows))


def prepare(selection: Selection) -> Prepared:
    """Read the experiment, open its data and make the plan. Trains and renders nothing. Raises BenchmarkError."""
    registry = Registry(selection.plugins)
    experiment = load(selection.file, registry, selection.sets, selection.rows)
    for notice in experiment.notices:
        click.echo(f"note: {notice}", err=True)
    if experiment.adaptive_seeds and selection.seeds:
        raise ExperimentError(
            f"{selection.file}: seeds: which seeds come next is decided by its interim analyses; leave --seeds out, or "
            "list the seeds in place of first and most"
        )
    experiment = dataclasses.replace(experiment, seeds=tuple(dict.fromkeys((*experiment.seeds, *selection.seeds))))
    output = selection.output or Path("runs") / experiment.name
    context = Context(
        experiment=experiment.name,
        output=output,
        store=StageStore(output.parent / ".stages"),
        machine=prepare_machine_with(selection.devices),
        registry=registry,
        command=selection.command or command_line(),
        sources=open_sources(experiment.data, registry),
        metrics=experiment.metrics,
    )
    rows = matching_rows(selection.rows, [row.name for row in experiment.rows])
    prepared = with_tuned_rows(experiment, candidates_plan(experiment, context), rows, selection.seeds, context)
    prepared = dataclasses.replace(prepared, study=selection.study)
    for choice in weights_choices((row.recipe.model for row in prepared.plan.rows), registry):
        click.echo(f"note: {choice}", err=True)
    return prepared


def with_tuned_rows(
    experiment: Experiment, candidates: Plan | None, rows: Sequence[str], seeds: Sequence[int], context: Context
) -> Prepared:
    """Return the plan of an experiment, its rows tuned as far as their candidates have results."""
    whole = plan_of(tuned(experiment, candidates, context) if candidates else experiment, context)
    return Prepared(select(whole, rows, seeds), whole, context, experiment, candidates=candidates)


def read_data(
    plan: Plan, context: Context, display: Display, needed: Mapping[str, frozenset[int]] = MappingProxyType({})
) -> Context:
    """Decode or render the images of a plan, and write the pairs of all test sets for the report.

    Args:
        plan: Rows with their data.
        context: Has the sources as they were opened.
        display: Shows the progress.
        needed: Training pairs that are enough; see `with_cached_sources`. Other processes than workers of this one, to
            which the sources go, read all of them.
    """
    context = with_cached_sources(plan.experiment.data, context, display.show, needed=needed)
    check_patches(plan, context, all_sides)
    check_metrics(plan, context, metrics_in_use(plan.experiment))
    write_test_pairs(context.output / "pairs", tests_of(plan.baselines[0], context))
    return context


def rows_to_run(prepared: Prepared, *, replace: bool) -> list[PlannedRow | PlannedBaseline]:
    """Return what `run` would run of the chosen rows: what neither the run nor the published study has."""
    plan, context = prepared.plan, prepared.context
    published = published_folders(plan, prepared.study, context.output)
    return [row for row in preflight(plan, context, replace=replace) if row.folder not in published]


def part_to_run(plan: Plan, todo: Sequence[PlannedRow | PlannedBaseline]) -> Plan:
    """Return a plan with the rows and seeds that are to be run."""
    folders = {row.folder for row in todo}
    return dataclasses.replace(plan, rows=tuple(row for row in plan.rows if row.folder in folders))


def use_study(prepared: Prepared) -> None:
    """Take the rows that a published study has, and the run lacks, into the run; say how many they are."""
    if prepared.study is None:
        return
    study, context = read_published(prepared.study), prepared.context
    rows = published_rows(prepared.plan, study, context.output)
    take_over(rows, study, prepared.study.resolve().name, context)
    if rows:
        line = f"{counted(len(rows), 'record')} of {prepared.study} count as finished; they have no weights"
        click.echo(line, err=True)


def show_plan(prepared: Prepared, *, replace: bool) -> None:
    """Print what `run` would do."""
    plan, context = prepared.plan, prepared.context
    todo = rows_to_run(prepared, replace=replace)
    check_faces(plan, context)
    check_patches(plan, context, known_sides)
    check_metrics(plan, context, metrics_in_use(plan.experiment))
    workers = len(worker_devices(plan, context))
    times = estimate(part_to_run(plan, todo), context, workers, show_network)
    _show_rows(plan, context, {row.folder for row in todo})
    _show_gates(plan, context)
    shared = plan.steps_without_sharing - plan.steps_trained
    share = shared / max(plan.steps_without_sharing, 1)
    to_train = sum(plan.stages[key].steps for key in times.seconds)
    click.echo(f"steps: {plan.steps_without_sharing} in all rows, {shared} ({share:.0%}) saved by shared stages")
    work = f"{counted(len(times.seconds), 'stage')}, {counted(to_train, 'step')}"
    click.echo(f"to train now: {work}, about {duration(times.total)}{times.note}")
    click.echo(f"(from 2 measured steps of each network on {context.machine.device_name}; without evaluation)")
    alone = {key: seconds * workers for key, seconds in times.seconds.items()}
    for line in [*device_lines(plan, alone), *_tuning_lines(prepared), *advice(plan, times.total)]:
        click.echo(line)


def device_lines(plan: Plan, seconds: Mapping[str, float]) -> list[str]:
    """Return how long the training of a plan takes on several numbers of devices; none where nothing is to be trained.

    Args:
        plan: Rows with their stages.
        seconds: What each stage takes on a device of its own, by key.
    """
    if not seconds:
        return []
    jobs = training_jobs(plan.rows, seconds)
    times = [f"{count}: {duration(simulate(jobs, count).seconds)}" for count in _DEVICE_COUNTS]
    slots = "CPU workers, as far as cores and memory allow" if plan.environment.device == "cpu" else "devices like this"
    return [f"by number of {slots}: {', '.join(times)}"]


def write_prepared(prepared: Prepared) -> Path:
    """Write plan.json for the command `job`, and return its path.

    Raises:
        ExperimentError: Rows are still to be tuned, so that their recipes are not known.
    """
    context = prepared.context
    refuse_untuned(prepared)
    write_plan(prepared.whole, prepared.plan, context.output, context.command)
    return context.output / "plan.json"


def refuse_untuned(prepared: Prepared) -> None:
    """Raise ExperimentError where rows are still to be tuned, so that their recipes are not known."""
    candidates = candidates_of(prepared.rows, prepared.candidates) if prepared.candidates else []
    if unfinished(candidates, prepared.context, replace=True):
        raise ExperimentError(
            f"{prepared.plan.experiment.name}: its rows are still to be tuned, and only then can their jobs be listed; "
            "tune them by `run` on one machine (stop it once it trains rows), or delete `tuning`"
        )


def _tuning_lines(prepared: Prepared) -> list[str]:
    if prepared.candidates is None:
        return []
    candidates = candidates_of(prepared.rows, prepared.candidates)
    todo = unfinished(candidates, prepared.context, replace=True)
    steps = sum({stage.key: stage.steps for row in todo for stage in row.stages}.values())
    return [
        f"before it tuning: {len(todo)} of {counted(len(candidates), 'candidate')} to train, {counted(steps, 'step')}; "
        "rows whose candidates are to be trained are shown here as they are written"
    ]


def advice(plan: Plan, seconds: float) -> list[str]:
    """Return what to do instead where a plan would take more than a day."""
    if seconds < LONG_SECONDS:
        return []
    lines = ["that is long: stop it whenever you like, the same command goes on; --rows and --seeds take a part of it"]
    if plan.environment.device == "cpu":
        lines.append("it trains without a GPU: on a machine with one the same command uses it")
    if plan.experiment.short_form:
        lines.append(f"the same questions at small scale: {plan.experiment.short_form}")
    return lines


def _show_rows(plan: Plan, context: Context, todo: set[str]) -> None:
    table = new_table("row", "seed", "stages: name steps key", "state")
    first_rows: dict[str, str] = {}
    for row in plan.rows:
        stages: list[str] = []
        for stage in row.stages:
            first = first_rows.setdefault(stage.key, row.row)
            shared = "" if first == row.row else f" shared with {first}"
            damaged = " damaged, to be trained again" if context.store.damaged_file(stage.key) else shared
            note = " stored" if context.store.finished(stage.key) else damaged
            stages.append(f"{stage.name} {stage.steps} {stage.key[:8]}{note}")
        state = "to run" if row.folder in todo else "finished"
        table.add_row(row.row, str(row.seed), ", ".join(stages or ["no training"]), state)
    for baseline in plan.baselines:
        table.add_row(baseline.row, "-", "no training", "to run" if baseline.folder in todo else "finished")
    show_table(table)


def _show_gates(plan: Plan, context: Context) -> None:
    """Print the counted gates of each network, and name those that `run` will measure."""
    networks: dict[str, list[PlannedRow]] = {}
    for row in plan.rows:
        networks.setdefault(row.network, []).append(row)
    for rows in networks.values():
        counted = {gate.name: describe_gate(gate) for gate in counted_gates(rows[0], context)}
        gates = [counted.get(name, f"{name}: measured by run") for name in rows[0].recipe.gates]
        click.echo(f"gates of {', '.join(dict.fromkeys(row.row for row in rows))}: {'; '.join(gates) or 'none'}")
    for row in plan.rows:
        shortfall = memory_shortfall(row, context)
        if shortfall and row.seed == plan.rows[0].seed:
            click.echo(f"too large for this machine: {row.row}: {shortfall}")
