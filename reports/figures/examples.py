"""Example images of a report, side by side: degraded, base, the best other rows, target.

A retouched spot is a few pixels wide and invisible in a thumbnail. So each image comes with the window where degraded
and target differ most, at full size, and with the error that is left in that window.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from reports.digests import check
from reports.figures import pictures
from reports.metrics import Metric
from reports.results import Results, row_folder
from reports.results.summary import BASE, IDENTITY, ImageScores, Summary, complete, image_scores, ranked, summaries
from reports.text import number, printable, with_unit

BUDGET_BYTES = 2_400_000
"""Limit for the images of one page, as data URIs: with curves and thumbnails it is under 4 MB. The rest is linked."""
_FIRST = ("worst", "median", "best")
_OTHER_ROWS = 2
_SHOWN_SIDE = 320
_EXACT_SIDE = 256
_COMPARED_SIDE = 640
"""Longest side, px, of the images in the comparison with a slider."""
_SHEET_SIDE = 176


@dataclass(frozen=True)
class Column:
    """One version of an image: whole, its window, the error in the window (for the target: the colour scale)."""

    label: str
    value: str
    """The primary metric of this version, with its unit; empty for the target."""
    compared: str
    """For the slider: larger and without frame."""
    whole: str
    detail: str
    error: str
    """Data URIs, all four."""
    maps: tuple[tuple[str, str], ...] = ()
    """Name and data URI of each predicted map; for the target, of each true map."""


@dataclass(frozen=True)
class Example:
    """One test image in all versions."""

    name: str
    image: str
    why: str
    """`worst`, `median`, ...: its rank among the test images of the base row."""
    is_folded: bool
    """Shown on demand only."""
    highest: float
    """Error of the lightest colour, in 8-bit levels."""
    columns: tuple[Column, ...]
    sheet: bytes
    """All versions as one PNG."""

    @property
    def has_maps(self) -> bool:
        """Whether any version has maps."""
        return any(column.maps for column in self.columns)


@dataclass(frozen=True)
class LinkedExample:
    """An example that is beyond the page's limit: links to files of the run, relative to the page's folder."""

    image: str
    why: str
    links: tuple[tuple[str, str], ...]
    """Label and relative URL."""


@dataclass(frozen=True)
class Examples:
    """The examples of a report; `notes` says which are missing and why."""

    shown: tuple[Example, ...]
    notes: tuple[str, ...]
    linked: tuple[LinkedExample, ...] = ()


@dataclass(frozen=True)
class _Version:
    """The decoded images of one version."""

    label: str
    value: str
    pixels: pictures.Image
    maps: Mapping[str, pictures.Image]


def examples(rows: dict[str, Summary], results: Results, primary: Metric, budget_bytes: int = BUDGET_BYTES) -> Examples:
    """Return the worst, median and best test images of the base row, at most six.

    Where base has no scores, the best row chooses the images.

    Args:
        rows: All rows by name.
        results: The run.
        primary: The metric that orders the images.
        budget_bytes: Limit for all images. Examples beyond it are linked.
    """
    order = ranked([row for row in rows.values() if not row.is_baseline], primary)
    leader = _leader(order)
    if leader is None:
        return Examples((), ())
    scores = image_scores(results, primary.name)
    others = [row for row in complete(order) if row.row != leader.row][:_OTHER_ROWS]
    notes: list[str] = []
    shown: list[Example] = []
    linked: list[LinkedExample] = []
    left = budget_bytes
    for why, image in choose_images(scores.get((leader.row, leader.seeds[0]), {}), primary):
        try:
            example = _example(
                f"example_{len(shown) + 1}", image, why, [leader, *others], results.folder, scores, primary
            )
        except (OSError, ValueError) as error:
            notes.append(f"{printable(image)} ({why}) is not shown: {reason(error, results.folder)}.")
            continue
        size = sum(
            len(uri)
            for column in example.columns
            for uri in (column.compared, column.whole, column.detail, column.error, *(uri for _, uri in column.maps))
        )
        if size > left:
            linked.append(_linked_example(image, why, [leader, *others]))
            continue
        left -= size
        shown.append(example)
    return Examples(tuple(shown), tuple(notes), tuple(linked))


def first_examples(results: Results) -> tuple[str, ...]:
    """Return the names of the images that the report shows unfolded."""
    primary = results.metric(results.plan.primary)
    leader = _leader(ranked([row for row in summaries(results).values() if not row.is_baseline], primary))
    if leader is None:
        return ()
    values = image_scores(results, primary.name).get((leader.row, leader.seeds[0]), {})
    return tuple(image for why, image in choose_images(values, primary) if why in _FIRST)


def _leader(order: Sequence[Summary]) -> Summary | None:
    """Return the row whose scores choose the images: base, or the best of `order` where base has none."""
    return next((row for row in order if row.row == BASE), order[0] if order else None)


def _linked_example(image: str, why: str, rows: Sequence[Summary]) -> LinkedExample:
    """Return links to the files of an example; the page lies in a folder of the run."""
    restored = [(row.row, f"{row_folder(row.row, row.seeds[0])}/images") for row in rows]
    places = [("degraded", "pairs/degraded"), *restored, ("target", "pairs/target")]
    links = tuple((printable(label), quote(f"../{place}/{image}.png")) for label, place in places)
    return LinkedExample(printable(image), why, links)


def choose_images(values: Mapping[str, float], primary: Metric) -> list[tuple[str, str]]:
    """Return (why, image) of at most six images: the two worst, the two in the middle, the two best."""
    order = sorted(values, key=lambda image: (-primary.sort_key(values[image]), image))
    last, middle = len(order) - 1, (len(order) - 1) // 2
    ranks = {
        "worst": 0, "median": middle, "best": last, "second worst": 1, "beside the median": middle + 1,
        "second best": last - 1,
    }  # fmt: skip
    # In a small set several ranks are the same image, which then keeps the first of them.
    reasons = {place: why for why, place in reversed(ranks.items()) if 0 <= place <= last}
    return [(reasons[place], order[place]) for place in sorted(reasons)]


def _example(
    name: str, image: str, why: str, rows: Sequence[Summary], folder: Path, scores: ImageScores, primary: Metric
) -> Example:
    """Read all versions of an image."""
    target = pictures.read(inside(folder, "pairs/target", image))
    degraded = pictures.read(inside(folder, "pairs/degraded", image))
    versions = [_Version("degraded", _value(scores.get((IDENTITY, None), {}).get(image), primary), degraded, {})]
    for row in rows:
        seed = row.seeds[0]
        folder_of_row = row_folder(row.row, seed)
        check(folder / folder_of_row, [f"images/{image}.png"], row.finished[0].files, "record.json")
        versions.append(
            _Version(
                row.row,
                _value(scores.get((row.row, seed), {}).get(image), primary),
                pictures.read(inside(folder, f"{folder_of_row}/images", image)),
                _maps(folder, f"{folder_of_row}/maps", image),
            )
        )
    return _assembled(name, image, why, versions, _Version("target", "", target, _maps(folder, "pairs/maps", image)))


def _maps(folder: Path, place: str, image: str) -> dict[str, pictures.Image]:
    """Read the maps of an image, by name of the map."""
    beside = inside(folder, place, image)
    prefix = f"{beside.stem}."
    # The map `gain` of an image `a.b` is not a map `b.gain` of an image `a`.
    return {
        name: pictures.read(file)
        for file in sorted(beside.parent.glob("*.png"))
        if file.name.startswith(prefix) and (name := file.stem.removeprefix(prefix)).isidentifier()
    }


def _assembled(name: str, image: str, why: str, versions: Sequence[_Version], truth: _Version) -> Example:
    """Crop, colour and encode all versions of an image."""
    target = truth.pixels
    for version in versions:
        if version.pixels.shape != target.shape:
            raise ValueError(f"{version.label} and target differ in size")
    side = max(48, min(160, min(target.shape[:2]) // 5))
    window = pictures.strongest_window(pictures.error(versions[0].pixels, target), side)
    everything = (*versions, truth)
    details = [pictures.crop(version.pixels, window) for version in everything]
    errors = [pictures.error(detail, details[-1]) for detail in details[:-1]]
    highest = max(8.0, float(np.ceil(np.percentile(errors[0], 98))))
    errors.append(np.tile(np.linspace(0, highest, side), (max(side // 8, 4), 1)))  # the colour scale
    pixels = [
        [pictures.framed(version.pixels, window, _SHOWN_SIDE), detail, pictures.coloured(error, highest)]
        for version, detail, error in zip(everything, details, errors, strict=True)
    ]
    columns = tuple(
        Column(
            version.label,
            version.value,
            _compared_uri(version.pixels),
            *(pictures.data_uri(part, exact=index > 0) for index, part in enumerate(parts)),
            maps=tuple((name, _shrunk_uri(pixels, _SHOWN_SIDE)) for name, pixels in version.maps.items()),
        )
        for version, parts in zip(everything, pixels, strict=True)
    )
    return Example(
        name, image, why, why not in _FIRST, highest, columns, pictures.png(pictures.contact_sheet(pixels, _SHEET_SIDE))
    )


def _compared_uri(picture: pictures.Image) -> str:
    """Return a data URI for the comparison: exact, so that pixel values can be read, unless the image is large."""
    if max(picture.shape[:2]) <= _EXACT_SIDE:
        return pictures.data_uri(picture, exact=True)
    return _shrunk_uri(picture, _COMPARED_SIDE)


def _shrunk_uri(picture: pictures.Image, most: int) -> str:
    """Return a data URI of the image with at most `most` pixels a side."""
    return pictures.data_uri(pictures.shrunk(picture, most), exact=False)


def inside(folder: Path, place: str, image: str) -> Path:
    """Return the path of an image. The name comes from a file, so it must not lead out of the folder."""
    base = folder / place
    path = base / f"{image}.png"
    if not path.resolve().is_relative_to(base.resolve()):
        raise ValueError("its name leads out of the run folder")
    return path


def _value(value: float | None, primary: Metric) -> str:
    """Return a value with its unit; empty for None."""
    return "" if value is None else with_unit(number(value, primary.decimals), primary.unit)


def reason(error: Exception, folder: Path) -> str:
    """Return the message of an error, with paths relative to the run folder."""
    message = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    return printable(message.replace(f"{folder}{os.sep}", ""))
