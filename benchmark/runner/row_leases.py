"""The lease of the folder of a row. Changes of a record are made under it, so that none mixes with a new record."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.files import read_json, write_json
from benchmark.lease import LeaseFolder
from benchmark.runner.stage_store import StageStore
from reports.digests import digests_of
from reports.schema import Artefact, to_json

Change = Callable[[dict[str, Any]], dict[str, Any]]
"""Returns a changed copy of a record; the record itself where there is nothing to change."""


def leases_of(work: str, output: Path, store: StageStore) -> tuple[LeaseFolder, str]:
    """Return the leases among which a piece of work in the folder of a run has its own, and the name of that.

    Args:
        work: Folder of a row, or `networks/ID`.
        output: Folder of the run.
        store: Says how often owners give a heartbeat.
    """
    path = output / ".leases" / work
    return LeaseFolder(path.parent, store.beat_seconds, store.stale_seconds), path.name


def change_record(row: str, output: Path, store: StageStore, change: Change) -> None:
    """Change the record of a row; without a record, or one that need not be changed, nothing is done.

    Waits while another process has the row. It removes the record first, and then there is none to change.

    Args:
        row: Folder of the row.
        output: Folder of the run.
        store: Says how often owners of leases give a heartbeat.
        change: May be called several times.

    Raises:
        OSError: The lease or the record cannot be written.
    """
    file = output / row / "record.json"

    def is_changed() -> bool:
        record = read_json(file)
        return not isinstance(record, dict) or change(record) == record

    leases, name = leases_of(row, output, store)
    with leases.claim(name, is_changed, lambda owner: None) as lease:
        if lease is not None:
            changed = change(read_json(file))
            lease.check()
            write_json(file, changed)


def add_digests(row: str, output: Path, store: StageStore, inner: str) -> None:
    """Note the digests of the files in an inner folder, which were written after the record, in the record."""

    def change(record: dict[str, Any]) -> dict[str, Any]:
        if not record.get("files"):  # one of an earlier version
            return record
        later = {f"{inner}/{name}": digest for name, digest in digests_of(output / row / inner, "").items()}
        return {**record, "files": {**record["files"], **later}}

    change_record(row, output, store, change)


def add_artefact(folder: Path, artefact: Artefact) -> None:
    """Note a file that was exported from a row in the row's record; one of the same name takes its place.

    A folder outside any run, such as a copy, has no lease.

    Raises:
        OSError: The lease or the record cannot be written.
    """

    def change(record: dict[str, Any]) -> dict[str, Any]:
        others = [entry for entry in record.get("artefacts", ()) if entry["file"] != artefact.file]
        return {**record, "artefacts": [*others, to_json(artefact)]}

    folder = folder.resolve()
    run = next((parent for parent in folder.parents if (parent / "plan.json").is_file()), None)
    if run is None:
        write_json(folder / "record.json", change(read_json(folder / "record.json")))
    else:
        change_record(folder.relative_to(run).as_posix(), run, StageStore(run.parent / ".stages"), change)
