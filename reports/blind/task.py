"""Make a blind test: which pictures of which rows, under salted ids, and the pairs that people will see."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from reports import text
from reports.blind.formats import KeyFile, KeyPicture
from reports.digests import check
from reports.errors import FileFormatError, ReportError
from reports.figures import pictures
from reports.figures.examples import inside
from reports.results import Results, row_folder
from reports.results.summary import IDENTITY, Summary, summaries

DEGRADED, TARGET = "pairs/degraded", "pairs/target"
_WINDOW = 512
"""Side, px, of the part of a larger image that is shown: where the damage is strongest, at full size."""
_MOST_BYTES = 48_000_000
"""Of all pictures in one page; a larger one opens slowly."""


@dataclass(frozen=True)
class Task:
    """A blind test. `data` is what the page holds: nothing in it names a row or an image."""

    key: KeyFile
    data: Mapping[str, Any]
    images: int


def make_task(
    results: Results,
    rows: Sequence[str],
    salt: str,
    *,
    images: int = 12,
    pairs: int = 60,
    repeats: int = 5,
    reference: str = "none",
) -> Task:
    """Return a blind test of rows of a run.

    Args:
        results: The run; its folder has the pictures.
        rows: At least two of its rows. A trained row is shown by the images of its first finished seed.
        salt: Secret text that makes the ids; another one gives another test.
        images: Most images, spread evenly over those of the run.
        pairs: Pairs that one person sees.
        repeats: Pairs that the person sees a second time, sides exchanged.
        reference: `degraded` or `target` is shown above each pair; `none`.

    Raises:
        ReportError: A row is not known or has no pictures, or a picture cannot be read.
    """
    if len(set(rows)) < 2:
        raise ReportError("--rows: a blind test needs at least two different rows, e.g. --rows base,heads.residual")
    summary_of = summaries(results)
    chosen = {row: _summary(row, summary_of, results) for row in rows}
    folders = {row: _folder(summary) for row, summary in chosen.items()}
    names = _common_images(results.folder, folders)
    names = [names[place * len(names) // min(images, len(names))] for place in range(min(images, len(names)))]
    ids = {(row, image): _salted(salt, "picture", row, image) for row in chosen for image in names}
    uris: dict[str, str] = {}
    references: dict[str, str] = {}
    for image in names:
        shown = _pictures(image, chosen, folders, results.folder, reference)
        uris |= {ids[row, image]: shown[row] for row in chosen}
        if reference != "none":
            references[image] = _salted(salt, "reference", image)
            uris[references[image]] = shown[""]
    if sum(map(len, uris.values())) > _MOST_BYTES:
        size = sum(map(len, uris.values())) / 1e6
        raise ReportError(
            f"{results.folder}: the pictures of the test have {size:.0f} MB, a page at most {_MOST_BYTES / 1e6:.0f}; "
            "choose fewer with --images or --rows"
        )
    test = _salted(salt, "test")
    listed = sorted(
        [*sorted((ids[first, image], ids[second, image])), *([references[image]] if references else [])]
        for image in names
        for first, second in combinations(chosen, 2)
    )
    key = KeyFile(
        test=test,
        salt=salt,
        seeds={row: summary.seeds[0] for row, summary in chosen.items()},
        config_hashes={row: summary.finished[0].config_hash for row, summary in chosen.items()},
        pictures={name: KeyPicture(image=image, row=row) for (row, image), name in sorted(ids.items())},
    )
    data = {
        "test": test,
        "pictures": dict(sorted(uris.items())),
        "pairs": listed,
        "most": min(pairs, len(listed)),
        "repeats": min(repeats, len(listed)),
        "reference": reference,
    }
    return Task(key, data, len(names))


def _salted(salt: str, *parts: str) -> str:
    """Return an id that tells nothing without the salt."""
    return hmac.new(salt.encode(), "\0".join(parts).encode("utf-8", "backslashreplace"), hashlib.sha256).hexdigest()[
        :16
    ]


def _summary(row: str, rows: Mapping[str, Summary], results: Results) -> Summary:
    if row not in rows:
        names = ", ".join(map(text.printable, rows))
        raise ReportError(f"--rows {text.printable(row)}: {results.folder} has no such row; it has {names}")
    if not rows[row].finished:
        raise ReportError(f"--rows {text.printable(row)}: no seed of this row has finished in {results.folder}")
    return rows[row]


def _folder(summary: Summary) -> str:
    """Return the folder of a row's images; doing nothing leaves the degraded ones as they are."""
    if summary.row == IDENTITY:
        return DEGRADED
    return f"{row_folder(summary.row, summary.seeds[0])}/images"


def _common_images(run: Path, folders: Mapping[str, str]) -> list[str]:
    """Return the names of the images that every row has, in order."""
    by_row = {row: {path.stem for path in (run / folder).glob("*.png")} for row, folder in folders.items()}
    for row, names in by_row.items():
        if not names:
            raise ReportError(
                f"{run / folders[row]}: no images of row {text.printable(row)}; a blind test needs the folder of a "
                "run, with the images that `run` wrote; published studies have none"
            )
    common = set.intersection(*by_row.values())
    if not common:
        raise ReportError(f"{run}: the rows {text.listing(list(folders))} have no image in common")
    return sorted(common)


def _pictures(
    image: str, chosen: Mapping[str, Summary], folders: Mapping[str, str], run: Path, reference: str
) -> dict[str, str]:
    """Return row -> picture as a data URI, losslessly; the reference is under the empty name."""
    try:
        for row, summary in chosen.items():
            if folders[row] != DEGRADED:
                check(
                    run / row_folder(row, summary.seeds[0]),
                    [f"images/{image}.png"],
                    summary.finished[0].files,
                    "record.json",
                )
        pixels = {row: pictures.read(inside(run, folder, image)) for row, folder in folders.items()}
        if reference != "none":
            pixels[""] = pictures.read(inside(run, TARGET if reference == "target" else DEGRADED, image))
        window = _window(
            image,
            run,
            max(picture.shape[0] for picture in pixels.values()),
            max(picture.shape[1] for picture in pixels.values()),
        )
    except (OSError, ValueError, FileFormatError) as error:
        raise ReportError(f"{run}: image {text.printable(image)} of the test: {text.printable(str(error))}") from error
    return {row: pictures.data_uri(pictures.crop(picture, window), exact=True) for row, picture in pixels.items()}


def _window(image: str, run: Path, height: int, width: int) -> pictures.Window:
    """Return the part that is shown: all of a small image, else the place of the strongest damage."""
    if max(height, width) <= _WINDOW:
        return 0, 0, height, width
    damage = pictures.error(pictures.read(inside(run, DEGRADED, image)), pictures.read(inside(run, TARGET, image)))
    return pictures.strongest_window(damage, _WINDOW)
