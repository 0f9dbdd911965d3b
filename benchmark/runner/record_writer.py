"""The files of a row: whether its record is finished, provenance, scores per image, curves, restored images."""

import csv
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data import Source, in_levels
from benchmark.errors import RecordError
from benchmark.evaluation.evaluate import ImageScores, pairs
from benchmark.files import digest_of, read_json, write_csv
from benchmark.inference.device_setup import Machine
from benchmark.runner.stage_store import StageStore
from reports.errors import FileFormatError
from reports.file_access import remove_abandoned, temporary_path
from reports.schema import MORE_TESTS, SCHEMA, Record, read

_PACKAGES = ("torch", "numpy", "scipy", "Pillow", "pytorch-msssim", "safetensors", "timm", "onnxruntime", "openvino")
_HEAD = "# branch.oid "
"""Before the commit in what `git status` prints; a checkout without commits has `(initial)` there."""


def is_finished(folder: Path, config_hash: str, *, replace: bool) -> bool:
    """Whether the record in a folder is the planned one, with this hash of its configuration, and finished.

    Failed rows are tried again, and so are those whose files are gone. Raises RecordError if the folder holds a
    finished record of something else and `replace` is not set.
    """
    record = read_json(folder / "record.json")
    if not isinstance(record, dict) or record.get("status") not in ("done", "rejected"):
        return False
    if record.get("schema") == SCHEMA and record.get("config_hash") == config_hash:
        return damaged_file(folder) is None
    if replace:
        return False
    raise RecordError(
        f"{folder}: holds a finished record of another configuration (settings, data, code, torch or the choice of "
        "tuning changed); "
        "choose another --output, or --replace to run it again"
    )


def planned_record(folder: Path, config_hash: str) -> Record | None:
    """Return the record in a folder; None where there is no readable one with this hash of its configuration."""
    try:
        record = read(Record, folder / "record.json")
    except FileFormatError:
        return None
    return record if record.config_hash == config_hash else None


def damaged_file(folder: Path) -> Path | None:
    """Return a file of a finished row that is missing or not what was written; None if none is, or there is no record.

    Restored images must be there, but are not read: that would take longer than to start a run should.
    """
    try:
        record = read(Record, folder / "record.json")
    except FileFormatError:
        return folder / "record.json" if (folder / "record.json").exists() else None
    is_tested, has_weights = "test" in record.scores, record.seed is not None and not record.published_in
    needed = ["scores.csv"] * is_tested + ["weights.safetensors"] * (is_tested and has_weights)
    digests = {**dict.fromkeys(needed), **record.files}
    files = {folder / name: None if "/" in name else digest for name, digest in digests.items()}
    return next((file for file, digest in files.items() if not _is_sound(file, digest)), None)


def _is_sound(file: Path, digest: str | None) -> bool:
    try:
        return file.is_file() and (digest is None or digest_of(file) == digest)
    except OSError:
        return False


def write_scores(folder: Path, scores: Mapping[str, Iterable[ImageScores]]) -> None:
    """Write scores.csv, from the images of each test set: one line for each image and metric."""
    rows = [
        (split, image.pair.name, metric, value)
        for split, images in scores.items()
        for image in images
        for metric, value in image.metrics.items()
    ]
    write_csv(folder / "scores.csv", ("split", "image", "metric", "value"), rows)


def write_curves(folder: Path, stages: Sequence[tuple[str, str]], store: StageStore) -> None:
    """Write curve.csv: the curves of a row's stages, given as (name, key), one after the other.

    An interruption ends an interval of the curve early: the weights do not depend on interruptions, the lines do.
    """
    rows: list[tuple[str, ...]] = []
    for name, key in stages:
        with store.curve_file(key).open(encoding="utf-8", newline="") as handle:
            rows += [(name, *line) for line in list(csv.reader(handle))[1:]]
    write_csv(folder / "curve.csv", ("stage", "step", "name", "value"), rows)


def write_images(folder: Path, images: Mapping[str, NDArray[np.uint8]]) -> None:
    """Write PNG files by image name; a name may contain sub-folders. No reader sees half a file."""
    for name, image in images.items():
        file = folder / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(file.parent)
        temporary = temporary_path(file.parent)
        try:
            Image.fromarray(image).save(temporary, "png", compress_level=3)
            temporary.replace(file)  # not flushed to disk, which would take as long as to restore a small image
        finally:
            temporary.unlink(missing_ok=True)


def write_pairs(folder: Path, source: Source) -> None:
    """Write the test pairs as PNG, once for all rows, for the report."""
    for pair in pairs(source):
        write_images(folder / "degraded", {pair.name: np.ascontiguousarray(in_levels(pair.degraded))})
        write_images(folder / "target", {pair.name: np.ascontiguousarray(pair.target)})


def write_test_pairs(folder: Path, tests: Mapping[str, Source]) -> None:
    """Write the pairs of all test sets, given by name; see `write_pairs`."""
    for name, source in tests.items():
        write_pairs(folder if name == "test" else folder / MORE_TESTS / name, source)


def provenance(machine: Machine, command: str) -> dict[str, Any]:
    """Return the part of a record that says how it was made; the caller adds the times."""
    return {
        "command": command,
        **_commit(),
        "device": machine.device.type,
        "device_name": machine.device_name,
        "threads": machine.threads,
        "allocator": machine.allocator,
        "environment": f"{machine.device.type}, {machine.device_name}, torch {_version('torch')}",
        "python": platform.python_version(),
        "torch": _version("torch"),
        "versions": {name: installed for name in _PACKAGES if (installed := _version(name))},
        "platform": f"{platform.system()}-{platform.machine()}",
    }


@cache  # it is a file of the package, which many records of a run ask for
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> dict[str, Any]:
    """Return the commit of the project's checkout and whether it has local changes; both None outside a checkout."""
    folder = str(Path(__file__).parents[2])
    command = ["git", "-C", folder, "status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--untracked-files=no"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    head = next(line for line in lines if line.startswith(_HEAD))
    return {"commit": head.removeprefix(_HEAD), "dirty": any(not line.startswith("#") for line in lines)}
