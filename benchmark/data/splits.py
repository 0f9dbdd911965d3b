"""Splits: which images belong to train, val or test, by a list, counts or shares; groups of images stay together."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.data.image_folders import images_in
from benchmark.data.image_io import SUFFIXES
from benchmark.data.pairing import image_name, read_table
from benchmark.errors import DataError, counted, root_cause, suggestion
from reports.file_access import read_text

Splits = Path | dict[str, int | float]
"""A file that lists the images of each split, or how many images (whole numbers) or what share (0 to 1) each gets."""
_EXPECTED = 'expected JSON like {"train": ["a.png", ...], "val": [...]}'


@dataclass(frozen=True)
class SplitSpec:
    """Which split of a set of images is taken, and how the set is divided.

    Attributes:
        split: the name of the split; None for all images.
        splits: see `Splits`; None for the file `splits.json` beside the images.
        groups_file: a CSV file with columns `image,group` (person, scene); images of one group stay in one split.
        seed: decides the order in which images are drawn into splits. The order is that of a hash of the names, so an
            image keeps its place when others are added.
    """

    split: str | None
    splits: Splits | None
    groups_file: Path | None
    seed: int


def select_split(
    files: Mapping[str, Sequence[Path]], spec: SplitSpec, default_file: Path
) -> tuple[list[str], frozenset[str]]:
    """Return the names of a split, in the order given, and their groups as subjects that two splits must not share.

    Args:
        files: the files of each image or pair, by name.
        spec: which split is taken.
        default_file: lists the splits where a split is named and `spec.splits` is None.

    Raises:
        DataError: the split is unknown or empty, or a group is in two splits.
    """
    groups = read_groups(spec.groups_file, files)
    if spec.split is None:
        if spec.splits is not None:
            raise DataError("splits is given without split; say which one is wanted, e.g. split: train")
        names = list(files)
    else:
        if isinstance(spec.splits, dict):
            members = set(_drawn(list(files), spec.split, spec.splits, groups, spec.seed))
        else:
            members = set(_listed(files, spec.split, spec.splits or default_file, groups))
        names = [name for name in files if name in members]
    return names, frozenset(f"{groups[name]} of {spec.groups_file}" for name in names if name in groups)


def select_images(folder: Path, spec: SplitSpec) -> tuple[list[tuple[str, Path]], frozenset[str]]:
    """Return the images of a folder that belong to a split, by name, and their groups as subjects.

    Raises:
        DataError: the folder has no images, the split is unknown or empty, or a group is in two splits.
    """
    files = images_in(folder)
    names, groups = select_split({name: [file] for name, file in files.items()}, spec, folder / "splits.json")
    return [(name, files[name]) for name in names], groups


def read_groups(file: Path | None, names: Iterable[str]) -> dict[str, str]:
    """Return the group of each image from a CSV file with columns `image,group`; without a file there are none.

    Raises:
        DataError: the file is unreadable, or an image has no group or two.
    """
    if file is None:
        return {}
    groups: dict[str, str] = {}
    for line in read_table(file, ("image", "group")):
        name, group = image_name(line["image"]), line["group"]
        if groups.setdefault(name, group) != group:
            raise DataError(f"{file}: {name!r} is in {groups[name]!r} and in {group!r}; an image belongs to one group")
    missing = [name for name in names if name not in groups]
    if missing:
        raise DataError(
            f"{file}: no group for {missing[0]!r} ({counted(len(missing), 'image')} without one); add a line for each"
        )
    return {name: groups[name] for name in names}


def _listed(files: Mapping[str, Sequence[Path]], split: str, file: Path, groups: Mapping[str, str]) -> list[str]:
    """Return the names that a file lists for a split."""
    lists = _read_lists(file, split)
    split_of: dict[str, str] = {}
    for other, paths in lists.items():
        for name in map(image_name, paths):
            if split_of.setdefault(name, other) != other:
                raise DataError(f"{file}: {name!r} is in {split_of[name]!r} and in {other!r}; an image belongs to one")
    for path in lists[split]:
        if not _is_one_of(path, files):
            raise DataError(f"{file}: {split!r} lists {path!r}, which is no image of the folder")
    _check_groups(file, split_of, groups)
    return [image_name(path) for path in lists[split]]


def _read_lists(file: Path, split: str) -> dict[str, list[str]]:
    """Return the paths of each split, from JSON `{"train": ["a.png"]}` or from CSV with columns `image,split`."""
    if not file.exists():
        raise DataError(f"{file}: no such file; split {split!r} needs it; {_EXPECTED}")
    splits: Any = {}
    if file.suffix.lower() == ".csv":
        for line in read_table(file, ("image", "split")):
            splits.setdefault(line["split"], []).append(line["image"])
    else:
        try:
            splits = json.loads(read_text(file))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{file}: not a readable JSON file ({root_cause(error)}); {_EXPECTED}") from None
    if not isinstance(splits, dict):
        raise DataError(f"{file}: {type(splits).__name__} at its top; {_EXPECTED}")
    if split not in splits:
        raise DataError(f"{file}: no split {split!r}; {suggestion(split, splits)}")
    if not splits[split] or not _is_list_of_paths(splits[split]):
        raise DataError(f"{file}: {split!r} must be a list of file names, at least one")
    return {name: paths for name, paths in splits.items() if _is_list_of_paths(paths)}


def _is_list_of_paths(paths: Any) -> bool:
    return isinstance(paths, list) and all(isinstance(path, str) for path in paths)


def _is_one_of(path: str, files: Mapping[str, Sequence[Path]]) -> bool:
    """Return whether a listed path is an image of the folder; it may lack the suffix, but not have another."""
    name = image_name(path)
    suffix = Path(path).suffix.lower()
    return name in files and (suffix not in SUFFIXES or suffix in {file.suffix.lower() for file in files[name]})


def _check_groups(file: Path, split_of: Mapping[str, str], groups: Mapping[str, str]) -> None:
    """Raise DataError if images of one group are in two splits."""
    split_of_group: dict[str, str] = {}
    for name, group in groups.items():
        split = split_of.get(name)
        if split and split_of_group.setdefault(group, split) != split:
            raise DataError(
                f"{file}: images of group {group!r} are in {split_of_group[group]!r} and in {split!r}, "
                f"e.g. {name!r}; a group belongs to one split"
            )


def _drawn(
    names: Sequence[str], split: str, splits: Mapping[str, int | float], groups: Mapping[str, str], seed: int
) -> list[str]:
    """Return the names of a split: groups in the order of their hashes fill one split after the other."""
    counts = _counts(splits, len(names))
    if split not in counts:
        raise DataError(f"splits: no split {split!r}; {suggestion(split, counts)}")
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(groups.get(name, name), []).append(name)
    waiting = sorted(members, key=lambda group: hashlib.sha256(f"{seed}\0{group}".encode()).digest(), reverse=True)
    for other, count in counts.items():
        drawn: list[str] = []
        while waiting and len(drawn) < count:
            drawn += members[waiting.pop()]
        if not drawn or (isinstance(splits[other], int) and len(drawn) < count):
            raise DataError(f"splits: {other!r} gets {len(drawn)} of {count} images; there are {len(names)}")
        if other == split:
            return drawn
    raise AssertionError("the split is one of the splits")


def _counts(splits: Mapping[str, int | float], total: int) -> dict[str, int]:
    """Return how many images each split gets; shares that sum to 1 leave none out."""
    if all(isinstance(value, int) and value > 0 for value in splits.values()):
        return {name: int(value) for name, value in splits.items()}
    whole = sum(splits.values())
    if not all(isinstance(value, float) and 0 < value <= 1 for value in splits.values()) or whole > 1 + 1e-9:
        raise DataError(f"splits: {splits}: give counts (whole numbers), or shares (0 to 1, together at most 1)")
    counts: dict[str, int] = {}
    end = 0.0
    for name, share in splits.items():
        start, end = end, end + share
        counts[name] = max(1, round(end * total) - round(start * total))
    return counts
