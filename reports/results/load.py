"""Reads a run folder. What cannot be read is carried as a `Problem` or a note with its reason, never as a crash."""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.errors import FileFormatError, ReportError
from reports.results import MISSING, Problem, Results
from reports.schema import PlanFile, PlanRow, Record, TuningFile, read

_SCORE_TYPES = {"split": "str", "image": "str", "metric": "str", "value": "float64"}
_CURVE_TYPES = {"stage": "str", "step": "float64", "name": "str", "value": "float64"}
_KEYS = ["row", "seed"]


@dataclass(frozen=True)
class _Place:
    """Where the record of one row and seed is expected."""

    row: str
    seed: int | None
    folder: Path
    config_hash: str
    """What the plan says; empty where it says nothing."""


def load(run: Path) -> Results:
    """The results in the run folder `run`.

    Raises: `ReportError` where there is no readable plan.json.
    """
    plan = _plan(run)
    places = [place for row in plan.rows for place in _places(run, row)]
    found = [_record_or_problem(place) for place in places]
    records = tuple(entry for entry in found if isinstance(entry, Record))
    finished = [(place, entry) for place, entry in zip(places, found, strict=True) if _is_done(entry)]
    scores, score_notes = _frames((place for place, _ in finished), "scores.csv", _SCORE_TYPES)
    curves, curve_notes = _frames((place for place, _ in finished if place.seed is not None), "curve.csv", _CURVE_TYPES)
    return Results(
        folder=run,
        plan=plan,
        records=records,
        problems=(*(problem for entry in found for problem in _problems(entry)), *_strangers(run, places)),
        notes=(*score_notes, *curve_notes, *_disagreements(records, scores)),
        scores=scores,
        curves=curves.loc[curves["name"] == "loss"].reset_index(drop=True),
        experiment_yaml=text_or_nothing(run / "experiment.yaml"),
    )


def trial_records(folder: Path, numbers: Iterable[int]) -> tuple[tuple[Record, ...], tuple[str, ...]]:
    """The records of the trials of a search, and a note for each that cannot be read.

    A trial that failed before it was trained has none: that is nothing odd.
    """
    found: list[Record] = []
    notes: list[str] = []
    for number in numbers:
        for path in sorted((folder / f"trial.{number}").glob("seed*/record.json")):
            try:
                found.append(read(Record, path))
            except FileFormatError as error:
                notes.append(f"Trial {number}: record.json: {error}.")
    return tuple(found), tuple(notes)


def tuning_of(run: Path) -> TuningFile | None:
    """Return what tuning found before the run; None where there was none, or its file is not readable."""
    try:
        return read(TuningFile, run / "tuning.json")
    except FileFormatError:
        return None


def _plan(run: Path) -> PlanFile:
    path = run / "plan.json"
    if not path.is_file():
        raise ReportError(
            f"{run}: no plan.json here; a report is made from the folder of a run or a search (runs/<experiment>), "
            "as `python -m benchmark run` writes it, or from the file that `measure --json` wrote"
        )
    try:
        return read(PlanFile, path)
    except FileFormatError as error:
        raise ReportError(f"{path}: {error}; `python -m benchmark run` writes it anew") from error


def _places(run: Path, row: PlanRow) -> list[_Place]:
    folder = run / row.row
    if row.row in ("", ".", "..") or Path(row.row).name != row.row:
        raise ReportError(f"{run / 'plan.json'}: row {row.row!r} is no name of a folder inside the run")
    return [
        _Place(row.row, seed, folder if seed is None else folder / f"seed{seed}", row.config_hashes.get(str(seed), ""))
        for seed in row.seeds
    ]


def _record_or_problem(place: _Place) -> Record | Problem:
    path = place.folder / "record.json"
    if not path.exists():
        return Problem(place.row, place.seed, MISSING, "no record.json: not run yet, or stopped on the way")
    try:
        record = read(Record, path)
    except FileFormatError as error:
        return Problem(place.row, place.seed, "unreadable", f"record.json: {error}")
    if (record.row, record.seed) != (place.row, place.seed):
        reason = f"record.json is that of row {record.row!r}, seed {record.seed}"
        return Problem(place.row, place.seed, "not of this plan", reason)
    if place.config_hash and record.config_hash != place.config_hash:
        reason = "record.json is that of another configuration than plan.json (an older one?)"
        return Problem(place.row, place.seed, "not of this plan", reason)
    return record


def _is_done(entry: Record | Problem) -> bool:
    return isinstance(entry, Record) and entry.status == "done"


def _problems(entry: Record | Problem) -> list[Problem]:
    if isinstance(entry, Problem):
        return [entry]
    if entry.status == "done":
        return []
    return [Problem(entry.row, entry.seed, entry.status, entry.reason or "the record gives no reason")]


def _strangers(run: Path, places: list[_Place]) -> list[Problem]:
    """Records in the folder that the plan does not name."""
    expected = {place.folder / "record.json" for place in places}
    present = sorted({*run.glob("*/record.json"), *run.glob("*/seed*/record.json")} - expected)
    return [
        Problem(
            path.parent.relative_to(run).as_posix(), None, "not of this plan", "plan.json names no such row and seed"
        )
        for path in present
    ]


def _frames(places: Iterable[_Place], name: str, types: dict[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """The CSV files called `name` of all places as one long table, and notes about what is wrong with them."""
    parts: list[pd.DataFrame] = [_empty(types)]
    notes: list[str] = []
    for place in places:
        try:
            part, dropped = _csv(place.folder / name, types)
        except FileFormatError as error:
            notes.append(f"{_label(place)}: {name} {error}.")
            continue
        if dropped:
            notes.append(f"{_label(place)}: {name} has incomplete or non-finite lines; {dropped} left out.")
        parts.append(part.assign(row=place.row, seed=pd.array([place.seed] * len(part), dtype="Int64")))
    frame = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return frame.loc[:, [*_KEYS, *types]], notes


def _csv(path: Path, types: dict[str, str]) -> tuple[pd.DataFrame, int]:
    """The complete lines of a CSV file, and how many were not."""
    if not path.is_file():
        raise FileFormatError("is missing")
    try:
        # Names such as "NA" or "null" are names, hence no automatic missing values.
        raw = pd.read_csv(path, dtype="str", keep_default_na=False, encoding="utf-8")
        frame = raw[list(types)]
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise FileFormatError(f"is no table with the columns {', '.join(types)} ({reason})") from error
    numeric = [column for column, kind in types.items() if kind == "float64"]
    numbers = {column: pd.to_numeric(frame[column], errors="coerce") for column in numeric}
    frame = frame.assign(**numbers)
    complete = np.isfinite(frame[numeric].to_numpy(dtype=float)).all(axis=1)
    return frame.loc[complete].astype(types), int((~complete).sum())


def _empty(types: dict[str, str]) -> pd.DataFrame:
    columns = {"row": "str", "seed": "Int64", **types}
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in columns.items()})


def _disagreements(records: tuple[Record, ...], scores: pd.DataFrame) -> list[str]:
    """Rows whose per-image scores do not average to the mean in the record: one of the two files was changed or cut."""
    means = _means(scores)
    notes: list[str] = []
    for record in records:
        wrong = [
            metric
            for split, by_metric in record.scores.items()
            for metric, score in by_metric.items()
            if not np.isclose(means.get((record.row, record.seed, split, metric), score.mean), score.mean, rtol=1e-4)
        ]
        if wrong:
            place = record.row if record.seed is None else f"{record.row}, seed {record.seed}"
            notes.append(f"{place}: scores.csv does not average to record.json in {', '.join(sorted(set(wrong)))}.")
    return notes


def _means(scores: pd.DataFrame) -> dict[tuple[str, int | None, str, str], float]:
    """(row, seed, split, metric) -> mean over the images."""
    of_images: Any = scores.groupby([*_KEYS, "split", "metric"], dropna=False, as_index=False)["value"].mean()
    seeds = [None if pd.isna(seed) else int(seed) for seed in of_images["seed"]]
    keys = zip(of_images["row"], seeds, of_images["split"], of_images["metric"], strict=True)
    return dict(zip(keys, of_images["value"], strict=True))


def _label(place: _Place) -> str:
    return place.row if place.seed is None else f"{place.row}, seed {place.seed}"


def text_or_nothing(path: Path) -> str:
    """The text of a file; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="backslashreplace")
    except OSError:
        return ""
