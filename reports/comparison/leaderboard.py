"""All rows of all runs below a folder, ranked among those that were tested on the same images."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reports import metrics, text
from reports.comparison import exclusions as left_out
from reports.comparison.exclusions import Unranked
from reports.errors import ReportError
from reports.grid import Column, Grid, plain
from reports.metrics import Metric
from reports.results import Results
from reports.results.combine import merged, named, restricted, row_name
from reports.results.load import load
from reports.results.summary import SPLIT, summaries
from reports.results.test_set import ScoredImages, description, mismatch, scored_images
from reports.tables import score_tables

_FOLDER = Column("folder", "folder", numeric=False)


@dataclass(frozen=True)
class Board:
    """One ranking; `results` has its rows alone, called `<experiment>/<row>`."""

    metric: Metric
    data: str
    """The test images in words."""
    results: Results
    ranking: Grid


@dataclass(frozen=True)
class Leaderboard:
    """One board for each metric and set of test images, the one with most rows first."""

    boards: tuple[Board, ...]
    unranked: Grid | None
    """Rows and runs that cannot be ranked, and why."""


@dataclass(frozen=True)
class _Group:
    """Experiments that may be ranked together: one metric, the same test images."""

    metric: Metric
    data: ScoredImages
    experiments: Mapping[str, Results]


def leaderboard(folder: Path, metric: str | None = None, *, keeping_gates: bool = False) -> Leaderboard:
    """Rank the rows of all run folders (a plan.json in each) in or below `folder`.

    Args:
        metric: rank by it; None ranks each experiment by its own primary metric.
        keeping_gates: rank only rows that fail no gate.
    Raises: `ReportError` where there is no such folder, no run in it, or no row that has the metric.
    """
    found, lines = _loaded(folder)
    if metric:
        _demand_known(metric, found.values())
    for name, results in found.items():
        by = metrics.metric(metric or results.plan.primary)
        own = left_out.unranked(results, by, keeping_gates=keeping_gates)
        lines += [replace(line, row=row_name(name, line.row)) for line in own]
    out = {line.row for line in lines}
    boards = [board for group in _groups(found, metric) if (board := _board(group, out))]
    boards.sort(key=lambda board: -len(board.ranking.lines))
    return Leaderboard(tuple(boards), left_out.grid(lines))


def run_folders(folder: Path) -> Iterator[Path]:
    """All run folders in or below `folder`, in the order of their paths; hidden folders are not looked into."""
    for place, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        if "plan.json" in files:
            yield Path(place)


def _loaded(folder: Path) -> tuple[dict[str, Results], list[Unranked]]:
    """The readable runs by name, and the others with the reason."""
    if not folder.is_dir():
        raise ReportError(f"{folder}: no such folder; a leaderboard is made from a folder with runs in it, e.g. runs")
    results: list[Results] = []
    lines: list[Unranked] = []
    for run in run_folders(folder):
        try:
            results.append(load(run))
        except ReportError as error:
            lines.append(left_out.broken(run, str(error)))
    if not results and not lines:
        raise ReportError(f"{folder}: no run in it or below it (no plan.json); `python -m benchmark run` makes one")
    return named(results), lines


def _demand_known(metric: str, found: Iterable[Results]) -> None:
    known = {name for one in found for record in one.finished for name in record.scores.get(SPLIT, {})}
    if metric not in known:
        there = ", ".join(sorted(known)) or "none"
        raise ReportError(f"--metric {metric}: no finished row has it on test; these are there: {there}")


def _groups(found: Mapping[str, Results], metric: str | None) -> list[_Group]:
    """The experiments with test scores, those together that share metric and test images."""
    groups: list[_Group] = []
    for name, results in found.items():
        data, by = scored_images(name, results), metrics.metric(metric or results.plan.primary)
        if not data.images:
            continue
        fits = [group.metric == by and not mismatch(group.data, data) for group in groups]
        place = fits.index(True) if any(fits) else None
        if place is None:
            groups.append(_Group(by, data, {name: results}))
        else:
            groups[place] = replace(groups[place], experiments={**groups[place].experiments, name: results})
    return groups


def _board(group: _Group, out: set[str]) -> Board | None:
    """The ranking of a group without the rows in `out`; None where no trained row is left."""
    everything = merged(group.experiments)
    results = restricted(everything, [row.row for row in everything.plan.rows if row.row not in out])
    results = replace(results, plan=results.plan.model_copy(update={"primary": group.metric.name}))
    rows = list(summaries(results).values())
    if all(row.is_baseline for row in rows):
        return None
    data = description(group.data)
    ranking = score_tables.ranking(rows, group.metric)
    caption = f"By {group.metric.label} on test ({data}): {text.count(len(ranking.lines), 'row')} of "
    caption += text.count(len(group.experiments), "run")
    notes = (*ranking.notes, *_seed_note(group.experiments))
    shown = replace(
        ranking, name=f"ranking_{group.metric.name}_{next(iter(group.experiments))}", caption=f"{caption}.", notes=notes
    )
    return Board(group.metric, data, results, _with_folders(shown, group.experiments))


def _seed_note(experiments: Mapping[str, Results]) -> tuple[str, ...]:
    """A warning where means are over different seeds."""
    seeds = {name: ", ".join(map(str, one.plan.seeds)) for name, one in experiments.items()}
    if len(set(seeds.values())) < 2:
        return ()
    shown = "; ".join(f"{name}: {planned}" for name, planned in seeds.items())
    return (f"Means are over different seeds ({shown}); `compare` uses those that runs share.",)


def _with_folders(grid: Grid, experiments: Mapping[str, Results]) -> Grid:
    """The grid with a last column that says in which run each row lies."""
    folders = {
        row_name(name, row.row): str(results.folder)
        for name, results in experiments.items()
        for row in results.plan.rows
    }
    head = next(index for index, column in enumerate(grid.columns) if column.heads_row)
    return replace(
        grid,
        columns=(*grid.columns, _FOLDER),
        lines=tuple((*line, plain(folders[str(line[head].value)])) for line in grid.lines),
        apart=tuple((*line, plain(folders[str(line[head].value)])) for line in grid.apart),
    )
