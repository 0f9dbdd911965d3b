"""The rows that may be picked on the page: from folders of runs, of rows, and files of weights."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmark.errors import RecordError
from benchmark.model.build import record_folder, recorded_config


def rows_in(records: Sequence[Path]) -> dict[str, Path]:
    """Return the rows that may be picked, by name.

    Args:
        records: Folders of runs, of which all finished rows are taken, folders of rows or seeds, or safetensors files.

    Raises:
        RecordError: One holds no trained row.
    """
    rows: dict[str, Path] = {}
    for path in records:
        folders = sorted({file.parent.parent for file in path.glob("*/seed*/record.json")}) if path.is_dir() else []
        finished = {folder.name: folder for folder in folders if _is_finished(folder)}
        if folders and not finished:
            raise RecordError(f"{path}: no finished row; run it first, or name another folder")
        prefix = f"{path.name}/" if len(records) > 1 and finished else ""
        if not finished:
            if not path.is_file():
                recorded_config(record_folder(path))
            finished = {path.stem if path.is_file() else str(path): path}
        rows |= {f"{prefix}{name}": folder for name, folder in finished.items()}
    return rows


def _is_finished(folder: Path) -> bool:
    with suppress(RecordError):
        recorded_config(record_folder(folder))
        return True
    return False
