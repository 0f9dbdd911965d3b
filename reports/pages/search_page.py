"""The page of a search, made from what is stored: trials.csv, search.json, confirm.json and the trials' records."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports import text
from reports.figures.drawing import RenderedFigure
from reports.figures.search_figures import front_plot, history, parallel_coordinates, parameter_slices
from reports.grid import Cell, Column, Grid, Line, plain
from reports.metrics import Metric
from reports.pages import Block, Code, Page, section
from reports.pages.glossary import glossary
from reports.pages.search_headline import headline
from reports.pages.search_next import next_searches
from reports.results import find_metric, load, metric_of
from reports.results.search import StoredSearch, as_metric, ranked, read_search
from reports.results.trials import TRIALS, Trial, Trials
from reports.schema import Record
from reports.tables import gates, provenance
from reports.tables.search import confirmation_table, front_table, importance_table, steps_table

BEST = "best.yaml"
_FEWEST_FOR_IMPORTANCES = 20


def is_search(folder: Path) -> bool:
    """Tell whether a folder is that of a search. A folder that also holds a run counts as the run's."""
    return (folder / TRIALS).is_file() and not (folder / "plan.json").exists()


def build(folder: Path) -> Page:
    """Return the page of the search in `folder`.

    Raises:
        ReportError: The table of trials cannot be read.
    """
    search = read_search(folder)
    trials = search.trials
    records, damage = load.trial_records(folder, [trial.number for trial in trials.trials])
    metric = _metric_of(search, records)
    finished = ranked(trials.trials, metric)
    best = load.text_of(folder / BEST)
    unreadable = f"{folder / TRIALS}: {text.count(trials.unreadable, 'line')} left out that hold no trial"
    all_damage = (*damage, *search.damage, *([unreadable] if trials.unreadable else []))
    return Page(
        title=text.printable(folder.resolve().name),
        facts=_facts(search),
        headline=headline(search, finished, metric),
        damage=tuple(map(text.printable, all_damage)),
        sections=(
            section("confirmation", "Confirmation", *_confirmation(search, metric)),
            section("front", "The front", *_front(search)),
            section("trials", "Trials", _trial_table(trials, finished, metric)),
            section("course", "Course and parameters", *_figures(search, finished, metric)),
            section("importances", "What the metric varies with", *_importances(search, finished)),
            section("steps", "Steps spent and saved", *_steps(search)),
            section("next", "What to search next", next_searches(search, finished[0] if finished else None)),
            section(
                "gates", "Gates", gates.gate_table((record.row, gate) for record in records for gate in record.gates)
            ),
            section(
                "best",
                "The trial in best.yaml as an experiment",
                *(
                    f"{BEST} compares it with the base row on test, over all seeds. Start it with "
                    "`python -m benchmark run`.",
                    Code(best, "yaml"),
                )
                if best
                else (),
            ),
            section(
                "provenance",
                "Provenance",
                provenance.provenance_table([record.provenance for record in records]),
            ),
            section("glossary", "Glossary", glossary()),
        ),
    )


def _confirmation(search: StoredSearch, metric: Metric) -> tuple[Block, ...]:
    if search.confirmed is None:
        return ()
    return (
        confirmation_table(search.confirmed, metric),
        "The trials were chosen from many by one seed, so part of their lead was luck. A gain is proven where its "
        f"whole interval lies above the smallest gain that matters, {search.confirmed.margin:g}.",
    )


def _front(search: StoredSearch) -> tuple[Block, ...]:
    settings = search.settings
    if settings is None or not settings.front:
        return ()
    trials = {trial.number: trial for trial in search.trials.trials}
    table = front_table(settings.front, settings.picked, search.objectives, search.details, trials)
    upwards, right = as_metric(search.objectives[0]), as_metric(search.objectives[1])
    points = {
        number: (trial.objectives[right.name], trial.objectives[upwards.name])
        for number, trial in search.details.items()
        if {right.name, upwards.name} <= trial.objectives.keys()
    }
    caption = f"Val {upwards.label} over {right.label} of all finished trials; numbers are those of the front."
    reading = "Reading: no trial is better than one of the front in both."
    figure = front_plot(points, settings.front, settings.picked, right, upwards)
    return (RenderedFigure("front", f"{reading} {caption}", f"Scatter plot. {caption}", figure), table)


def _importances(search: StoredSearch, finished: Sequence[Trial]) -> tuple[Block, ...]:
    shares = search.settings.importances if search.settings else ()
    if shares:
        return (importance_table(shares),)
    if search.objectives or not finished or len(finished) >= _FEWEST_FOR_IMPORTANCES:
        return ()
    return (
        f"Not said below {_FEWEST_FOR_IMPORTANCES} finished trials: with {len(finished)}, the shares would be mostly "
        "chance.",
    )


def _steps(search: StoredSearch) -> tuple[Block, ...]:
    steps = search.settings.steps if search.settings else None
    return (steps_table(steps),) if steps and steps.plain else ()


def _metric_of(search: StoredSearch, records: Sequence[Record]) -> Metric:
    """Return what trials are compared by: its facts stand in search.json, in those of older searches in the records."""
    settings, name = search.settings, search.trials.metric
    if settings and settings.facts and settings.metric == name:
        return metric_of(name, settings.facts)
    return find_metric(name, records)


def _facts(search: StoredSearch) -> tuple[str, ...]:
    trials, settings = search.trials, search.settings
    how = [f"sampler {settings.sampler}", f"pruner {settings.pruner}"] if settings and settings.sampler else []
    statuses = [trial.status for trial in trials.trials]
    counts = [f"{statuses.count(status)} {text.printable(status)}" for status in dict.fromkeys(statuses)]
    trained = text.count(sum(trial.steps_trained for trial in trials.trials), "step")
    reused = text.number(sum(trial.steps_reused for trial in trials.trials), 0)
    return (
        text.count(len(trials.trials), "trial"),
        *([", ".join(counts)] if counts else []),
        f"{trained} trained, {reused} from the store",
        text.duration(sum(trial.seconds for trial in trials.trials)),
        *map(text.printable, how),
    )


def _trial_table(trials: Trials, finished: Sequence[Trial], metric: Metric) -> Grid:
    columns = (
        Column("rank", "rank"),
        Column("trial", "trial", is_row_header=True),
        Column(metric.name, f"val {metric.label}", metric.unit, hint=metric.meaning),
        *(_parameter_column(name, trials) for name in trials.parameters),
        Column("status", "status", numeric=False),
        Column("steps_trained", "steps trained"),
        Column("steps_reused", "steps reused"),
        Column("seconds", "time"),
        Column("message", "remark", numeric=False),
    )
    unfinished = [trial for trial in trials.trials if trial.value is None]
    caption = f"Trials by {metric.label} on val" + (", those without a result below." if unfinished else ".")
    return Grid(
        "trials",
        caption,
        columns,
        tuple(_line(rank, trial, trials, metric) for rank, trial in enumerate(finished, 1)),
        tuple(_line(None, trial, trials, metric) for trial in unfinished),
        sortable=True,
    )


def _parameter_column(name: str, trials: Trials) -> Column:
    is_numeric = all(isinstance(trial.values.get(name, 0), int | float) for trial in trials.trials)
    return Column(name, text.printable(name.removeprefix("protocol.")), numeric=is_numeric)


def _line(rank: int | None, trial: Trial, trials: Trials, metric: Metric) -> Line:
    values = [_setting(trial.values[p]) if p in trial.values else Cell(None, text.ABSENT) for p in trials.parameters]
    return (
        Cell(rank, text.number(rank, 0)),
        Cell(trial.number, str(trial.number)),
        Cell(trial.value, text.number(trial.value, metric.decimals), best=rank == 1, second=rank == 2),
        *values,
        plain(trial.status),
        Cell(trial.steps_trained, text.number(trial.steps_trained, 0)),
        Cell(trial.steps_reused, text.number(trial.steps_reused, 0)),
        Cell(trial.seconds, text.duration(trial.seconds)),
        plain(trial.message),
    )


def _setting(value: Any) -> Cell:
    """Return the cell of a parameter's value, which is any JSON value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(value, f"{value:.4g}" if isinstance(value, float) else str(value))
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _figures(search: StoredSearch, finished: Sequence[Trial], metric: Metric) -> list[RenderedFigure]:
    if not finished:
        return []
    trials, parameters = search.trials.trials, search.trials.parameters
    ended = {trial.number for trial in trials if trial.status == "pruned"}
    last = {
        number: trial.validations[-1][1]
        for number, trial in search.details.items()
        if number in ended and trial.validations
    }
    caption = f"Val {metric.label} of each trial, and the best so far. What was ended early has its last value."
    reading = "Reading: where the line stays level, later trials brought nothing."
    course = history(trials, last, metric)
    figures = [RenderedFigure("course", f"{reading} {caption}", f"Scatter plot. {caption}", course)]
    if slices := parameter_slices(sorted(finished, key=lambda t: t.number), parameters, metric, finished[0]):
        caption = f"Val {metric.label} over each parameter. A dot is a trial; the best has another colour."
        reading = "Reading: where good trials gather at an edge, a wider range may hold better ones."
        figures.append(RenderedFigure("parameters", f"{reading} {caption}", f"Scatter plots. {caption}", slices))
    if lines := parallel_coordinates(finished, parameters):
        caption = "A line is a trial; the best fifth has another colour. Axes run from lowest to highest value."
        reading = "Reading: where the coloured lines lie close together, the parameter matters."
        figures.append(RenderedFigure("parallel", f"{reading} {caption}", f"Parallel coordinates. {caption}", lines))
    return figures
