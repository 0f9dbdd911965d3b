"""All rows of all runs below a folder, ranked among those that were tested on the same images."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from reports import text
from reports.comparison.combine import merged, named, restricted, row_name
from reports.comparison.scored_images import ScoredImages, description, mismatch, scored_images
from reports.comparison.shared_test_sets import shared_test_sets
from reports.errors import ReportError
from reports.grid import ROW_COLUMN, Column, Grid, plain
from reports.metrics import Metric
from reports.results import Problem, Results
from reports.results.load import load
from reports.results.summary import SPLIT, Summary, summaries
from reports.statistics.ranks import order_by
from reports.tables import score_tables
from reports.tables.test_sets import pivot_table

_FOLDER = Column("folder", "folder", numeric=False)


@dataclass(frozen=True)
class Board:
    """One ranking; `results` has its rows alone, called `<experiment>/<row>`."""

    metric: Metric
    data: str
    """The test images in words."""
    results: Results
    ranking: Grid
    pivot: Grid | None
    """The rows on every test set that the runs share; None where `test` is the only one."""


@dataclass(frozen=True)
class Leaderboard:
    """One board for each metric and set of test images, the board with most rows first."""

    boards: tuple[Board, ...]
    exclusions: Grid | None
    """Rows and runs that cannot be ranked, and why."""
    damage: tuple[str, ...]
    """A line for each damaged file."""
    unchecked: int
    """Records of an earlier version, which cannot tell whether the files beside them are damaged."""


class Exclusion(NamedTuple):
    """One row, or a whole run where `row` is empty, that cannot be ranked."""

    row: str
    what: str
    reason: str
    folder: str


@dataclass(frozen=True)
class _Group:
    """Experiments that may be ranked together: one metric, the same test images."""

    metric: Metric
    data: ScoredImages
    experiments: dict[str, Results]


def leaderboard(folder: Path, metric: str | None = None, *, keeping_gates: bool = False) -> Leaderboard:
    """Rank the rows of all run folders (a plan.json in each) in or below `folder`.

    Args:
        folder: Where to look for runs.
        metric: The metric to rank by. None ranks each experiment by its own primary metric.
        keeping_gates: Rank only rows that fail no gate.

    Raises:
        ReportError: There is no such folder, no run in it, or no row that has the metric.
    """
    if not folder.is_dir():
        raise ReportError(f"{folder}: no such folder; a leaderboard is made from a folder with runs in it, e.g. runs")
    loaded: list[Results] = []
    excluded: list[Exclusion] = []
    damage: list[str] = []
    for run in run_folders(folder):
        try:
            loaded.append(load(run))
        except ReportError as error:
            excluded.append(Exclusion("", "unreadable run", str(error), str(run)))
            damage.append(str(error))
    if not loaded and not excluded:
        raise ReportError(f"{folder}: no run in it or below it (no plan.json); `python -m benchmark run` makes one")
    experiments = named(loaded)
    measured = {name for results in loaded for record in results.finished for name in record.scores.get(SPLIT, {})}
    if metric and metric not in measured:
        present = ", ".join(sorted(measured)) or "none"
        raise ReportError(f"--metric {metric}: no finished row has it on test; these are there: {present}")
    for name, results in experiments.items():
        excluded += _exclusions(name, results, results.metric(metric or results.plan.primary), keeping_gates)
    out = {exclusion.row for exclusion in excluded}
    boards = [board for group in _groups(experiments, metric) if (board := _board(group, out))]
    boards.sort(key=lambda board: -len(board.ranking.lines))
    damage += [line for results in loaded for line in results.damage]
    unchecked = sum(results.unchecked for results in loaded)
    return Leaderboard(tuple(boards), _exclusion_table(excluded), tuple(damage), unchecked)


def run_folders(folder: Path) -> Iterator[Path]:
    """Yield all run folders in or below `folder`, in the order of their paths; hidden folders are skipped."""
    for path, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        if "plan.json" in files:
            yield Path(path)


def _exclusions(experiment: str, results: Results, metric: Metric, keeping_gates: bool) -> list[Exclusion]:
    """Return the rows of one experiment that cannot be ranked by `metric`, and records that the plan does not have."""
    rows = summaries(results)
    obstacles = [
        (
            row.row,
            *_obstacle(row, [problem for problem in results.problems if problem.row == row.row], metric, keeping_gates),
        )
        for row in rows.values()
    ]
    obstacles += [
        (problem.row, problem.kind, problem.reason) for problem in results.problems if problem.row not in rows
    ]
    return [
        Exclusion(row_name(experiment, row), what, reason, str(results.folder / row))
        for row, what, reason in obstacles
        if what
    ]


def _obstacle(row: Summary, problems: Sequence[Problem], metric: Metric, keeping_gates: bool) -> tuple[str, str]:
    """Return what excludes the row, and the reason; empty where it can be ranked."""
    if len(row.finished) < row.planned:
        what = "incomplete" if row.finished else text.listing(list(dict.fromkeys(problem.kind for problem in problems)))
        progress = f"{len(row.finished)} of {text.count(row.planned, 'seed')} finished"
        reasons = [
            f"{'' if problem.seed is None else f'{text.seed_name(problem.seed)} '}{problem.kind}: {problem.reason}"
            for problem in problems
        ]
        return what, "; ".join(["not finished" if row.is_baseline else progress, *reasons])
    if len(row.by_seed(metric.name)) < row.planned:
        return "not scored", f"has no {metric.name} on test"
    if keeping_gates and row.failed_gates:
        return "fails a gate", text.listing([gate.name for gate in row.failed_gates])
    return "", ""


def _exclusion_table(excluded: Sequence[Exclusion]) -> Grid | None:
    if not excluded:
        return None
    columns = (ROW_COLUMN, Column("what", "what", numeric=False), Column("reason", "reason", numeric=False), _FOLDER)
    lines = tuple(tuple(map(plain, exclusion)) for exclusion in excluded)
    return Grid("exclusions", "Rows and runs that are not ranked, and why.", columns, lines)


def _groups(experiments: Mapping[str, Results], metric: str | None) -> list[_Group]:
    """Return the experiments with test scores, grouped by metric and test images."""
    groups: list[_Group] = []
    for name, results in experiments.items():
        data, by = scored_images(name, results), results.metric(metric or results.plan.primary)
        if not data.images:
            continue
        fitting = (group for group in groups if group.metric == by and not mismatch(group.data, data))
        group = next(fitting, _Group(by, data, {}))
        if not group.experiments:
            groups.append(group)
        group.experiments[name] = results
    return groups


def _board(group: _Group, out: set[str]) -> Board | None:
    """Return the ranking of a group without the rows in `out`; None where no trained row is left."""
    everything = merged(group.experiments)
    results = restricted(everything, [row.row for row in everything.plan.rows if row.row not in out])
    results = replace(results, plan=results.plan.model_copy(update={"primary": group.metric.name}))
    rows = list(summaries(results).values())
    if all(row.is_baseline for row in rows):
        return None
    data, ranking = description(group.data), score_tables.ranking(rows, group.metric)
    count = f"{text.count(len(rows), 'row')} of {text.count(len(group.experiments), 'run')}"
    seeds = {name: ", ".join(map(str, results.plan.seeds)) for name, results in group.experiments.items()}
    notes = list(ranking.notes)
    if len(set(seeds.values())) > 1:
        listed = "; ".join(f"{name}: {planned}" for name, planned in seeds.items())
        notes.append(f"Means are over different seeds ({listed}); `compare` uses the seeds that runs share.")
    folders = {
        row_name(name, row.row): plain(str(results.folder))
        for name, results in group.experiments.items()
        for row in results.plan.rows
    }
    place = next(index for index, column in enumerate(ranking.columns) if column.is_row_header)
    ranking = replace(
        ranking,
        name=f"ranking_{group.metric.name}_{next(iter(group.experiments))}",
        caption=f"By {group.metric.label} on test ({data}): {count}.",
        notes=tuple(notes),
        columns=(*ranking.columns, _FOLDER),
        lines=tuple((*line, folders[str(line[place].value)]) for line in ranking.lines),
        footer_rows=tuple((*line, folders[str(line[place].value)]) for line in ranking.footer_rows),
    )
    return Board(group.metric, data, results, ranking, _pivot(group, results, str(ranking.lines[0][place].value)))


def _pivot(group: _Group, results: Results, leader: str) -> Grid | None:
    """Return the rows on every test set, against the best row of the ranking.

    Only the differences to that row are judged: all pairs of a large board would take minutes.
    """
    rows = summaries(results)
    sets, notes = shared_test_sets(
        group.experiments, results, rows, rows[leader], lambda own, metric, compared: order_by(compared, rows, metric)
    )
    table = pivot_table(list(rows.values()), sets, leader)
    if table is None:
        return None
    name = f"test_sets_{group.metric.name}_{next(iter(group.experiments))}"
    return replace(table, name=name, notes=(*table.notes, *notes))
