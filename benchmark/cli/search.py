"""`search`: an Optuna study over settings of the base row."""

import dataclasses
import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmark.cli.options import Selection, experiment_options
from benchmark.cli.terminal import duration, new_table, show_table
from benchmark.errors import ExperimentError, counted
from benchmark.interrupts import resumable_interrupts

if TYPE_CHECKING:  # torch is imported only when the command runs
    from benchmark.cli.display import Display
    from benchmark.experiment.search_space import Search
    from benchmark.search.search import Outcome, SearchEvent, Setup, TrialFinished
    from reports.schema import ConfirmFile

_SHOWN = 5


@click.command("search")
@experiment_options
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    help="Trials in all, with those finished before.  [default: search.trials of the file]",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    help="Trials that train at once.  [default: one a core, at most a fifth of the trials; one on a GPU]",
)
@click.option(
    "--storage",
    type=click.Path(path_type=Path),
    help="Journal of the study.  [default: study.journal in the folder of the run]",
)
def command(trials: int | None, workers: int | None, storage: Path | None, **options: Any) -> int:
    """Search the settings that the section `search` of FILE names, by what they reach on val.

    The first trial is the base row. Trials that share stages share their training; a trial that fails a gate is not
    trained. Stop it whenever you like, the same command goes on. The best trial is written as an experiment, best.yaml:
    run it to compare it with the base row on test, over all seeds. With search.confirm in FILE, the best trials and the
    base row are then trained with fresh seeds, and a winner is named or none is proven.

    \b
    Examples:
      python -m benchmark search experiments/quick_search.yaml
      python -m benchmark search experiments/quick_search.yaml --trials 30
      python -m benchmark run runs/quick_search/best.yaml
    """
    with resumable_interrupts():
        from benchmark.cli.display import Display
        from benchmark.cli.experiment_setup import prepare
        from benchmark.runner.run import run_rows
        from benchmark.search.confirm import confirm
        from benchmark.search.search import Setup, open_trials

        started = time.perf_counter()
        selection = Selection(rows=(), seeds=(), **options)
        prepared = prepare(selection)
        experiment, context = prepared.plan.experiment, prepared.context
        if experiment.search is None:
            raise ExperimentError(f"{selection.file}: has no section `search`; see experiments/quick_search.yaml")
        search_settings = dataclasses.replace(experiment.search, trials=trials or experiment.search.trials)
        base_only = dataclasses.replace(experiment, rows=experiment.rows[:1])
        setup = Setup(base_only, search_settings, context, storage or context.output / "study.journal", workers)
        with (
            Display({}) as display,
            open_trials(setup, partial(_show, display, setup=setup), replace=selection.replace) as search,
        ):
            run_rows(
                [],
                search.context,
                search.devices,
                search.handle,
                more_rows=search.more_rows,
                measured=search.measured,
                is_trial=True,
            )
            outcome = search.outcome()
            confirmed = None
            if search_settings.confirm and not outcome.failed:
                confirmed = confirm(setup, outcome.trials, display.show)
        work = f"{counted(display.steps_trained, 'step')} in {duration(time.perf_counter() - started)}"
        _show_outcome(setup, outcome, confirmed, work)
        return 1 if outcome.failed or not (context.output / "best.yaml").exists() else 0


def _show(display: "Display", event: "SearchEvent", setup: "Setup") -> None:
    """Show the progress of trials while they run, and one line for each that has ended."""
    from benchmark.runner.events import DataReady, JobEnded, JobsCounted, JobStarted, StageFinished, StageProgress
    from benchmark.search.search import SearchStarted, TrialFinished

    match event:
        case SearchStarted():
            at_once = "one after the other" if event.workers == 1 else f"{event.workers} at once"
            headline = (
                f"{setup.experiment.name}: {event.todo} of {counted(event.total, 'trial')} to run, {at_once}, "
                f"seed {setup.search.seed}, compared by {setup.search.metric.name} on val; "
                f"at most about {duration(event.at_most_seconds)}"
            )
            if event.total < setup.search.trials:
                headline += f"; its parameters have no more than {event.total} different settings, each is tried once"
            display.end("search", "\n".join([headline, *(f"gate {line}" for line in event.gates)]))
        case TrialFinished():
            display.end(event.folder, _trial_line(event, setup.search))
        case DataReady() | StageProgress() | JobStarted() | JobEnded() | JobsCounted():
            display.show(event)
        case StageFinished():
            display.steps_trained += event.steps
        case _:
            pass


def _trial_line(event: "TrialFinished", search: "Search") -> str:
    result, best = event.result, event.best
    chosen = ", ".join(f"{path.removeprefix('protocol.')} {_short(value)}" for path, value in result.values.items())
    came_to = f"val {search.metric.name} {result.value:.4f}" if result.value is not None else result.status.upper()
    parts = [
        f"trial.{result.number} with {chosen}: {came_to}",
        *([result.message] if result.message else []),
        *([f"best {best.value:.4f} by trial.{best.number}"] if best else []),
        f"{event.done} of {event.total} done",
        f"{duration(event.seconds_left)} left",
    ]
    return "; ".join(parts)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value)


def _show_outcome(setup: "Setup", outcome: "Outcome", confirmed: "ConfirmFile | None", work: str) -> None:
    """Print the best trials, what fresh seeds say of them, and what all of them and (`work`) this command took."""
    from benchmark.search.trial_results import base_result, ranked

    search, name = setup.search, setup.experiment.name
    best = ranked(outcome.trials, search.metric)
    base = base_result(best, search)
    if best:
        table = new_table("trial", f"val {search.metric.name}", *(parameter.path for parameter in search.parameters))
        for result in best[:_SHOWN] + ([base] if base and base in best[_SHOWN:] else []):
            trial = f"trial.{result.number}{' (base row)' if result is base else ''}"
            values = [_short(result.values[parameter.path]) for parameter in search.parameters]
            table.add_row(trial, f"{result.value:.4f}", *values)
        show_table(table)
    if outcome.importances:
        shares = ", ".join(f"{path} {share:.0%}" for path, share in outcome.importances.items())
        click.echo(f"what the metric varies with (PED-ANOVA): {shares}")
    for result in outcome.failed:
        click.echo(f"failed: trial {result.number}: {result.message}", err=True)
    trained = sum(result.steps_trained for result in outcome.trials)
    reused = sum(result.steps_reused for result in outcome.trials)
    click.echo(
        f"{name}: {counted(len(outcome.trials), 'trial')}, {counted(trained, 'step')} trained, {reused} "
        f"({reused / max(trained + reused, 1):.0%}) from the store; this command trained {work}",
        err=True,
    )
    file = setup.context.output / "best.yaml"
    if confirmed:
        click.echo("\n".join(_confirmation_lines(confirmed)))
        click.echo(f"{'winner' if confirmed.winner is not None else 'best by one seed, not proven'}: {file}")
    elif best:
        click.echo(f"best: {file}  (confirm it on test, over all seeds: python -m benchmark run {file})")


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
