"""Read a run folder or a published study. What cannot be read is a `Problem` or a note with its reason, no crash."""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import csv
import io
import math
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from reports.digests import check
from reports.errors import FileFormatError, ReportError
from reports.file_access import read_text
from reports.results import DAMAGED, MISSING, Problem, Results, row_folder
from reports.results.published import Study, read_study
from reports.schema import PlanFile, PlanRow, Record, TuningFile, read
from reports.text import row_and_seed

if TYPE_CHECKING:
    import pandas as pd

_SCORES, _CURVE, _TUNING = "scores.csv", "curve.csv", "tuning.json"
_SCORE_COLUMNS = ("split", "image", "metric", "value")
_CURVE_COLUMNS = ("stage", "step", "name", "value")
_NUMBERS = ("step", "value")
_LOSS = "loss"
_MOST_SETTINGS = 100_000
"""Settings of an experiment.yaml, aliases resolved; a larger one, or a ring of aliases, is not read."""
_NO_SEED = -1
"""Stands for the seed of a baseline where pandas groups by seed."""


@dataclass(frozen=True)
class _Place:
    """Where the record of one row and seed is expected; `config_hash` is empty where the plan says nothing."""

    row: str
    seed: int | None
    folder: Path
    config_hash: str


def load(folder: Path) -> Results:
    """Return the results in a run folder or in a published study.

    Raises:
        ReportError: There is no readable plan.json, or a file of a published study is damaged; one line names the file.
    """
    study = read_study(folder)
    plan = _plan(folder)
    entries = {place: _entry(place, study) for row in plan.rows for place in _places(folder, row)}
    if plan.chosen is not None:
        entries = {place: entry for place, entry in entries.items() if _is_awaited(place, entry, folder, plan.chosen)}
        plan = _restricted(plan, {(place.row, place.seed) for place in entries})
    records = tuple(entry for entry in entries.values() if isinstance(entry, Record))
    finished = {
        place: entry for place, entry in entries.items() if isinstance(entry, Record) and entry.status == "done"
    }
    scores, score_notes = _frame(finished, _SCORES, _SCORE_COLUMNS, study.scores if study else None)
    trained = [place for place, record in finished.items() if record.stages]
    curves, curve_notes = _frame(trained, _CURVE, _CURVE_COLUMNS, study.curves if study else None)
    tuning, tuning_notes = None, list[str]()
    if (folder / _TUNING).exists():
        try:
            tuning = read(TuningFile, folder / _TUNING)
        except FileFormatError as error:
            tuning_notes = [f"{_TUNING}: {error}."]
    return Results(
        folder=folder,
        plan=plan,
        records=records,
        problems=(*chain.from_iterable(map(_problems, entries.values())), *_unplanned(folder, entries, study)),
        notes=(
            *(study.notes if study else ()),
            *score_notes,
            *curve_notes,
            *_disagreements(records, scores),
            *tuning_notes,
        ),
        scores=scores,
        curves=curves.loc[curves["name"] == _LOSS].reset_index(drop=True),
        experiment_yaml=text_of(folder / "experiment.yaml"),
        tuning=tuning,
        unchecked=0 if study and study.is_checked else sum(not record.files for record in finished.values()),
    )


def trial_records(folder: Path, numbers: Iterable[int]) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """Return the records of the trials of a search or of its study, and a line for each that is damaged.

    A trial that failed before it was trained has none: that is nothing odd.

    Raises:
        ReportError: A file of a study is damaged.
    """
    if study := read_study(folder):
        names = {f"trial.{number}" for number in numbers}
        return tuple(record for record in study.records.values() if record.row in names), study.notes
    records: list[Record] = []
    damage: list[str] = []
    for number in numbers:
        for path in sorted((folder / f"trial.{number}").glob("seed*/record.json")):
            try:
                records.append(read(Record, path))
            except FileFormatError as error:
                damage.append(f"{path}: {error}")
    return tuple(records), tuple(damage)


def text_of(path: Path) -> str:
    """Return the text of a file; empty where there is none."""
    try:
        return read_text(path, "backslashreplace")
    except OSError:
        return ""


def parsed_yaml(text: str) -> Any:
    """Return a YAML text as plain data; None where it is not readable, or where its aliases multiply without end."""
    try:
        data: Any = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    items, count = [data], 0
    while items and count < _MOST_SETTINGS:
        item: Any = items.pop()
        items += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        count += 1
    return None if items else data


def _plan(folder: Path) -> PlanFile:
    path = folder / "plan.json"
    if not path.is_file():
        raise ReportError(
            f"{folder}: no plan.json here; a report is made from the folder of a run or a search (runs/<experiment>), "
            "as `python -m benchmark run` writes it, from a published study, or from the file that `measure --json` "
            "wrote"
        )
    try:
        return read(PlanFile, path)
    except FileFormatError as error:
        raise ReportError(f"{path}: {error}; `python -m benchmark run` writes it anew") from error


def _is_awaited(place: _Place, entry: Record | Problem, run: Path, chosen: Collection[str]) -> bool:
    """Tell whether a row and seed was chosen, or is there from an earlier run; baselines are always run."""
    is_missing = isinstance(entry, Problem) and entry.kind == MISSING
    return not is_missing or place.seed is None or place.folder.relative_to(run).as_posix() in chosen


def _restricted(plan: PlanFile, kept: Collection[tuple[str, int | None]]) -> PlanFile:
    """Return the plan with these rows and seeds alone. A row that was not chosen stays, without a seed."""
    rows = tuple(
        row.model_copy(update={"seeds": tuple(seed for seed in row.seeds if (row.row, seed) in kept)})
        for row in plan.rows
    )
    return plan.model_copy(
        update={"rows": rows, "seeds": tuple(seed for seed in plan.seeds if any(seed in row.seeds for row in rows))}
    )


def _places(run: Path, row: PlanRow) -> list[_Place]:
    if row.row in ("", ".", "..") or Path(row.row).name != row.row:
        raise ReportError(f"{run / 'plan.json'}: row {row.row!r} is no name of a folder inside the run")
    return [
        _Place(row.row, seed, run / row_folder(row.row, seed), row.config_hashes.get(str(seed), ""))
        for seed in row.seeds
    ]


def _entry(place: _Place, study: Study | None) -> Record | Problem:
    path = place.folder / "record.json"
    if study:
        record = study.records.get((place.row, place.seed))
    elif path.exists():
        try:
            record = read(Record, path)
        except FileFormatError as error:
            return Problem(place.row, place.seed, DAMAGED, f"record.json: {error}")
        try:
            check(place.folder, (_SCORES, _CURVE), record.files, "record.json")
        except FileFormatError as error:
            return Problem(place.row, place.seed, DAMAGED, str(error))
    else:
        record = None
    if record is None:
        reason = "not published" if study else "no record.json: not run yet, or stopped on the way"
        return Problem(place.row, place.seed, MISSING, reason)
    if (record.row, record.seed) != (place.row, place.seed):
        reason = f"record.json is that of row {record.row!r}, seed {record.seed}"
        return Problem(place.row, place.seed, "not of this plan", reason)
    if place.config_hash and record.config_hash != place.config_hash:
        reason = "record.json is that of another configuration than plan.json (an older one?)"
        return Problem(place.row, place.seed, "not of this plan", reason)
    return record


def _problems(entry: Record | Problem) -> list[Problem]:
    if isinstance(entry, Problem):
        return [entry]
    if entry.status == "done":
        return []
    return [Problem(entry.row, entry.seed, entry.status, entry.reason or "the record gives no reason")]


def _unplanned(folder: Path, places: Iterable[_Place], study: Study | None) -> list[Problem]:
    """Return a problem for each record that the plan does not name."""
    if study:
        expected = {(place.row, place.seed) for place in places}
        labels = [row_folder(*key) for key in study.records.keys() - expected]
    else:
        files = {place.folder / "record.json" for place in places}
        labels = [
            path.parent.relative_to(folder).as_posix()
            for path in ({*folder.glob("*/record.json"), *folder.glob("*/seed*/record.json")} - files)
        ]
    return [
        Problem(label, None, "not of this plan", "plan.json names no such row and seed") for label in sorted(labels)
    ]


def _frame(
    places: Iterable[_Place], name: str, columns: Sequence[str], published: dict[Any, list[list[str]]] | None
) -> tuple["pd.DataFrame", list[str]]:
    """Return the tables called `name` of all places as one long table, and notes about what is wrong with them.

    Args:
        places: The rows and seeds that should have the table.
        name: Name of the file in a run folder.
        columns: Names of its columns.
        published: (row, seed) -> lines, of a published study; None to read the files.
    """
    import pandas as pd  # slow to import, and planning imports this module

    rows: list[str] = []
    seeds: list[int | None] = []
    cells: dict[str, list[str | float]] = {column: [] for column in columns}
    notes: list[str] = []
    for place in places:
        try:
            if published is None:
                table = _csv_lines(place.folder / name, columns)
            elif not (table := published.get((place.row, place.seed), [])):
                raise FileFormatError("is missing")
            complete = _complete(table, columns)
        except FileFormatError as error:
            notes.append(f"{row_and_seed(place.row, place.seed)}: {name} {error}.")
            continue
        count = len(complete[0])
        if dropped := len(table) - count:
            label = row_and_seed(place.row, place.seed)
            notes.append(f"{label}: {name} has incomplete or non-finite lines; {dropped} left out.")
        rows += [place.row] * count
        seeds += [place.seed] * count
        for column, values in zip(columns, complete, strict=True):
            cells[column] += values
    series = {column: pd.Series(of, dtype="float64" if column in _NUMBERS else "str") for column, of in cells.items()}
    return pd.DataFrame({"row": pd.Series(rows, dtype="str"), "seed": pd.Series(seeds, dtype="Int64"), **series}), notes


def _csv_lines(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """Return the cells of these columns, line by line. Raises FileFormatError if the file is no such table."""
    try:
        header, *lines = csv.reader(io.StringIO(read_text(path), newline=""))
        at = [header.index(column) for column in columns]
    except FileNotFoundError:
        raise FileFormatError("is missing") from None
    except (OSError, ValueError, csv.Error) as error:
        reason = " ".join(str(error).split())
        raise FileFormatError(f"is no table with the columns {', '.join(columns)} ({reason})") from error
    if at == [*range(len(header))] and {len(line) for line in lines} <= {len(header)}:
        return lines  # nearly all tables are of this form
    last = max(at)
    return [
        [line[i] for i in at] if last < len(line) else [line[i] if i < len(line) else "" for i in at]
        for line in lines
        if line
    ]


def _complete(lines: Sequence[Sequence[str]], columns: Sequence[str]) -> Sequence[tuple[str | float, ...]]:
    """Return the columns of the lines whose numbers are all finite, as numbers."""
    if not lines:
        return [()] * len(columns)
    is_number = [column in _NUMBERS for column in columns]
    with suppress(ValueError):  # nearly all tables are whole, and reading them by columns is quick
        by_column = [
            tuple(map(float, cells)) if number else cells
            for cells, number in zip(zip(*lines, strict=True), is_number, strict=True)
        ]
        if all(map(math.isfinite, chain.from_iterable(of for of, n in zip(by_column, is_number, strict=True) if n))):
            return by_column
    complete: list[tuple[str | float, ...]] = []
    for line in lines:
        with suppress(ValueError):
            cells = tuple(float(cell) if number else cell for cell, number in zip(line, is_number, strict=True))
            if all(math.isfinite(cell) for cell in cells if isinstance(cell, float)):
                complete.append(cells)
    return list(zip(*complete, strict=True)) if complete else [()] * len(columns)


def _disagreements(records: tuple[Record, ...], scores: "pd.DataFrame") -> list[str]:
    """Name rows whose scores do not average to the mean in the record: one of the two files was changed or cut."""
    by_seed: Any = scores.assign(seed=scores["seed"].fillna(_NO_SEED)).groupby(["row", "seed", "split", "metric"])
    means = by_seed["value"].mean().to_dict()
    notes: list[str] = []
    for record in records:
        seed = _NO_SEED if record.seed is None else record.seed
        wrong = [
            metric
            for split, by_metric in record.scores.items()
            for metric, score in by_metric.items()
            if not np.isclose(means.get((record.row, seed, split, metric), score.mean), score.mean, rtol=1e-4)
        ]
        if wrong:
            listed = ", ".join(sorted(set(wrong)))
            notes.append(
                f"{row_and_seed(record.row, record.seed)}: scores.csv does not average to record.json in {listed}."
            )
    return notes
