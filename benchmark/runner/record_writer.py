"""The record of a row: one `record.json`, the scores per image, the curves, the restored images."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data import Source
from benchmark.errors import RecordError
from benchmark.evaluation.evaluate import ImageScores, pairs
from benchmark.experiment.plan import Floor, Run
from benchmark.files import read_json, write_csv, write_json
from benchmark.runner.stage_store import StageStore
from reports.schema import SCHEMA, Record, to_json


def write_record(folder: Path, record: Record) -> None:
    """Write record.json, last of all files of a row: what it describes is then there."""
    write_json(folder / "record.json", to_json(record))


def is_finished(folder: Path, planned: Run | Floor, *, replace: bool) -> bool:
    """Whether the record in a folder is the planned one, finished.

    Failed rows are tried again. Raises RecordError if the folder holds a finished record of something else and
    `replace` is not set.
    """
    record = read_json(folder / "record.json")
    if not isinstance(record, dict) or record.get("status") not in ("done", "rejected"):
        return False
    if record.get("schema") == SCHEMA and record.get("config_hash") == planned.config_hash:
        return True
    if replace:
        return False
    raise RecordError(
        f"{folder}: holds a finished record of another configuration (settings, data, code, torch or the choice of "
        "tuning changed); "
        "choose another --output, or --replace to run it again"
    )


def write_scores(folder: Path, split: str, scores: Iterable[ImageScores]) -> None:
    rows = [(split, image.pair.name, metric, value) for image in scores for metric, value in image.metrics.items()]
    write_csv(folder / "scores.csv", ("split", "image", "metric", "value"), rows)


def write_curves(folder: Path, stages: Sequence[tuple[str, str]], store: StageStore) -> None:
    """The curves of a row's stages, (name, key) each, one after the other.

    Where a stage was interrupted, a line ends at that step: the weights do not depend on interruptions, the lines do.
    """
    rows: list[tuple[str, ...]] = []
    for name, key in stages:
        with store.curve_file(key).open(encoding="utf-8", newline="") as handle:
            rows += [(name, *line) for line in list(csv.reader(handle))[1:]]
    write_csv(folder / "curve.csv", ("stage", "step", "name", "value"), rows)


def write_images(folder: Path, images: Mapping[str, NDArray[np.uint8]]) -> None:
    """PNG files by image name; a name may contain sub-folders."""
    for name, image in images.items():
        file = folder / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file, compress_level=3)


def write_pairs(folder: Path, source: Source) -> None:
    """The test pairs as PNG, once for all rows, for whoever looks at restored images later."""
    for pair in pairs(source):
        write_images(folder / "degraded", {pair.name: np.ascontiguousarray(pair.degraded)})
        write_images(folder / "target", {pair.name: np.ascontiguousarray(pair.target)})
