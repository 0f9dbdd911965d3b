"""Rows of a published study that count as finished in a run, so that a long study is done in several sittings.

A record says by its hash what it depends on: settings, data, code, torch, but no paths. Where the hash of a planned row
and seed is that of a published record, the record, its scores and its curve are taken over. A study has no weights and
no restored images, and the record says so (`published_in`).
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from benchmark.errors import RecordError
from benchmark.experiment.plan import Plan, PlannedRow
from benchmark.files import write_csv, write_json
from benchmark.runner.context import Context
from benchmark.runner.record_writer import is_finished
from benchmark.runner.row import claim_folder
from reports.digests import digests_of
from reports.results.published import Study, is_study, read_study
from reports.schema import Record, to_json


def read_published(folder: Path) -> Study:
    """Return a published study. Raises RecordError where the folder is none, ReportError where it is damaged."""
    if not is_study(folder) or (study := read_study(folder)) is None:
        raise RecordError(f"{folder}: no published study; expected a folder that `publish` wrote, with records.jsonl")
    return study


def published_rows(plan: Plan, study: Study, output: Path) -> dict[str, PlannedRow]:
    """Return the planned rows and seeds, by their folders, that a study has and the run in `output` lacks."""
    return {
        row.folder: row
        for row in plan.rows
        if (record := study.records.get((row.row, row.seed)))
        and record.status == "done"
        and record.config_hash == row.config_hash
        and not is_finished(output / row.folder, row.config_hash, replace=True)
    }


def published_folders(plan: Plan, folder: Path | None, output: Path) -> Collection[str]:
    """Return the folders of the rows and seeds that a study would add to a run; none without a study."""
    return published_rows(plan, read_published(folder), output) if folder else ()


def take_over(rows: Mapping[str, PlannedRow], study: Study, name: str, context: Context) -> None:
    """Write the records, scores and curves of published rows into the folder of a run.

    Args:
        rows: As from `published_rows`.
        study: The study that has them.
        name: Its name, which the records keep.
        context: Of the run.
    """
    for row in rows.values():
        with claim_folder(row, context, lambda event: None) as lease:
            if lease is not None:
                _write(context.output / row.folder, row, study, name)


def _write(folder: Path, row: PlannedRow, study: Study, name: str) -> None:
    key = (row.row, row.seed)
    record: Record = study.records[key]
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "scores.csv", ("split", "image", "metric", "value"), study.scores.get(key, []))
    write_csv(folder / "curve.csv", ("stage", "step", "name", "value"), study.curves.get(key, []))
    changes = {"files": digests_of(folder, "record.json"), "published_in": record.published_in or name}
    write_json(folder / "record.json", to_json(record.model_copy(update=changes)))
