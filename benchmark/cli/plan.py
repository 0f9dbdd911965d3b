"""`plan`: what `run` would do."""

from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import Selection, selection_options

_LONG_SECONDS = 86_400

if TYPE_CHECKING:  # torch comes in only when the command runs
    from benchmark.cli.setup import Prepared
    from benchmark.experiment.plan import Plan, Run
    from benchmark.runner.context import Context


@click.command("plan")
@selection_options
def command(**options: Any) -> None:
    """Show rows, stages with their keys, what is shared and what is done, gates and time, without running.

    \b
    Examples:
      python -m benchmark plan experiments/quickstart.yaml
      python -m benchmark plan my.yaml --set protocol.coarse.steps=1000
    """
    from benchmark.cli.setup import prepare

    selection = Selection(**options)
    show_plan(prepare(selection), replace=selection.replace)


def show_plan(prepared: "Prepared", *, replace: bool) -> None:
    from benchmark.cli.display import duration
    from benchmark.runner.run import check
    from benchmark.runner.time_estimate import estimate_seconds

    plan, context = prepared.plan, prepared.context
    todo = check(plan, context, replace=replace)
    estimates = estimate_seconds(plan, context)
    _show_rows(plan, context, {planned.folder for planned in todo})
    _show_gates(plan, context)
    shared = plan.steps_without_sharing - plan.steps_trained
    share = shared / max(plan.steps_without_sharing, 1)
    to_train = sum(plan.stages[key].steps for key in estimates)
    click.echo(f"steps: {plan.steps_without_sharing} in all rows, {shared} ({share:.0%}) saved by shared stages")
    click.echo(f"to train now: {len(estimates)} stages, {to_train} steps, about {duration(sum(estimates.values()))}")
    click.echo(f"(from 2 measured steps of each network on {context.machine.device_name}; evaluation is not in it)")
    for line in [*_tuning_lines(prepared), *advice(plan, sum(estimates.values()))]:
        click.echo(line)


def _tuning_lines(prepared: "Prepared") -> list[str]:
    from benchmark.search.tuning import tries_of, unfinished

    if prepared.tries is None:
        return []
    tries = tries_of(prepared.rows, prepared.tries, prepared.asked)
    todo = unfinished(tries, prepared.context, replace=True)
    steps = sum({stage.key: stage.steps for run in todo for stage in run.stages}.values())
    return [
        f"before it tuning: {len(todo)} of {len(tries)} candidates to try, {steps} steps; "
        "rows whose candidates are to be tried stand here as they are written"
    ]


def advice(plan: "Plan", seconds: float) -> list[str]:
    """What to do instead where a plan would take more than a day."""
    if seconds < _LONG_SECONDS:
        return []
    lines = ["that is long: stop it whenever you like, the same command goes on; --rows and --seeds take a part of it"]
    if plan.environment.device == "cpu":
        lines.append("it trains without a GPU: on a machine with one the same command uses it")
    if plan.experiment.short_form:
        lines.append(f"the same questions at small scale: {plan.experiment.short_form}")
    return lines


def _show_rows(plan: "Plan", context: "Context", todo: set[str]) -> None:
    from benchmark.cli.table_output import new_table, show_table

    table = new_table("row", "seed", "stages: name steps key", "state")
    first_use: dict[str, str] = {}
    for run in plan.runs:
        stages = [_stage_cell(run, i, first_use, context) for i in range(len(run.stages))] or ["no training"]
        table.add_row(run.row, str(run.seed), ", ".join(stages), "to run" if run.folder in todo else "finished")
    for floor in plan.floors:
        table.add_row(floor.row, "-", "no training", "to run" if floor.folder in todo else "finished")
    show_table(table)


def _stage_cell(run: "Run", index: int, first_use: dict[str, str], context: "Context") -> str:
    stage = run.stages[index]
    owner = first_use.setdefault(stage.key, run.row)
    shared = "" if owner == run.row else f" shared with {owner}"
    note = " stored" if context.store.finished(stage.key) else shared
    return f"{stage.name} {stage.steps} {stage.key[:8]}{note}"


def _show_gates(plan: "Plan", context: "Context") -> None:
    """Gates that are counted, once for each network; those that must be measured are named."""
    from benchmark.runner.memory_preflight import does_not_fit
    from benchmark.runner.row import describe, static_gates

    for runs in _by_network(plan):
        rows = ", ".join(dict.fromkeys(run.row for run in runs))
        counted = {verdict.name: describe(verdict) for verdict in static_gates(runs[0], context)}
        gates = [counted.get(name, f"{name}: measured by run") for name in runs[0].config["gates"]]
        click.echo(f"gates of {rows}: {'; '.join(gates) or 'none'}")
    for run in plan.runs:
        reason = does_not_fit(run, context)
        if reason and run.seed == plan.runs[0].seed:
            click.echo(f"too large for this machine: {run.row}: {reason}")


def _by_network(plan: "Plan") -> list[list["Run"]]:
    """The runs of a plan, those with equal network and gates together."""
    from benchmark.experiment.plan import network_id

    networks: dict[str, list[Run]] = {}
    for run in plan.runs:
        networks.setdefault(network_id(run.config), []).append(run)
    return list(networks.values())
