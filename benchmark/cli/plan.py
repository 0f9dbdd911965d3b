"""`plan`: show what `run` would do."""

from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import Selection, selection_options
from benchmark.cli.terminal import duration

_LONG_SECONDS = 86_400

if TYPE_CHECKING:  # torch is imported only when the command runs
    from benchmark.cli.setup import Prepared
    from benchmark.experiment.plan import Plan, PlannedRow
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
    """Print what `run` would do."""
    from benchmark.runner.local_executor import worker_devices
    from benchmark.runner.preflight import estimate_seconds, preflight

    plan, context = prepared.plan, prepared.context
    todo = preflight(plan, context, replace=replace)
    estimates = estimate_seconds(plan, context, len(worker_devices(plan, context)))
    _show_rows(plan, context, {row.folder for row in todo})
    _show_gates(plan, context)
    shared = plan.steps_without_sharing - plan.steps_trained
    share = shared / max(plan.steps_without_sharing, 1)
    to_train = sum(plan.stages[key].steps for key in estimates)
    click.echo(f"steps: {plan.steps_without_sharing} in all rows, {shared} ({share:.0%}) saved by shared stages")
    click.echo(f"to train now: {len(estimates)} stages, {to_train} steps, about {duration(sum(estimates.values()))}")
    click.echo(f"(from 2 measured steps of each network on {context.machine.device_name}; without evaluation)")
    for line in [*_tuning_lines(prepared), *advice(plan, sum(estimates.values()))]:
        click.echo(line)


def _tuning_lines(prepared: "Prepared") -> list[str]:
    from benchmark.search.tuning import candidates_of, unfinished

    if prepared.candidates is None:
        return []
    candidates = candidates_of(prepared.rows, prepared.candidates)
    todo = unfinished(candidates, prepared.context, replace=True)
    steps = sum({stage.key: stage.steps for row in todo for stage in row.stages}.values())
    return [
        f"before it tuning: {len(todo)} of {len(candidates)} candidates to train, {steps} steps; "
        "rows whose candidates are to be trained are shown here as they are written"
    ]


def advice(plan: "Plan", seconds: float) -> list[str]:
    """Return what to do instead where a plan would take more than a day."""
    if seconds < _LONG_SECONDS:
        return []
    lines = ["that is long: stop it whenever you like, the same command goes on; --rows and --seeds take a part of it"]
    if plan.environment.device == "cpu":
        lines.append("it trains without a GPU: on a machine with one the same command uses it")
    if plan.experiment.short_form:
        lines.append(f"the same questions at small scale: {plan.experiment.short_form}")
    return lines


def _show_rows(plan: "Plan", context: "Context", todo: set[str]) -> None:
    from benchmark.cli.terminal import new_table, show_table

    table = new_table("row", "seed", "stages: name steps key", "state")
    first_rows: dict[str, str] = {}
    for row in plan.rows:
        stages: list[str] = []
        for stage in row.stages:
            first = first_rows.setdefault(stage.key, row.row)
            shared = "" if first == row.row else f" shared with {first}"
            note = " stored" if context.store.finished(stage.key) else shared
            stages.append(f"{stage.name} {stage.steps} {stage.key[:8]}{note}")
        state = "to run" if row.folder in todo else "finished"
        table.add_row(row.row, str(row.seed), ", ".join(stages or ["no training"]), state)
    for baseline in plan.baselines:
        table.add_row(baseline.row, "-", "no training", "to run" if baseline.folder in todo else "finished")
    show_table(table)


def _show_gates(plan: "Plan", context: "Context") -> None:
    """Print the counted gates of each network, and name those that `run` will measure."""
    from benchmark.experiment.plan import network_id
    from benchmark.runner.jobs import counted_gates
    from benchmark.runner.preflight import memory_shortfall
    from benchmark.runner.row import describe_gate

    networks: dict[str, list[PlannedRow]] = {}
    for row in plan.rows:
        networks.setdefault(network_id(row.recipe.model, row.recipe.gates), []).append(row)
    for rows in networks.values():
        counted = {gate.name: describe_gate(gate) for gate in counted_gates(rows[0], context)}
        gates = [counted.get(name, f"{name}: measured by run") for name in rows[0].recipe.gates]
        click.echo(f"gates of {', '.join(dict.fromkeys(row.row for row in rows))}: {'; '.join(gates) or 'none'}")
    for row in plan.rows:
        shortfall = memory_shortfall(row, context)
        if shortfall and row.seed == plan.rows[0].seed:
            click.echo(f"too large for this machine: {row.row}: {shortfall}")
