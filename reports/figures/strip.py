"""One picture of a further test set in all versions, side by side: input, target, what each row made of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from reports import text
from reports.digests import check
from reports.figures import pictures
from reports.figures.examples import inside, reason
from reports.metrics import IMAGE_METRICS
from reports.results import Results, row_folder
from reports.results.further_tests import FurtherTest
from reports.results.summary import IDENTITY, ImageScores, Summary, image_scores
from reports.schema import MORE_TESTS

_FEWEST_PX, _MOST_PX = 64, 192
"""Side of the window: it shows skin around the spots, pixel by pixel."""
_MOST_ROWS = 22
_PER_LINE = 6
_SHEET_SIDE = 176


@dataclass(frozen=True)
class Tile:
    """One version of the window."""

    label: str
    value: str
    uri: str
    """Data URI."""


@dataclass(frozen=True)
class Strip:
    """A window of one picture in all versions. `name` is that of its file; `sheet` shows all versions as one PNG."""

    name: str
    image: str
    note: str
    tiles: tuple[Tile, ...]
    sheet: bytes

    @property
    def caption(self) -> str:
        """The note, with the versions in their order."""
        versions = [f"{tile.label} ({tile.value})" if tile.value else tile.label for tile in self.tiles]
        return f"{self.note} From left to right: {', '.join(versions)}."


def strip_name(test_set: str) -> str:
    """Return the name of the file with the pictures of a test set."""
    return f"pictures_{test_set}"


def strip(test: FurtherTest, results: Results, rows: Mapping[str, Summary]) -> Strip | str:
    """Return the picture with the most harm by the trained rows; or, in one sentence, why it cannot be shown."""
    scores = {name: image_scores(results, f"{name}@{test.name}") for name in ("psnr", "harm")}
    order = [rows[row.row] for row in test.trained]
    shown = order[:_MOST_ROWS]
    tested = {(row.row, seed) for row in order for seed in row.seeds}
    harm = {
        image: fmean([of[image] for key, of in scores["harm"].items() if key in tested and image in of] or [0.0])
        for image in test.images
    }
    if not harm or not shown:
        return ""
    image = max(harm, key=lambda name: (harm[name], name))
    folder, place = results.folder, f"{MORE_TESTS}/{test.name}"
    try:
        roles = ("degraded", "target")
        degraded, target = (pictures.read(inside(folder, f"pairs/{place}/{role}", image)) for role in roles)
        side = max(_FEWEST_PX, min(_MOST_PX, min(target.shape[:2]) // 2))
        window = pictures.strongest_window(pictures.error(degraded, target), side)
        versions = [
            ("input", IDENTITY, None, degraded),
            ("target", "", None, target),
            *((row.row, row.row, row.seeds[0], _restored(folder, row, place, image)) for row in shown),
        ]
    except (OSError, ValueError) as error:
        return f"No picture is shown: {reason(error, folder)}."
    details = [pictures.crop(pixels, window) for *_, pixels in versions]
    tiles = tuple(
        Tile(text.printable(label), _value(row, seed, image, scores), pictures.data_uri(detail, exact=True))
        for (label, row, seed, _), detail in zip(versions, details, strict=True)
    )
    left_out = (
        f" {text.count(len(order) - len(shown), 'row')} below these are not shown." if order[len(shown) :] else ""
    )
    columns = [details[place::_PER_LINE] for place in range(min(_PER_LINE, len(details)))]
    return Strip(
        name=strip_name(test.name),
        image=text.printable(image),
        note="Reading: harm counts, in levels, what a row made worse outside the spots. "
        f"The picture with the most harm, averaged over the rows, {text.printable(image)}: the window with the "
        f"strongest damage, pixel by pixel, of the first seed. The values are those of the whole picture.{left_out}",
        tiles=tiles,
        sheet=pictures.png(pictures.contact_sheet(columns, _SHEET_SIDE)),
    )


def _restored(folder: Path, row: Summary, place: str, image: str) -> pictures.Image:
    of_row = row_folder(row.row, row.seeds[0])
    file = inside(folder, f"{of_row}/{place}", image)
    check(folder / of_row, [f"{place}/{image}.png"], row.finished[0].files, "record.json")
    return pictures.read(file)


def _value(row: str, seed: int | None, image: str, scores: Mapping[str, ImageScores]) -> str:
    """Return PSNR and harm of a row on an image, for its tile."""
    values = {name: of.get((row, seed), {}).get(image) for name, of in scores.items()}
    shown = [
        f"{IMAGE_METRICS[name].label} {text.with_unit(text.number(value, 2), IMAGE_METRICS[name].unit)}"
        for name, value in values.items()
        if value is not None
    ]
    return ", ".join(shown)
