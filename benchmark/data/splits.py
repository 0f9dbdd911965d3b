"""Which images belong to a split: by a list, by counts or by shares; images of one group stay together."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.data.csv_manifest import image_name, read_table
from benchmark.data.image_io import SUFFIXES, images_in
from benchmark.errors import DataError, suggestion
from benchmark.files import read_json

Parts = Path | dict[str, int | float]
"""A file that lists the images of each split, or how many images (whole numbers) or what share (0 to 1) each gets."""


@dataclass(frozen=True)
class Splitting:
    """What a source is asked to take.

    `split`: the name of the part, None for all images. `parts`: see `Parts`; None: the split file of the folder.
    `groups`: group (person, scene) by image name, empty where there are none. `seed` decides who comes first where
    parts are drawn; the order is that of a hash of the names, so it does not hang on files beside them.
    """

    split: str | None
    parts: Parts | None
    groups: Mapping[str, str]
    seed: int


def images_of_part(
    folder: Path, split: str | None, parts: Parts | None, groups_file: Path | None, seed: int
) -> tuple[dict[str, Path], frozenset[str]]:
    """The images of a folder that belong to a split, by name, and the groups they are of. Raises DataError."""
    images = images_in(folder)
    groups = read_groups(groups_file, images)
    splitting = Splitting(split, parts, groups, seed)
    names = chosen_names({name: [file] for name, file in images.items()}, splitting, folder / "splits.json")
    return {name: images[name] for name in names}, group_subjects(names, groups, groups_file)


def group_subjects(names: Iterable[str], groups: Mapping[str, str], groups_file: Path | None) -> frozenset[str]:
    """The groups of images as subjects that two splits must not share."""
    return frozenset(f"{groups[name]} of {groups_file}" for name in names if name in groups)


def chosen_names(files: Mapping[str, Sequence[Path]], splitting: Splitting, default_file: Path) -> list[str]:
    """The names of the part, in the order given. Raises DataError for a part that is unknown, empty or cuts a group.

    `files`: of each image or pair, by name. `default_file` is read where a split is named and nothing says what the
    splits are.
    """
    split, parts = splitting.split, splitting.parts
    if split is None:
        if parts is not None:
            raise DataError("splits is given without split; say which one is wanted, e.g. split: train")
        return list(files)
    if isinstance(parts, dict):
        members = set(_drawn(list(files), split, parts, splitting))
    else:
        members = set(_listed(files, split, parts or default_file, splitting.groups))
    return [name for name in files if name in members]


def read_groups(file: Path | None, names: Iterable[str]) -> dict[str, str]:
    """The group of each image from a CSV file with columns `image,group`.

    Raises DataError if an image is missing, or stands there with two groups.
    """
    if file is None:
        return {}
    groups: dict[str, str] = {}
    for line in read_table(file, ("image", "group")):
        name, group = image_name(line["image"]), line["group"]
        if groups.setdefault(name, group) != group:
            raise DataError(f"{file}: {name!r} is in {groups[name]!r} and in {group!r}; an image belongs to one group")
    lost = [name for name in names if name not in groups]
    if lost:
        raise DataError(f"{file}: no group for {lost[0]!r} ({len(lost)} images without one); add a line for each")
    return {name: groups[name] for name in names}


def _listed(files: Mapping[str, Sequence[Path]], split: str, file: Path, groups: Mapping[str, str]) -> list[str]:
    lists = _lists(file, split)
    split_of: dict[str, str] = {}
    for part, paths in lists.items():
        for name in map(image_name, paths):
            if split_of.setdefault(name, part) != part:
                raise DataError(f"{file}: {name!r} is in {split_of[name]!r} and in {part!r}; an image belongs to one")
    for path in lists[split]:
        if not _is_one_of(path, files):
            raise DataError(f"{file}: {split!r} lists {path!r}, which is no image of the folder")
    _check_groups(file, split_of, groups)
    return [image_name(path) for path in lists[split]]


def _lists(file: Path, split: str) -> dict[str, list[str]]:
    """The paths of each split, from JSON `{"train": ["a.png"]}` or from CSV with columns `image,split`."""
    if not file.is_file():
        raise DataError(f'{file}: no such file; split {split!r} needs it: {{"train": ["a.png", ...], "val": [...]}}')
    splits: Any = _columns(file) if file.suffix.lower() == ".csv" else read_json(file)
    if not isinstance(splits, dict):
        raise DataError(f'{file}: expected JSON like {{"train": ["a.png", ...], "val": [...]}}')
    if split not in splits:
        raise DataError(f"{file}: no split {split!r}; {suggestion(split, splits)}")
    if not splits[split] or not _is_list_of_paths(splits[split]):
        raise DataError(f"{file}: {split!r} must be a list of file names, at least one")
    return {part: paths for part, paths in splits.items() if _is_list_of_paths(paths)}


def _columns(file: Path) -> dict[str, list[str]]:
    lists: dict[str, list[str]] = {}
    for line in read_table(file, ("image", "split")):
        lists.setdefault(line["split"], []).append(line["image"])
    return lists


def _is_list_of_paths(paths: Any) -> bool:
    return isinstance(paths, list) and all(isinstance(path, str) for path in paths)


def _is_one_of(path: str, files: Mapping[str, Sequence[Path]]) -> bool:
    """Whether a path as listed is an image of the folder: a suffix may be left out, but not be another."""
    name = image_name(path)
    suffix = Path(path).suffix.lower()
    return name in files and (suffix not in SUFFIXES or suffix in {file.suffix.lower() for file in files[name]})


def _check_groups(file: Path, split_of: Mapping[str, str], groups: Mapping[str, str]) -> None:
    split_of_group: dict[str, str] = {}
    for name, group in groups.items():
        split = split_of.get(name)
        if split and split_of_group.setdefault(group, split) != split:
            raise DataError(
                f"{file}: images of group {group!r} are in {split_of_group[group]!r} and in {split!r}, "
                f"e.g. {name!r}; a group belongs to one split"
            )


def _drawn(names: Sequence[str], split: str, parts: Mapping[str, int | float], splitting: Splitting) -> list[str]:
    """Whole groups in the order of their hashes fill one part after the other, each until it has its number."""
    wanted = _counts(parts, len(names))
    if split not in wanted:
        raise DataError(f"splits: no split {split!r}; {suggestion(split, wanted)}")
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(splitting.groups.get(name, name), []).append(name)
    waiting = sorted(groups, key=lambda group: _hash(splitting.seed, group), reverse=True)
    for part, count in wanted.items():
        members: list[str] = []
        while waiting and len(members) < count:
            members += groups[waiting.pop()]
        if not members or (isinstance(parts[part], int) and len(members) < count):
            raise DataError(f"splits: {part!r} gets {len(members)} of {count} images; there are {len(names)}")
        if part == split:
            return members
    raise AssertionError("the split is one of the parts")


def _counts(parts: Mapping[str, int | float], total: int) -> dict[str, int]:
    """How many images each part gets; shares that sum to 1 leave none out."""
    if all(isinstance(value, int) and value > 0 for value in parts.values()):
        return {name: int(value) for name, value in parts.items()}
    whole = sum(parts.values())
    if not all(isinstance(value, float) and 0 < value <= 1 for value in parts.values()) or whole > 1 + 1e-9:
        raise DataError(f"splits: {parts}: give counts (whole numbers), or shares (0 to 1, together at most 1)")
    counts: dict[str, int] = {}
    end = 0.0
    for name, share in parts.items():
        start, end = end, end + share
        counts[name] = max(1, round(end * total) - round(start * total))
    return counts


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
