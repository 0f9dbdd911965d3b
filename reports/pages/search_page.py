"""The page of a search: its trials, their course, and the best as an experiment."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reports import metrics, text
from reports.figures import trial_figures
from reports.figures.figure_output import Drawing, render, style
from reports.grid import Cell, Column, Grid, Line, plain
from reports.metrics import Metric
from reports.pages.section_page import PlainPage, Section
from reports.results import load
from reports.results.trials import TRIALS, Trial, Trials, read
from reports.schema import Record
from reports.tables import gates, provenance

BEST = "best.yaml"


def is_search(folder: Path) -> bool:
    """Whether a folder is that of a search; where a run shares it, it counts as the run's."""
    return (folder / TRIALS).is_file() and not (folder / "plan.json").exists()


def build(folder: Path) -> PlainPage:
    """The page of the search in `folder`. Raises: `ReportError` where its table of trials cannot be read."""
    trials = read(folder / TRIALS)
    metric = metrics.metric(trials.metric)
    done = ranked(trials.found, metric)
    records, notes = load.trial_records(folder, [one.number for one in trials.found])
    return PlainPage(
        title=text.printable(folder.resolve().name),
        facts=_facts(trials),
        lead=_lead(done, metric),
        sections=(
            Section("trials", "Trials", grids=(_grid(trials, done, metric),), notes=_cut(trials)),
            *_course(trials, done, metric),
            *_judged(records),
            *_best(folder),
            Section("provenance", "Provenance", grids=(_made(records),), notes=notes),
        ),
    )


def ranked(found: Sequence[Trial], metric: Metric) -> list[Trial]:
    """The trials that were trained to their end, the best first."""
    done = [(metric.sort_key(one.value), one) for one in found if one.value is not None]
    return [one for _, one in sorted(done, key=lambda pair: (pair[0], pair[1].number))]


def _facts(trials: Trials) -> tuple[str, ...]:
    found = trials.found
    statuses = list(dict.fromkeys(one.status for one in found))
    counts = [f"{sum(one.status == status for one in found)} {text.printable(status)}" for status in statuses]
    trained, reused = sum(one.steps_trained for one in found), sum(one.steps_reused for one in found)
    return (
        text.count(len(found), "trial"),
        *([", ".join(counts)] if counts else []),
        f"{text.count(trained, 'step')} trained, {text.number(reused, 0)} from the store",
        text.duration(sum(one.seconds for one in found)),
    )


def _lead(done: Sequence[Trial], metric: Metric) -> str:
    if not done:
        return "No trial was trained to its end yet."
    best = done[0]
    value = text.with_unit(text.number(best.value, metric.decimals), metric.unit)
    first = [one.value for one in done[1:] if one.number == 0 and one.value is not None]
    gains = [best.value - value for value in first if best.value is not None]
    against = "".join(f", {text.signed(gain, metric.difference_decimals)} against trial 0" for gain in gains)
    return (
        f"Trial {best.number} is the best: val {metric.label} {value}{against}. The choice was made on val with one "
        "seed; whether it holds on test, over all seeds, is yet to be confirmed."
    )


def _grid(trials: Trials, done: Sequence[Trial], metric: Metric) -> Grid:
    columns = (
        Column("rank", "rank"),
        Column("trial", "trial", heads_row=True),
        Column(metric.name, f"val {metric.label}", metric.unit, hint=metric.meaning),
        *(_parameter_column(name, trials) for name in trials.parameters),
        Column("status", "status", numeric=False),
        Column("steps_trained", "steps trained"),
        Column("steps_reused", "steps reused"),
        Column("seconds", "time"),
        Column("message", "remark", numeric=False),
    )
    others = [one for one in trials.found if one.value is None]
    lines = tuple(_line(place, one, trials, metric) for place, one in enumerate(done, 1))
    apart = tuple(_line(None, one, trials, metric) for one in others)
    caption = f"Trials by {metric.label} on val" + (", those without a result below." if others else ".")
    return Grid("trials", caption, columns, lines, apart, sortable=True)


def _parameter_column(name: str, trials: Trials) -> Column:
    values = [one.values[name] for one in trials.found if name in one.values]
    is_numeric = all(isinstance(value, int | float) for value in values)
    return Column(name, text.printable(name.removeprefix("protocol.")), numeric=is_numeric)


def _line(place: int | None, one: Trial, trials: Trials, metric: Metric) -> Line:
    value = Cell(one.value, text.number(one.value, metric.decimals), best=place == 1, second=place == 2)
    return (
        Cell(place, text.number(place, 0)),
        Cell(one.number, str(one.number)),
        value,
        *(_setting(one.values[name]) if name in one.values else Cell(None, text.ABSENT) for name in trials.parameters),
        plain(one.status),
        Cell(one.steps_trained, text.number(one.steps_trained, 0)),
        Cell(one.steps_reused, text.number(one.steps_reused, 0)),
        Cell(one.seconds, text.duration(one.seconds)),
        plain(one.message),
    )


def _setting(value: Any) -> Cell:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(value, f"{value:.4g}" if isinstance(value, float) else str(value))
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _cut(trials: Trials) -> tuple[str, ...]:
    lines = text.count(trials.unreadable, "line")
    return (f"{TRIALS}: {lines} left out that are not those of a trial.",) if trials.unreadable else ()


def _course(trials: Trials, done: Sequence[Trial], metric: Metric) -> list[Section]:
    if not done:
        return []
    in_time = sorted(done, key=lambda one: one.number)
    drawings: list[Drawing] = []
    with style():
        caption = f"Val {metric.label} of each trial, and the best so far."
        drawings.append(render(trial_figures.course(in_time, metric), "course", caption, f"Scatter plot. {caption}"))
        slices = trial_figures.slices(in_time, trials.parameters, metric, done[0])
        if slices:
            caption = f"Val {metric.label} over each parameter, one dot a trial; the best is set off in colour."
            drawings.append(render(slices, "parameters", caption, f"Scatter plots. {caption}"))
    return [Section("course", "Course and parameters", drawings=tuple(drawings))]


def _judged(records: Sequence[Record]) -> list[Section]:
    judged = gates.grid_of([(one.row, gate) for one in records for gate in one.gates])
    return [Section("gates", "Gates", grids=(judged,), notes=(gates.LEGEND,))] if judged else []


def _best(folder: Path) -> list[Section]:
    experiment = load.text_or_nothing(folder / BEST)
    if not experiment:
        return []
    how = f"{BEST} compares it with the base row on test, over all seeds: run it with `python -m benchmark run`."
    return [Section("best", "The best as an experiment", paragraphs=(how,), code=experiment, language="yaml")]


def _made(records: Sequence[Record]) -> Grid:
    return provenance.facts([one.provenance for one in records])
