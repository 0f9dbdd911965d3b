"""`search`: an Optuna study over settings of the base row."""

import dataclasses
import time
from functools import partial
from typing import Any

import click

from benchmark.cli.executors import executor_choice, executor_options
from benchmark.cli.options import Selection, experiment_options
from benchmark.cli.search_output import show_confirmation, show_outcome, show_search
from benchmark.cli.terminal import duration
from benchmark.errors import ExperimentError, counted
from benchmark.interrupts import resumable_interrupts


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
@executor_options
@click.option(
    "--storage",
    metavar="FILE|URL",
    help="Of the study: a journal, an SQLite file (*.db, *.sqlite; one worker) or postgresql://USER@HOST/DATABASE.  "
    "[default: study.journal in the folder of the run]",
)
@click.option(
    "--pick",
    metavar="RULE",
    help="With several objectives, the trial for best.yaml: knee, best-quality or 'under latency_ms=50'.  "
    "[default: knee]",
)
def command(
    *,
    trials: int | None,
    workers: int | None,
    executor: str,
    address: str | None,
    sbatch: str | None,
    storage: str | None,
    pick: str | None,
    **options: Any,
) -> int:
    """Search the settings that the section `search` of FILE names, by what they reach on val.

    The first trial is the base row. Trials that share stages share their training; a trial that fails a gate is not
    trained. Stop it whenever you like, the same command goes on. The best trial is written as an experiment, best.yaml:
    run it to compare it with the base row on test, over all seeds. With search.confirm in FILE, the best trials and the
    base row are then trained with fresh seeds, and a winner is named or none is proven. With several objectives there
    is no single best: --pick says which trial becomes best.yaml, also of a search that is finished.

    \b
    Examples:
      python -m benchmark search experiments/quick_search.yaml
      python -m benchmark search experiments/quick_search.yaml --trials 30
      python -m benchmark search my.yaml --executor ray --workers 4
      python -m benchmark search experiments/search_architecture.yaml --pick 'under size_mb=0.2'
      python -m benchmark run runs/quick_search/best.yaml
    """
    choice = executor_choice(executor, address, sbatch)
    with resumable_interrupts():
        from benchmark.cli.display import Display
        from benchmark.cli.experiment_setup import prepare
        from benchmark.search.confirm import confirm
        from benchmark.search.pareto import Pick, parse_pick
        from benchmark.search.search import Setup, open_trials
        from benchmark.search.storage import default_workers

        started = time.perf_counter()
        selection = Selection(rows=(), seeds=(), **options)
        prepared = prepare(selection)
        experiment, context = prepared.plan.experiment, prepared.context
        if experiment.search is None:
            raise ExperimentError(f"{selection.file}: has no section `search`; see experiments/quick_search.yaml")
        search_settings = dataclasses.replace(experiment.search, trials=trials or experiment.search.trials)
        base_only = dataclasses.replace(experiment, rows=experiment.rows[:1])
        place = storage or context.output / "study.journal"
        chosen = parse_pick(pick, search_settings) if pick else Pick()
        limit = default_workers(place, workers)
        setup = Setup(base_only, search_settings, context, place, limit, chosen, choice.opener)
        with (
            Display({}) as display,
            open_trials(setup, partial(show_search, display, setup=setup), replace=selection.replace) as search,
        ):
            outcome = search.run()
            confirmed = None
            if search_settings.confirm and not outcome.failed:
                confirmed = confirm(setup, outcome.trials, partial(show_confirmation, display))
        work = f"{counted(display.steps_trained, 'step')} in {duration(time.perf_counter() - started)}"
        show_outcome(setup, outcome, confirmed, work)
        return 1 if outcome.failed or outcome.best is None else 0
