"""Pairing of image files: finds the target of each degraded image by equal names, by templates or by a CSV file."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from benchmark.data.image_folders import images_in, warn_once
from benchmark.data.image_io import SUFFIXES
from benchmark.errors import DataError, counted
from reports.file_access import read_text

Fields = tuple[str, ...]
"""The values of a template's fields in one name."""

LAYOUTS: Mapping[str, tuple[str, str]] = {
    "contest": ("image", "groundtruth"),  # the retouching contest, AI Studio 1022
    "ffhqr": ("source", "target"),
    "basicsr": ("lq", "gt"),
    "gopro": ("input", "target"),
}
"""Names of the folders with degraded and target images in data sets as they are published."""


@dataclass(frozen=True)
class PairedFiles:
    """The two files of a pair and its name in reports."""

    name: str
    degraded: Path
    target: Path


@runtime_checkable
class HasPairFiles(Protocol):
    """A source whose pairs are two image files each."""

    def pair_files(self, index: int) -> PairedFiles:
        """Return the name and the files of pair number `index`."""
        ...


def by_equal_names(degraded: Path, target: Path) -> list[PairedFiles]:
    """Return the pairs of equal names (the suffix may differ), sub-folders included, in the order of names.

    Raises:
        DataError: a folder has no images, an image has no partner, or both folders are the same.
    """
    degraded_files, target_files = images_in(degraded), images_in(target)
    if degraded.samefile(target):
        raise DataError(f"{degraded}: given as degraded and as target; a pair needs an image from each of two folders")
    return _matched(degraded, degraded_files, target, target_files)


def by_templates(folders: tuple[Path, Path], templates: tuple[str, str]) -> list[PairedFiles]:
    """Return the pairs whose names agree in the fields of two templates, e.g. `{id}_noisy` and `{id}_clean`.

    The name of a pair is its fields, joined by `_`. A warning counts the images that fit no template.

    Args:
        folders: of degraded and of target images; both may be the same.
        templates: of the names of degraded and of target images.

    Raises:
        DataError: templates have no field or different fields, fit no image, or fit two images alike; an image has no
            partner; two pairs get one name.
    """
    patterns = [_pattern(template) for template in templates]
    if patterns[0].groupindex.keys() != patterns[1].groupindex.keys():
        raise DataError(f"{templates[0]!r} and {templates[1]!r} have different fields; name those that pair images")
    if templates[0] == templates[1] and folders[0].resolve() == folders[1].resolve():
        raise DataError(f"{folders[0]}: degraded and target are the same images; give another folder or template")
    fields = sorted(patterns[0].groupindex, key=patterns[0].groupindex.__getitem__)
    sides = [_fitting(*side, fields) for side in zip(folders, templates, patterns, strict=True)]
    _check_names(sides)
    taken = {file for side in sides for file in side.values()}
    for folder in dict.fromkeys(folders):
        others = [file for file in images_in(folder).values() if file not in taken]
        if others:
            warn_once(
                f"{folder}: {counted(len(others), 'image')} passed over, as no template fits: {others[0].name} ..."
            )
    named = [{"_".join(values): file for values, file in side.items()} for side in sides]
    return _matched(folders[0], named[0], folders[1], named[1])


def by_csv(file: Path) -> list[PairedFiles]:
    """Return the pairs of a CSV file with columns `degraded,target` and optionally `name`.

    Paths are relative to the CSV file. A pair without `name` is named after its degraded image.

    Raises:
        DataError: an image file is missing, a line names one file twice, or two pairs have one name.
    """
    pairs: dict[str, PairedFiles] = {}
    for number, line in enumerate(read_table(file, ("degraded", "target")), start=2):
        degraded, target = (file.parent / line[side] for side in ("degraded", "target"))
        name = line.get("name") or image_name(line["degraded"])
        for image in (degraded, target):
            if not image.is_file():
                raise DataError(f"{file}: entry {number}: {image}: no such file; paths are relative to the CSV file")
        if degraded.samefile(target):
            raise DataError(f"{file}: entry {number}: {degraded} is given as degraded and as target")
        if name in pairs:
            raise DataError(f"{file}: entry {number}: {name!r} stands twice; give pairs names of their own in `name`")
        if Path(name).is_absolute() or ".." in Path(name).parts:  # results are written under this name
            raise DataError(f"{file}: entry {number}: {name!r} leads out of the folder; give the pair a `name`")
        pairs[name] = PairedFiles(name, degraded, target)
    return [pairs[name] for name in sorted(pairs)]


def _matched(
    degraded: Path, degraded_files: Mapping[str, Path], target: Path, target_files: Mapping[str, Path]
) -> list[PairedFiles]:
    lonely = sorted(degraded_files.keys() ^ target_files.keys())
    if lonely:
        here, there = (degraded, target) if lonely[0] in degraded_files else (target, degraded)
        stem, folder = Path(lonely[0]).name, (there / lonely[0]).parent
        unread = [file.name for file in folder.glob("*") if file.stem == stem]
        hint = f"; {unread[0]} there is of no format that is read" if unread else ""
        raise DataError(
            f"{here}: {lonely[0]!r} has no partner of that name in {there} "
            f"({counted(len(lonely), 'image')} without one){hint}"
        )
    return [PairedFiles(name, degraded_files[name], target_files[name]) for name in sorted(degraded_files)]


def _check_names(sides: Iterable[Mapping[Fields, Path]]) -> None:
    """Raise DataError where other fields would give a pair the same name."""
    named: dict[str, Fields] = {}
    for side in sides:
        for values, file in side.items():
            name = "_".join(values)
            other = named.setdefault(name, values)
            if other != values:
                raise DataError(
                    f"{file}: its fields {values} and the fields {other} of another image give one name, "
                    f"{name!r}; pair them by a CSV file"
                )


def _pattern(template: str) -> re.Pattern[str]:
    """Return a template such as `{id}_noisy` as a pattern for image names, which have a folder but no suffix."""
    pieces = re.split(r"\{(\w+)\}", template)
    fields = pieces[1::2]
    if not fields or len(set(fields)) < len(fields) or not all(field.isidentifier() for field in fields):
        raise DataError(f"template {template!r}: expected a name with a field in braces, each once, e.g. {{id}}_noisy")
    parts = [re.escape(piece) if index % 2 == 0 else f"(?P<{piece}>.+?)" for index, piece in enumerate(pieces)]
    return re.compile("".join(parts))


def _fitting(folder: Path, template: str, pattern: re.Pattern[str], fields: list[str]) -> dict[Fields, Path]:
    files: dict[Fields, Path] = {}
    for name, file in images_in(folder).items():
        if match := pattern.fullmatch(name):
            values = tuple(match[field] for field in fields)
            if values in files:
                raise DataError(f"{file}: {files[values].name} fits the template {template!r} with the same fields")
            files[values] = file
    if not files:
        raise DataError(f"{folder}: no image name fits the template {template!r}")
    return files


def read_table(file: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return the lines of a CSV file with a header, by column, without blanks at both ends of a cell.

    Raises:
        DataError: the file cannot be read as UTF-8, lacks one of `columns`, has no lines or an empty cell in a column.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_text(file)), restval="")
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        lines = [{key: (value or "").strip() for key, value in line.items() if key} for line in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{file}: not a readable CSV file ({error}); expected columns {', '.join(columns)}") from None
    missing = [name for name in columns if name not in header]
    if missing:
        names = ", ".join(header) or "none"
        raise DataError(f"{file}: no column {missing[0]!r} in its first line; it has {names}")
    if not lines:
        raise DataError(f"{file}: no lines below the header {', '.join(header)}")
    for number, line in enumerate(lines, start=2):
        empty = next((name for name in columns if not line[name]), None)
        if empty:
            raise DataError(f"{file}: entry {number}: {empty!r} is empty")
    return lines


def image_name(path: str) -> str:
    r"""Return the name of an image in its folder from a path as users write it: with or without suffix, `/` or `\`."""
    plain = PurePosixPath(unicodedata.normalize("NFC", path.replace("\\", "/")))
    return (plain.with_suffix("") if plain.suffix.lower() in SUFFIXES else plain).as_posix()
