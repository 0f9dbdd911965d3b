"""Which degraded image belongs to which target: by equal names, by templates of names, by a CSV file."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.csv_manifest import image_name, read_table
from benchmark.data.image_io import images_in
from benchmark.errors import DataError

Fields = tuple[str, ...]
"""What a template's fields stand for in one name."""

LAYOUTS: Mapping[str, tuple[str, str]] = {
    "contest": ("image", "groundtruth"),  # the retouching contest, AI Studio 1022
    "ffhqr": ("source", "target"),
    "basicsr": ("lq", "gt"),
    "gopro": ("input", "target"),
}
"""Names of the folders with degraded and target images in data sets as they are handed out."""


@dataclass(frozen=True)
class PairedFiles:
    """The two files of a pair and the name it has in reports."""

    name: str
    degraded: Path
    target: Path


def by_equal_names(degraded: Path, target: Path) -> list[PairedFiles]:
    """Pairs of equal names (the suffix may differ), sub-folders included, in the order of names.

    Raises DataError for folders without images, for images without partner, and if both folders are the same.
    """
    degraded_files, target_files = images_in(degraded), images_in(target)
    if degraded.samefile(target):
        raise DataError(f"{degraded}: given as degraded and as target; a pair needs an image from each of two folders")
    return _matched(degraded, degraded_files, target, target_files)


def by_templates(folders: tuple[Path, Path], templates: tuple[str, str]) -> list[PairedFiles]:
    """Pairs whose names agree in the fields of two templates, e.g. `{id}_noisy` and `{id}_clean`.

    Degraded first in both arguments; both folders may be the same. A pair is named by its fields, joined by `_`; images
    that do not fit the template are passed over. Raises DataError for templates without a field or with different
    ones, for templates that fit nothing, or two images alike, for images without partner, and for pairs of one name.
    """
    patterns = [_pattern(template) for template in templates]
    if patterns[0].groupindex.keys() != patterns[1].groupindex.keys():
        raise DataError(f"{templates[0]!r} and {templates[1]!r} have different fields; name those that pair images")
    if templates[0] == templates[1] and folders[0].resolve() == folders[1].resolve():
        raise DataError(f"{folders[0]}: degraded and target are the same images; give another folder or template")
    fields = sorted(patterns[0].groupindex, key=patterns[0].groupindex.__getitem__)
    sides = zip(folders, templates, patterns, strict=True)
    found = [_fitting(folder, template, pattern, fields) for folder, template, pattern in sides]
    _check_names(found)
    named = [{_joined(values): file for values, file in side.items()} for side in found]
    return _matched(folders[0], named[0], folders[1], named[1])


def by_csv(file: Path) -> list[PairedFiles]:
    """The pairs of a CSV file with columns `degraded,target` and, if wanted, `name`; paths are relative to the file.

    A pair without `name` is called as its degraded image. Raises DataError for files that are not there, for a line
    that names one file twice, and for names that stand twice.
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
        raise DataError(
            f"{here}: {lonely[0]!r} has no partner of that name in {there} ({len(lonely)} images without one)"
        )
    return [PairedFiles(name, degraded_files[name], target_files[name]) for name in sorted(degraded_files)]


def _check_names(sides: Iterable[Mapping[Fields, Path]]) -> None:
    """Raise DataError where other fields would give a pair the same name."""
    named: dict[str, Fields] = {}
    for side in sides:
        for values, file in side.items():
            other = named.setdefault(_joined(values), values)
            if other != values:
                raise DataError(
                    f"{file}: its fields {values} and the fields {other} of another image give one name, "
                    f"{_joined(values)!r}; pair them by a CSV file"
                )


def _joined(values: Fields) -> str:
    return "_".join(values)


def _pattern(template: str) -> re.Pattern[str]:
    """`{id}_noisy` as a regular expression over the name of an image, which has its folder but no suffix."""
    pieces = re.split(r"\{(\w+)\}", template)
    fields = pieces[1::2]
    if not fields or len(set(fields)) < len(fields) or not all(field.isidentifier() for field in fields):
        raise DataError(f"template {template!r}: expected a name with a field in braces, each once, e.g. {{id}}_noisy")
    parts = [re.escape(piece) if index % 2 == 0 else f"(?P<{piece}>.+?)" for index, piece in enumerate(pieces)]
    return re.compile("".join(parts))


def _fitting(folder: Path, template: str, pattern: re.Pattern[str], fields: list[str]) -> dict[Fields, Path]:
    found: dict[Fields, Path] = {}
    for name, file in images_in(folder).items():
        if match := pattern.fullmatch(name):
            values = tuple(match[field] for field in fields)
            if values in found:
                raise DataError(f"{file}: {found[values].name} fits the template {template!r} with the same fields")
            found[values] = file
    if not found:
        raise DataError(f"{folder}: no image name fits the template {template!r}")
    return found
