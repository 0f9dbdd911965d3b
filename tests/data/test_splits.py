"""Splits of a folder: by list, count, share and group; never an image in two."""

import json
import os
import re
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.data.splits import Splits, SplitSpec, read_groups, select_split
from benchmark.errors import DataError

NOWHERE = Path("nowhere.json")
SHARES: Splits = {"train": 0.7, "val": 0.1, "test": 0.2}


def files(count: int) -> dict[str, tuple[Path]]:
    return {f"i{index:03d}": (Path(f"i{index:03d}.png"),) for index in range(count)}


def take(count: int, split: str | None, parts: Splits | None, groups: dict[str, str] | None = None, seed: int = 0):
    """The names of a split of `count` images; `groups`: group by name, of the first images."""
    with TemporaryDirectory() as folder:
        lines = [f"{name},{(groups or {}).get(name, name)}\n" for name in files(count)]
        groups_file = Path(folder) / "groups.csv" if groups else None
        if groups_file:
            groups_file.write_text("image,group\n" + "".join(lines))
        return select_split(files(count), SplitSpec(split, parts, groups_file, seed), NOWHERE)[0]


@settings(max_examples=30)
@given(st.integers(10, 300), st.integers(0, 9))
def test_shares_part_all_images(count: int, seed: int) -> None:
    """Each image is in exactly one part, and parts are as large as asked for, to an image."""
    parts = {split: take(count, split, SHARES, seed=seed) for split in ("train", "val", "test")}
    assert sorted(name for names in parts.values() for name in names) == sorted(files(count))
    assert all(abs(len(parts[split]) - share * count) <= 1 for split, share in SHARES.items())
    assert all(names == sorted(names) for names in parts.values())


def test_another_seed_draws_other_parts() -> None:
    """And the same seed the same ones."""
    assert take(100, "val", SHARES) == take(100, "val", SHARES) != take(100, "val", SHARES, seed=1)


def test_counts_are_exact() -> None:
    """Images beyond them belong to no part; too few are an error."""
    parts: Splits = {"train": 5, "test": 3}
    train, test = take(10, "train", parts), take(10, "test", parts)
    assert (len(train), len(test)) == (5, 3) and not set(train) & set(test)
    with pytest.raises(DataError, match="'test' gets 1 of 3 images; there are 6"):
        take(6, "test", parts)


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), min_size=30, max_size=80), st.integers(0, 9))
def test_groups_are_never_cut(people: list[int], seed: int) -> None:
    """All images of a person are in one part, and a part is too large by less than a person."""
    groups = {name: str(person) for name, person in zip(files(len(people)), people, strict=True)}
    largest = max(people.count(person) for person in people)
    seen: dict[str, str] = {}
    for split, share in {"train": 0.5, "test": 0.2}.items():
        try:
            names = take(len(people), split, {"train": 0.5, "test": 0.2}, groups, seed)
        except DataError:  # a few large groups may leave nothing over
            assert largest > 0.3 * len(people)
            continue
        assert all(seen.setdefault(groups[name], split) == split for name in names)
        assert len(names) < share * len(people) + largest + 1


def listed(folder: Path, suffix: str) -> Path:
    file = folder / f"splits{suffix}"
    if suffix == ".json":
        file.write_text(json.dumps({"train": ["i000.png", "i002"], "test": ["i001.png"]}))
    else:
        file.write_text("\ufeffimage,split\ni000.png,train\n i002 , train\ni001.png,test\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_lists_are_followed(tmp_path: Path, suffix: str) -> None:
    """JSON and CSV, with or without suffix of the image, with the byte-order mark of a spreadsheet."""
    file = listed(tmp_path, suffix)
    assert take(4, "train", file) == ["i000", "i002"]
    assert take(4, "test", file) == ["i001"]
    with pytest.raises(DataError, match=r"no split 'tset'; did you mean 'test'"):
        take(4, "tset", file)
    with pytest.raises(DataError, match="'train' lists 'i002', which is no image"):
        take(2, "train", file)


def test_lists_that_contradict_themselves_are_errors(tmp_path: Path) -> None:
    """An image in two splits, and a person in two splits, with both names."""
    file = tmp_path / "s.csv"
    file.write_text("image,split\ni000,train\ni000.png,test\n")
    with pytest.raises(DataError, match="'i000' is in 'train' and in 'test'"):
        take(2, "test", file)
    file.write_text("image,split\ni000,train\ni001,test\n")
    with pytest.raises(DataError, match=r"images of group 'anna' are in 'train' and in 'test', e\.g\. 'i001'"):
        take(2, "test", file, {"i000": "anna", "i001": "anna"})


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": 0.8, "test": 2}, "give counts"),
        ({"train": 0.8, "test": 0.3}, "give counts"),
        ({"train": -1}, "give counts"),
        ({"val": 3}, "no split 'train'; known: val"),
    ],
)
def test_parts_that_cannot_be_meant_are_errors(parts: Splits, message: str) -> None:
    """Mixed, too large, negative, not the one asked for."""
    with pytest.raises(DataError, match=message):
        take(10, "train", parts)


def test_parts_without_a_name_are_errors() -> None:
    """Nobody knows which part is meant."""
    assert take(3, None, None) == list(files(3))
    with pytest.raises(DataError, match="splits is given without split"):
        take(3, None, SHARES)


def test_every_image_has_a_group(tmp_path: Path) -> None:
    """Groups come from a CSV file; a column or an image that is missing, and an empty cell, are errors."""
    file = tmp_path / "people.csv"
    file.write_text("image,group,age\nsub/a.png,anna,30\nb,bo,31\n")
    assert read_groups(file, ["sub/a", "b"]) == {"sub/a": "anna", "b": "bo"}
    assert read_groups(None, ["b"]) == {}
    with pytest.raises(DataError, match=re.escape("no group for 'c' (1 image without one)")):
        read_groups(file, ["b", "c"])
    for text, message in (
        ("image,person\nb,bo\n", "no column 'group' in its first line; it has image, person"),
        ("image,group\nb,\n", "entry 2: 'group' is empty"),
        ("image,group\n", "no lines below the header"),
        ("image,group\nb,bo\na,anna\nb,anna\n", "'b' is in 'bo' and in 'anna'; an image belongs to one group"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            read_groups(file, ["b"])
    file.write_bytes(b"image,group\n\xff,bo\n")
    with pytest.raises(DataError, match="not a readable CSV file"):
        read_groups(file, ["b"])


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("name", ["splits.json", "splits.csv", "groups.csv"])
def test_a_pipe_is_no_table(tmp_path: Path, name: str) -> None:
    """Nobody writes into it: the command would wait for ever."""
    file = tmp_path / name
    os.mkfifo(file)
    splits, groups = (file, None) if name.startswith("splits") else ({"train": 1}, file)
    signal.alarm(20)
    try:
        with pytest.raises(DataError, match=rf"{name}: not a readable .*is a pipe, not a regular file"):
            select_split({"a": [tmp_path / "a.png"]}, SplitSpec("train", splits, groups, 0), file)
    finally:
        signal.alarm(0)
