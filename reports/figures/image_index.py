"""Every test image with its scores and a thumbnail, and where its versions lie: for the comparer of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from urllib.parse import quote

from reports import text
from reports.figures import pictures
from reports.figures.examples import inside
from reports.grid import Cell, Column, Grid, plain
from reports.metrics import Metric
from reports.results import Results, row_folder
from reports.results.summary import BASE, IDENTITY, Summary, image_scores

_THUMBNAIL_SIDE = 56
_MOST_THUMBNAILS = 400
_FOLDERS = {"degraded": "pairs/degraded", "target": "pairs/target"}


@dataclass(frozen=True)
class ImageIndex:
    """The test images, worst first by the base row."""

    names: tuple[str, ...]
    table: Grid
    thumbnails: Mapping[str, str]
    """Image -> data URI of its target; images that cannot be read have none."""
    folders: Mapping[str, str]
    """Version (degraded, target, a row) -> folder of its images, relative to the page; empty where there are none."""


def image_index(rows: Mapping[str, Summary], best: Summary | None, results: Results, primary: Metric) -> ImageIndex:
    """Return all test images with the scores of doing nothing, of base and of the best row.

    Args:
        rows: All rows by name.
        best: The best row; None where none has finished.
        results: The run.
        primary: The metric of the scores.
    """
    scores = _means(results, primary)
    columns = [name for name in dict.fromkeys((IDENTITY, BASE, *((best.row,) if best else ()))) if name in scores]
    names = sorted(
        {image for name in columns for image in scores[name]},
        key=lambda image: (-primary.sort_key(scores[columns[-1]].get(image, 0.0)), image),
    )
    has_pictures = (results.folder / _FOLDERS["target"]).is_dir()
    trained = [row for row in rows.values() if not row.is_baseline and row.finished]
    folders = _FOLDERS | {text.printable(row.row): f"{row_folder(row.row, row.seeds[0])}/images" for row in trained}
    return ImageIndex(
        names=tuple(map(text.printable, names)),
        table=_table(names, columns, scores, primary),
        thumbnails=_thumbnails(names[:_MOST_THUMBNAILS], results) if has_pictures else {},
        folders={label: quote(f"../{folder}") for label, folder in folders.items()} if has_pictures else {},
    )


def _means(results: Results, primary: Metric) -> dict[str, dict[str, float]]:
    """Return row -> image -> mean over the seeds."""
    by_row: dict[str, dict[str, list[float]]] = {}
    for (row, _), values in image_scores(results, primary.name).items():
        for image, value in values.items():
            by_row.setdefault(row, {}).setdefault(image, []).append(value)
    return {row: {image: fmean(values) for image, values in images.items()} for row, images in by_row.items()}


def _table(
    names: Sequence[str], columns: Sequence[str], scores: Mapping[str, Mapping[str, float]], primary: Metric
) -> Grid:
    def line(image: str) -> tuple[Cell, ...]:
        values = [scores[name].get(image) for name in columns]
        first, last = (values[0], values[-1]) if values else (None, None)
        gain = None if first is None or last is None or len(values) < 2 else primary.gain(last, first)
        shown = (Cell(value, text.number(value, primary.decimals)) for value in values)
        return (plain(image), *shown, Cell(gain, text.signed(gain, primary.decimals)))

    return Grid(
        name="images",
        caption=f"{primary.label} of every test image, mean over the seeds; the worst first.",
        columns=(
            Column("image", "image", numeric=False, is_row_header=True),
            *(Column(name, text.printable(name), primary.unit) for name in columns),
            Column("gain", "gain", primary.unit, hint="The last of these rows against the first; negative is worse."),
        ),
        lines=tuple(map(line, names)),
        sortable=True,
    )


def _thumbnails(names: Sequence[str], results: Results) -> dict[str, str]:
    thumbnails: dict[str, str] = {}
    for image in names:
        try:
            target = pictures.read(inside(results.folder, _FOLDERS["target"], image))
        except (OSError, ValueError):  # the section of examples says why
            continue
        small = pictures.shrunk(target, _THUMBNAIL_SIDE)
        thumbnails[text.printable(image)] = pictures.data_uri(small, exact=False)
    return thumbnails
