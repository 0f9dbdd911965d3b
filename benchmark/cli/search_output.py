"""What `search` prints: a line for each trial, then the best ones, what was saved, and what fresh seeds say."""

import json
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.terminal import duration, new_table, show_table
from benchmark.errors import counted

if TYPE_CHECKING:  # torch is imported only when the command runs
    from rich.table import Table

    from benchmark.cli.display import Display
    from benchmark.experiment.search_space import Search
    from benchmark.runner.events import Event
    from benchmark.search.search import Setup
    from benchmark.search.search_events import ConfirmStarted, Outcome, SearchEvent, TrialFinished
    from reports.schema import ConfirmFile, SearchSteps

_SHOWN = 5


def show_search(display: "Display", event: "SearchEvent", setup: "Setup") -> None:
    """Show the progress of trials while they run, and one line for each that has ended."""
    from benchmark.runner.events import (
        DataReady,
        JobEnded,
        JobsCounted,
        JobStarted,
        StageFinished,
        StageProgress,
        StagePruned,
    )
    from benchmark.search.search_events import SearchStarted, TrialFinished

    match event:
        case SearchStarted():
            at_once = "one after the other" if event.workers == 1 else f"{event.workers} at once"
            headline = (
                f"{setup.experiment.name}: {event.todo} of {counted(event.total, 'trial')} to run, {at_once}, "
                f"seed {setup.search.seed}, compared by {_compared_by(setup.search)} on val; "
                f"at most about {duration(event.at_most_seconds)}"
            )
            if setup.search.pruner.name == "wilcoxon":
                headline += "; pruner wilcoxon ignores the noise of seeds, which is most of the noise"
            if event.total < setup.search.trials:
                headline += f"; its parameters have no more than {event.total} different settings, each is tried once"
            display.end("search", "\n".join([headline, *(f"gate {line}" for line in event.gates)]))
        case TrialFinished():
            display.end(event.folder, _trial_line(event, setup.search))
        case DataReady() | StageProgress() | JobStarted() | JobEnded() | JobsCounted():
            display.show(event)
        case StageFinished() | StagePruned():
            display.steps_trained += event.steps
        case _:
            pass


def show_confirmation(display: "Display", event: "Event | ConfirmStarted") -> None:
    """Show what confirming the best trials will take, then how it goes on."""
    from benchmark.search.search_events import ConfirmStarted

    if not isinstance(event, ConfirmStarted):
        display.show(event)
        return
    at_once = "one after the other" if event.workers == 1 else f"{event.workers} at once"
    trials = ", ".join(f"trial.{number}" for number in event.trials)
    display.end(
        "confirm",
        f"confirm: {trials} and the base row with seeds {', '.join(map(str, event.seeds))}: "
        f"{counted(event.stages, 'stage')} to train, {counted(event.steps, 'step')}, {at_once}; "
        f"about {duration(event.seconds)}{event.note}",
    )


def _compared_by(search: "Search") -> str:
    return " and ".join(metric.name for metric in search.objectives or (search.metric,))


def _trial_line(event: "TrialFinished", search: "Search") -> str:
    result, best = event.result, event.best
    chosen = ", ".join(f"{path.removeprefix('protocol.')} {_short(value)}" for path, value in result.values.items())
    came_to = f"val {search.metric.name} {result.value:.4f}" if result.value is not None else result.status.upper()
    others = [metric for metric in search.objectives if metric != search.metric and metric.name in result.objectives]
    came_to += "".join(f", {metric.name} {result.objectives[metric.name]:.{metric.decimals}f}" for metric in others)
    parts = [
        f"trial.{result.number} with {chosen}: {came_to}",
        *([result.message] if result.message else []),
        *([f"{'picked' if search.objectives else 'best'} {best.value:.4f} by trial.{best.number}"] if best else []),
        f"{event.done} of {event.total} done",
        f"{duration(event.seconds_left)} left",
    ]
    return "; ".join(parts)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value)


def show_outcome(setup: "Setup", outcome: "Outcome", confirmed: "ConfirmFile | None", work: str) -> None:
    """Print the best trials, what fresh seeds say of them, and what all of them and (`work`) this command took."""
    if best := _best_lines(setup.search, outcome):
        show_table(best)
    elif outcome.trials and all(result.status == "rejected" for result in outcome.trials):
        click.echo(
            f"all {counted(len(outcome.trials), 'trial')} are rejected, the first since {outcome.trials[0].message}; "
            "raise the limit, or give smaller networks to the search",
            err=True,
        )
    if outcome.importances:
        shares = ", ".join(f"{i.path} {i.share:.0%} [{i.low:.0%}, {i.high:.0%}]" for i in outcome.importances)
        click.echo(f"what the metric varies with (PED-ANOVA, 90 % interval over the trials): {shares}")
    for result in outcome.failed:
        click.echo(f"failed: trial {result.number}: {result.message}", err=True)
    trained = sum(result.steps_trained for result in outcome.trials)
    reused = sum(result.steps_reused for result in outcome.trials)
    click.echo(
        f"{setup.experiment.name}: {counted(len(outcome.trials), 'trial')}, {counted(trained, 'step')} trained, "
        f"{reused} ({reused / max(trained + reused, 1):.0%}) from the store; this command trained {work}",
        err=True,
    )
    if outcome.steps.plain:
        click.echo(_steps_line(outcome.steps), err=True)
    _show_choice(setup, outcome, confirmed)


def _best_lines(search: "Search", outcome: "Outcome") -> "Table | None":
    """Return the table of the best trials, or of the front, and of the base row; None where none is finished."""
    from benchmark.search.trial_results import base_result, ranked

    best = list(outcome.front) or ranked(outcome.trials, search.metric)[:_SHOWN]
    if not best:
        return None
    base, metrics = base_result(outcome.trials, search), search.objectives or (search.metric,)
    table = new_table("trial", *(f"val {metric.name}" for metric in metrics), *(p.path for p in search.parameters))
    for result in best + ([base] if base and base not in best else []):
        trial = f"trial.{result.number}{' (base row)' if result == base else ''}"
        reached = [result.objectives.get(metric.name, result.value or 0.0) for metric in metrics]
        values = [_short(result.values[p.path]) if p.path in result.values else "" for p in search.parameters]
        table.add_row(trial, *(f"{value:.4f}" for value in reached), *values)
    return table


def _show_choice(setup: "Setup", outcome: "Outcome", confirmed: "ConfirmFile | None") -> None:
    """Print which trial is in best.yaml, and how sure that is."""
    search, file, best = setup.search, setup.context.output / "best.yaml", outcome.best
    if confirmed:
        click.echo("\n".join(_confirmation_lines(confirmed)))
        click.echo(f"{'winner' if confirmed.winner is not None else 'best by one seed, not proven'}: {file}")
    elif search.objectives and best and len(outcome.front) == 1:
        click.echo(f"trial.{best.number} is best in all of {_compared_by(search)}: {file}")
    elif search.objectives and best:
        click.echo(
            f"no trial is best in all of {_compared_by(search)}; by {setup.pick} trial.{best.number} was picked: {file}"
            "  (another one: --pick)"
        )
    elif outcome.front:
        earlier = "is that of an earlier --pick" if file.exists() else "is not written"
        click.echo(f"no finished trial keeps --pick '{setup.pick}'; {file} {earlier}", err=True)
    elif best:
        click.echo(f"best: {file}  (confirm it on test, over all seeds: python -m benchmark run {file})")


def _steps_line(steps: "SearchSteps") -> str:
    """Return the steps of a search against those of one that trains every trial from its first step to its last."""
    parts = {"shared stages": steps.shared, "pruned trials": steps.pruned, "trials that fail a gate": steps.rejected}
    saved = ", ".join(f"{amount} by {name}" for name, amount in parts.items() if amount) or "none saved"
    share = 1 - steps.trained / steps.plain
    return (
        f"the study took {steps.trained} of {steps.plain} steps that a plain search takes ({share:.0%} saved): {saved}"
    )


def _confirmation_lines(confirmed: "ConfirmFile") -> list[str]:
    """Return what fresh seeds say of each trial, and of the winner on test."""
    from benchmark.search.trial_files import shown_gain

    seeds = ", ".join(map(str, confirmed.seeds))
    lines = [f"confirmed on val with seeds {seeds}: gain in {confirmed.metric} over the base row, 95 % interval"]
    for trial in confirmed.trials:
        verdict = trial.verdict or f"no verdict: {trial.reason}"
        lines.append(f"  trial.{trial.trial}: {f'{shown_gain(trial.gain)}: ' if trial.gain else ''}{verdict}")
    if confirmed.winner is None:
        return [*lines, f"no trial is proven better than the base row by {confirmed.margin:g}; test was not read"]
    return [*lines, f"trial.{confirmed.winner} wins; on test {shown_gain(confirmed.test)}"]
