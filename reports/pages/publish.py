"""Write a run as a published study: a few small files that belong into a repository (see `reports.results.published`).

The same run gives the same bytes. The report is report.md with the figures it shows; `python -m benchmark report STUDY`
makes its page and tables again, though without pictures of test images, which a study does not hold.
"""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from reports.blind.formats import FOLDER as BLIND
from reports.blind.formats import RANKING, RankingFile
from reports.errors import FileFormatError, ReportError
from reports.figures.strip import strip_name
from reports.file_access import write_bytes
from reports.folder_access import replaced, settle
from reports.metrics import TEST
from reports.pages import files, run_page
from reports.pages.blind_page import read_ranking, write_ranking
from reports.pages.relative_paths import relative_paths
from reports.results import Results
from reports.results.joined_plans import joined_plans, without_recipes
from reports.results.load import load, parsed_yaml
from reports.results.published import (
    CURVE_COLUMNS,
    CURVES,
    MANIFEST,
    RECORDS,
    SCORE_COLUMNS,
    SCORES,
    Key,
    batches,
    is_study,
    manifest_bytes,
    table_bytes,
)
from reports.schema import PHOTOGRAPHS, PlanFile, Record, to_json
from reports.text import row_and_seed

_WEIGHTS = "weights.safetensors"
_FIGURE = re.compile(r"\((figures/[^)\s]+)\)")


def publish(run: Path, study: Path, *, append: bool = False, pictures: bool = False) -> Path:
    """Write the study of a run, or append to a study what it lacks of a run.

    Args:
        run: The run folder. Its report must have been written.
        study: The folder of the study. What it holds of an earlier one is replaced, as a whole, once all is written.
        append: Keep what the study holds, and add the rows and seeds it lacks as a new batch.
        pictures: Publish those of all further test sets; else only packaged portraits, which are in the public domain.

    Returns:
        The folder of the study.

    Raises:
        ReportError: The run cannot be read or has no report; or the study to append to is of another experiment, or
            holds a row and seed of another configuration.
        OSError: The study cannot be written, e.g. on a full disk. An earlier study is then untouched.
    """
    results = load(run)
    if is_study(run):
        raise ReportError(f"{run}: is a published study already; publish the folder of a run")
    foreign = [f"{run}: {item.row}: {item.reason}" for item in results.problems if item.kind == "not of this plan"]
    if odd := (*results.damage, *foreign):
        raise ReportError(f"{odd[0]}; remove or repair it before publishing")
    settle(study)
    before = load(study) if append else None
    if before and not is_study(study):
        raise ReportError(f"{study}: is no published study, so nothing can be appended; leave --append out")
    plan = without_recipes(joined_plans(before.plan, results.plan, study) if before else results.plan)
    stops = {_key(record): record.stopped_at for record in results.records}
    kept = {
        _key(record): record.model_copy(update={"stopped_at": stops.get(_key(record), record.stopped_at)})
        for record in (before.records if before else ())
    }
    added = {_key(record): record for record in results.records if _is_new(record, kept, study)}
    report = {
        name: data
        for name, data in report_files(run, set() if pictures else _private_pictures(results)).items()
        if not before or kept.keys() <= set(map(_key, results.records))
    }
    preferences = _preferences(run)
    with replaced(study) as copy:
        (copy / MANIFEST).unlink(missing_ok=True)  # until all files are those of the new study
        for folder in [] if append else [copy / SCORES, copy / CURVES]:
            for file in batches(folder):
                file.unlink()
        _write_batch(copy / SCORES, SCORE_COLUMNS, _score_table(results, added.keys()))
        _write_batch(copy / CURVES, CURVE_COLUMNS, _curve_table(results, added.keys()))
        _write_settings(copy, results)
        _write_preferences(copy, preferences, append=append)
        write_json(copy / "plan.json", relative_paths(to_json(plan), Path.cwd()))
        _write_records(copy, plan, kept | added)
        _write_report(copy, report)
        write_bytes(copy / MANIFEST, manifest_bytes(copy))
    return study


def _write_settings(study: Path, results: Results) -> None:
    """Write the experiment, and how its rows were tuned."""
    if settings := parsed_yaml(results.experiment_yaml):
        portable = relative_paths(settings, Path.cwd())
        text = yaml.safe_dump(portable, sort_keys=False, allow_unicode=True)
        write_bytes(study / "experiment.yaml", (results.experiment_yaml if portable == settings else text).encode())
    if results.tuning:
        write_json(study / "tuning.json", to_json(results.tuning))


def _preferences(run: Path) -> RankingFile | None:
    """Return the answers of the blind tests of a run and their ranking; None without. Raises `ReportError`."""
    try:
        return read_ranking(run)
    except FileFormatError as error:
        raise ReportError(f"{run / BLIND / RANKING}: {error}; make it again with `blind {run} --answers ...`") from None


def _write_preferences(study: Path, ranking: RankingFile | None, *, append: bool) -> None:
    """Write the ranking of the blind tests; their keys and pages stay with the run, since tests may go on."""
    if not append:
        shutil.rmtree(study / BLIND, ignore_errors=True)
    if ranking:
        write_ranking(ranking, study)


def _write_records(study: Path, plan: PlanFile, records: Mapping[Key, Record]) -> None:
    """Write all records, one a line, in the order of the plan."""
    ordered = [records[row.row, seed] for row in plan.rows for seed in row.seeds if (row.row, seed) in records]
    contents = [relative_paths(to_json(without_pictures(record)), Path.cwd()) for record in ordered]
    lines = [json.dumps(content, separators=(",", ":"), ensure_ascii=False) for content in contents]
    write_bytes(study / RECORDS, "".join(f"{line}\n" for line in lines).encode())


def write_json(file: Path, content: Any) -> None:
    """Write a file of a study as people read it."""
    write_bytes(file, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def without_pictures(record: Record) -> Record:
    """Return a record with the digest of its weights alone: it says what was measured. A study lacks other files."""
    return record.model_copy(update={"files": {name: sha for name, sha in record.files.items() if name == _WEIGHTS}})


def _key(record: Record) -> Key:
    return record.row, record.seed


def _is_new(record: Record, kept: dict[Key, Record], study: Path) -> bool:
    """Return whether a study lacks a record. Raises ReportError if it has one of another configuration."""
    published = kept.get(_key(record))
    if published is not None and published.config_hash != record.config_hash:
        raise ReportError(
            f"{study}: holds {row_and_seed(*_key(record))} of another configuration than the run; publish the run "
            "whole, without --append"
        )
    return published is None


def _score_table(results: Results, keys: Iterable[Key]) -> tuple[list[str], list[list[object]]]:
    """Return the names of the metrics, and a line for each row, seed and image."""
    frame = _of_keys(results.scores, keys)
    metrics = list(dict.fromkeys(frame["metric"].tolist()))
    lines: dict[tuple[object, ...], dict[str, float]] = {}
    columns = [frame[name].tolist() for name in (*SCORE_COLUMNS, "metric", "value")]
    for row, seed, split, image, metric, value in zip(*columns, strict=True):
        lines.setdefault((row, _seed_text(seed), split, image), {})[metric] = value
    return metrics, [[*key, *(repr(of[name]) if name in of else "" for name in metrics)] for key, of in lines.items()]


def _curve_table(results: Results, keys: Iterable[Key]) -> tuple[list[str], list[list[object]]]:
    frame = _of_keys(results.curves, keys)
    columns = [frame[name].tolist() for name in (*CURVE_COLUMNS[:4], "value")]
    lines = zip(*columns, strict=True)
    return [], [[row, _seed_text(seed), stage, f"{step:.0f}", repr(loss)] for row, seed, stage, step, loss in lines]


def _of_keys(frame: pd.DataFrame, keys: Iterable[Key]) -> pd.DataFrame:
    chosen = {(row, _seed_text(seed)) for row, seed in keys}
    places = zip(frame["row"].tolist(), frame["seed"].tolist(), strict=True)
    return frame.loc[[(row, _seed_text(seed)) in chosen for row, seed in places]]


def _seed_text(seed: object) -> str:
    return "" if seed is None or seed is pd.NA else str(seed)


def _write_batch(folder: Path, columns: Sequence[str], table: tuple[list[str], list[list[object]]]) -> None:
    more, lines = table
    if lines:
        write_bytes(folder / f"{len(batches(folder)) + 1:03d}.csv.gz", table_bytes([*columns, *more], lines))


def _private_pictures(results: Results) -> set[str]:
    """Return the figures with pictures of further test sets that need not be free to publish."""
    tests = {split for record in results.finished for split in record.scores} - {TEST, "val"}
    settings = parsed_yaml(results.experiment_yaml)
    photographs = settings.get(PHOTOGRAPHS) if isinstance(settings, dict) else None
    is_packaged = isinstance(photographs, dict) and photographs.get("folder") is None
    return {f"figures/{strip_name(test)}.png" for test in tests if not (test == PHOTOGRAPHS and is_packaged)}


def report_files(run: Path, left_out: Collection[str] = ()) -> dict[str, bytes]:
    """Return report.md of a run and the figures it shows, by name; figures `left_out` are not shown."""
    file = run / "report" / "report.md"
    if not file.is_file():
        raise ReportError(f"{file}: is missing; `python -m benchmark report {run}` writes it")
    text = file.read_text(encoding="utf-8")
    for name in left_out:
        text = re.sub(rf"!\[[^\]\n]*\]\({re.escape(name)}\)\n\n[^\n]*\n", "The pictures are not published.\n", text)
    names = _FIGURE.findall(text)
    present = [name for name in dict.fromkeys(names) if (file.parent / name).is_file()]
    figures = {name: (file.parent / name).read_bytes() for name in present}
    return {"report.md": relative_paths(text, Path.cwd()).encode(), **figures}


def _write_report(study: Path, report: dict[str, bytes]) -> None:
    """Write the report of the run, or, where the study holds more than the run, make one of the study."""
    folder = study / "report"
    if not report:
        files.save(run_page.build(load(study)), folder)
        report = report_files(study)
    for name, data in report.items():
        write_bytes(folder / name, data)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if file.relative_to(folder).as_posix() not in report:
            file.unlink()
    for empty in [path for path in folder.iterdir() if path.is_dir() and not any(path.iterdir())]:
        empty.rmdir()
