"""The page of a search: its trials, their course, and the best trial as an experiment."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from reports import text
from reports.errors import FileFormatError
from reports.figures.figure_output import RenderedFigure, render, style
from reports.figures.row_figures import parameter_slices, search_course
from reports.grid import Cell, Column, Grid, Line, plain
from reports.metrics import Metric
from reports.pages import Code, Page, section
from reports.results import find_metric, load, metric_of
from reports.results.trials import TRIALS, Trial, Trials, read
from reports.schema import Record, SearchFile
from reports.schema import read as read_file
from reports.tables import gates, provenance

BEST = "best.yaml"


def is_search(folder: Path) -> bool:
    """Tell whether a folder is that of a search. A folder that also holds a run counts as the run's."""
    return (folder / TRIALS).is_file() and not (folder / "plan.json").exists()


def build(folder: Path) -> Page:
    """Return the page of the search in `folder`.

    Raises:
        ReportError: The table of trials cannot be read.
    """
    trials = read(folder / TRIALS)
    records, damage = load.trial_records(folder, [trial.number for trial in trials.trials])
    metric = _metric_of(folder, trials, records)
    finished = ranked(trials.trials, metric)
    best = load.text_of(folder / BEST)
    unreadable = f"{folder / TRIALS}: {text.count(trials.unreadable, 'line')} left out that hold no trial"
    return Page(
        title=text.printable(folder.resolve().name),
        facts=_facts(trials),
        headline=(_headline(finished, metric),),
        damage=tuple(map(text.printable, (*damage, *([unreadable] if trials.unreadable else [])))),
        sections=(
            section("trials", "Trials", _trial_table(trials, finished, metric)),
            section("course", "Course and parameters", *_figures(trials, finished, metric)),
            section(
                "gates", "Gates", gates.gate_table((record.row, gate) for record in records for gate in record.gates)
            ),
            section(
                "best",
                "The best trial as an experiment",
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
        ),
    )


def _metric_of(folder: Path, trials: Trials, records: Sequence[Record]) -> Metric:
    """Return what trials are compared by: its facts stand in search.json, in those of older searches in the records."""
    with suppress(FileFormatError):
        described = read_file(SearchFile, folder / "search.json")
        if described.facts and described.metric == trials.metric:
            return metric_of(trials.metric, described.facts)
    return find_metric(trials.metric, records)


def ranked(trials: Sequence[Trial], metric: Metric) -> list[Trial]:
    """Return the trials that finished training, the best first."""
    finished = [(metric.sort_key(trial.value), trial.number, trial) for trial in trials if trial.value is not None]
    return [trial for *_, trial in sorted(finished, key=lambda entry: entry[:2])]


def _facts(trials: Trials) -> tuple[str, ...]:
    statuses = [trial.status for trial in trials.trials]
    counts = [f"{statuses.count(status)} {text.printable(status)}" for status in dict.fromkeys(statuses)]
    trained = text.count(sum(trial.steps_trained for trial in trials.trials), "step")
    reused = text.number(sum(trial.steps_reused for trial in trials.trials), 0)
    return (
        text.count(len(trials.trials), "trial"),
        *([", ".join(counts)] if counts else []),
        f"{trained} trained, {reused} from the store",
        text.duration(sum(trial.seconds for trial in trials.trials)),
    )


def _headline(finished: Sequence[Trial], metric: Metric) -> str:
    if not finished:
        return "No trial has finished training yet."
    best = finished[0]
    value = text.with_unit(text.number(best.value, metric.decimals), metric.unit)
    first = next((trial.value for trial in finished[1:] if trial.number == 0), None)
    gain = None if first is None or best.value is None else best.value - first
    against = "" if gain is None else f", {text.signed(gain, metric.difference_decimals)} against trial 0"
    return (
        f"Trial {best.number} is the best: val {metric.label} {value}{against}. It was chosen on val with one seed. "
        "Whether it is also better on test, over all seeds, is yet to be confirmed."
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


def _figures(trials: Trials, finished: Sequence[Trial], metric: Metric) -> list[RenderedFigure]:
    if not finished:
        return []
    in_time = sorted(finished, key=lambda trial: trial.number)
    with style():
        caption = f"Val {metric.label} of each trial, and the best so far."
        figures = [render(search_course(in_time, metric), "course", caption, f"Scatter plot. {caption}")]
        slices = parameter_slices(in_time, trials.parameters, metric, finished[0])
        if slices:
            caption = f"Val {metric.label} over each parameter. A dot is a trial; the best has another colour."
            figures.append(render(slices, "parameters", caption, f"Scatter plots. {caption}"))
    return figures
