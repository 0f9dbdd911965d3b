"""Test images side by side: degraded, base, the best other rows, target.

A retouched spot is a few pixels wide, invisible at thumbnail size, so each image comes with the window where degraded
and target differ most, pixel for pixel, and with the error that is left in that window.
"""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd

from reports.figures import pictures
from reports.metrics import Metric, metric
from reports.results import Results
from reports.results.summary import BASE, IDENTITY, Summary, by_image, complete, image_scores, ranked, summaries
from reports.text import number, printable, with_unit

BUDGET_BYTES = 8_000_000
"""Most that the pictures of one page may take, as data URIs; examples beyond it are linked."""
_FIRST = ("worst", "median", "best")
_OTHER_ROWS = 2
_SHOWN_SIDE = 320
_COMPARED_SIDE = 640
"""Longest side, px, of the images that lie one above the other."""
_SHEET_SIDE = 176


@dataclass(frozen=True)
class Column:
    """One version of the image: whole, the window, the error in the window (for the target: the colour scale)."""

    label: str
    value: str
    """The primary metric of this version, with its unit; empty for the target."""
    compared: str
    """For laying it over another version: larger, without frame."""
    whole: str
    detail: str
    error: str
    """Data URIs, all four."""
    maps: tuple[tuple[str, str], ...] = ()
    """Name and data URI of each map that was predicted; for the target, of each true one."""


@dataclass(frozen=True)
class Example:
    """One test image in all its versions."""

    name: str
    image: str
    why: str
    """`worst`, `median`, ...: its place among the test images of the base row."""
    more: bool
    """One to be shown on demand only."""
    highest: float
    """Error, in 8-bit levels, that the lightest colour stands for."""
    columns: tuple[Column, ...]
    sheet: bytes
    """All of it as one PNG."""


@dataclass(frozen=True)
class Link:
    """A file of the run, as the page's folder sees it."""

    label: str
    href: str


@dataclass(frozen=True)
class Linked:
    """An example whose pictures the page has no room for."""

    image: str
    why: str
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Examples:
    """The examples, and what is to be said about them."""

    shown: tuple[Example, ...]
    notes: tuple[str, ...]
    linked: tuple[Linked, ...] = ()

    @property
    def has_maps(self) -> bool:
        """Whether any column has maps."""
        return any(column.maps for example in self.shown for column in example.columns)


@dataclass(frozen=True)
class _Version:
    label: str
    value: str
    pixels: pictures.Image
    maps: Mapping[str, pictures.Image]


def examples(rows: dict[str, Summary], results: Results, primary: Metric, budget_bytes: int = BUDGET_BYTES) -> Examples:
    """Worst, median and best test images of the base row (of the best row where base has none), at most six.

    Args: budget_bytes: most that all pictures may take; examples beyond it are linked.
    """
    order = ranked([row for row in rows.values() if not row.is_baseline], primary)
    leader = _leader(order)
    if leader is None:
        return Examples((), ())
    scores = image_scores(results, primary.name)
    others = [row for row in complete(order) if row.row != leader.row][:_OTHER_ROWS]
    notes: list[str] = []
    shown: list[Example] = []
    linked: list[Linked] = []
    left = budget_bytes
    for why, image in chosen(by_image(scores, leader.row, leader.seeds[0]), primary):
        try:
            example = _example(
                f"example_{len(shown) + 1}", image, why, [leader, *others], results.folder, scores, primary
            )
        except (OSError, ValueError) as error:
            notes.append(f"{printable(image)} ({why}) is not shown: {_reason(error, results.folder)}.")
            continue
        size = sum(_bytes(column) for column in example.columns)
        if size > left:
            linked.append(_linked(image, why, [leader, *others]))
            continue
        left -= size
        shown.append(example)
    return Examples(tuple(shown), tuple(notes), tuple(linked))


def first_examples(results: Results) -> tuple[str, ...]:
    """Names of the images that are shown at once."""
    primary = metric(results.plan.primary)
    leader = _leader(ranked([row for row in summaries(results).values() if not row.is_baseline], primary))
    if leader is None:
        return ()
    values = by_image(image_scores(results, primary.name), leader.row, leader.seeds[0])
    return tuple(image for why, image in chosen(values, primary) if why in _FIRST)


def _leader(order: Sequence[Summary]) -> Summary | None:
    """The row whose scores choose the images: base, or the best of `order` where base has none."""
    return next((row for row in order if row.row == BASE), order[0] if order else None)


def _bytes(column: Column) -> int:
    pictures_of = (column.compared, column.whole, column.detail, column.error, *(uri for _, uri in column.maps))
    return sum(map(len, pictures_of))


def _linked(image: str, why: str, rows: Sequence[Summary]) -> Linked:
    """The files of an example; the page lies in a folder of the run."""
    restored = [(row.row, f"{_place(row)}/images") for row in rows]
    places = [("degraded", "pairs/degraded"), *restored, ("target", "pairs/target")]
    links = tuple(Link(printable(label), quote(f"../{place}/{image}.png")) for label, place in places)
    return Linked(printable(image), why, links)


def _place(row: Summary) -> str:
    """The folder, inside the run, of the first finished seed of a row."""
    seed = row.seeds[0]
    return row.row if seed is None else f"{row.row}/seed{seed}"


def chosen(values: dict[str, float], primary: Metric) -> list[tuple[str, str]]:
    """(why, image) of at most six images: the two worst, the two in the middle, the two best of one row."""
    order = sorted(values, key=lambda image: (-primary.sort_key(values[image]), image))
    last, middle = len(order) - 1, (len(order) - 1) // 2
    wanted = {
        "worst": 0, "median": middle, "best": last, "second worst": 1, "beside the median": middle + 1,
        "second best": last - 1,
    }  # fmt: skip
    taken: dict[int, str] = {}
    for why, place in wanted.items():
        if 0 <= place <= last:
            taken.setdefault(place, why)
    return [(why, order[place]) for place, why in sorted(taken.items())]


def _example(
    name: str, image: str, why: str, rows: Sequence[Summary], folder: Path, scores: pd.DataFrame, primary: Metric
) -> Example:
    target = pictures.read(_inside(folder, "pairs/target", image))
    degraded = pictures.read(_inside(folder, "pairs/degraded", image))
    untouched = by_image(scores, IDENTITY, None).get(image)
    versions = [_Version("degraded", _value(untouched, primary), degraded, {})]
    for row in rows:
        seed, place = row.seeds[0], _place(row)
        pixels = pictures.read(_inside(folder, f"{place}/images", image))
        value = _value(by_image(scores, row.row, seed).get(image), primary)
        versions.append(_Version(row.row, value, pixels, _maps(folder, f"{place}/maps", image)))
    return _assembled(name, image, why, versions, _Version("target", "", target, _maps(folder, "pairs/maps", image)))


def _maps(folder: Path, place: str, image: str) -> dict[str, pictures.Image]:
    """The pictures of maps of an image, by name of the map."""
    beside = _inside(folder, place, image)
    prefix = f"{beside.stem}."
    found = [file for file in sorted(beside.parent.glob("*.png")) if file.name.startswith(prefix)]
    maps = {file.stem.removeprefix(prefix): file for file in found}
    # Map `gain` of an image `a.b` is no map `b.gain` of an image `a`.
    return {name: pictures.read(file) for name, file in maps.items() if name.isidentifier()}


def _assembled(name: str, image: str, why: str, versions: Sequence[_Version], true: _Version) -> Example:
    target = true.pixels
    for version in versions:
        if version.pixels.shape != target.shape:
            raise ValueError(f"{version.label} and target differ in size")
    damage = pictures.error(versions[0].pixels, target)
    side = max(48, min(160, min(target.shape[:2]) // 5))
    window = pictures.strongest_window(damage, side)
    cut = [pictures.error(pictures.crop(v.pixels, window), pictures.crop(target, window)) for v in versions]
    highest = max(8.0, float(np.ceil(np.percentile(cut[0], 98))))
    scale = np.tile(np.linspace(0, highest, side), (max(side // 8, 4), 1))
    pixels = [
        *(
            [
                pictures.framed(v.pixels, window, _SHOWN_SIDE),
                pictures.crop(v.pixels, window),
                pictures.coloured(e, highest),
            ]
            for v, e in zip(versions, cut, strict=True)
        ),
        [
            pictures.framed(target, window, _SHOWN_SIDE),
            pictures.crop(target, window),
            pictures.coloured(scale, highest),
        ],
    ]
    return Example(
        name=name,
        image=image,
        why=why,
        more=why not in _FIRST,
        highest=highest,
        columns=tuple(
            Column(
                version.label,
                version.value,
                _data_uri(version.pixels, _COMPARED_SIDE),
                *(pictures.data_uri(one, exact=place > 0) for place, one in enumerate(column)),
                maps=tuple((name, _data_uri(one, _SHOWN_SIDE)) for name, one in version.maps.items()),
            )
            for version, column in zip((*versions, true), pixels, strict=True)
        ),
        sheet=pictures.png(pictures.contact_sheet(pixels, _SHEET_SIDE)),
    )


def _data_uri(picture: pictures.Image, most: int) -> str:
    return pictures.data_uri(pictures.shrunk(picture, most), exact=False)


def _inside(folder: Path, place: str, image: str) -> Path:
    """The image's file. Anybody may have written the names, so they must not lead out of the folder."""
    base = folder / place
    path = base / f"{image}.png"
    if not path.resolve().is_relative_to(base.resolve()):
        raise ValueError("its name leads out of the run folder")
    return path


def _value(value: float | None, primary: Metric) -> str:
    return "" if value is None else with_unit(number(value, primary.decimals), primary.unit)


def _reason(error: Exception, folder: Path) -> str:
    """The error in words, with paths as they are inside the run folder."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        words = f"{error.filename}: {error.strerror}"
    else:
        words = str(error)
    return printable(words.replace(f"{folder}{os.sep}", ""))
