"""Ways to say which files are pairs: layouts of known data sets, templates of names, a CSV file, and parts of them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmark.data.pairing import LAYOUTS
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.errors import DataError


def save(*files: Path) -> None:
    """A picture whose colour tells the file's folder: red in the first letter's number."""
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (sum(file.as_posix().encode()) % 256, 0, 0)).save(file)


def names(source: PairedFolders) -> list[str]:
    return [source.read(index).name for index in range(len(source))]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_known_layouts_are_two_folders(tmp_path: Path, layout: Any) -> None:
    """A layout gives the pairs, and the fingerprint, of its two folders named one by one."""
    degraded, target = (tmp_path / name for name in LAYOUTS[layout])
    save(degraded / "a.png", degraded / "sub/b.png", target / "a.png", target / "sub/b.png")
    source, same = PairedFolders(root=tmp_path, layout=layout), PairedFolders(degraded, target)
    assert names(source) == names(same) == ["a", "sub/b"]
    assert source.fingerprint == same.fingerprint


def test_a_layout_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """The message has the folder that was looked for."""
    with pytest.raises(DataError, match=r"lq: no such folder"):
        PairedFolders(root=tmp_path, layout="basicsr")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"degraded": Path("a")},
        {"root": Path("a")},
        {"layout": "gopro"},
        {"degraded": Path("a"), "target": Path("b"), "root": Path("c")},
        {"degraded": Path("a"), "root": Path("b"), "layout": "gopro"},
        {"pairs": Path("a.csv"), "root": Path("b")},
        {"pairs": Path("a.csv"), "degraded_name": "{id}"},
    ],
)
def test_pairs_are_named_in_one_way(options: dict[str, Any]) -> None:
    """No way, half a way and two ways are mistakes, reported before any folder is read."""
    with pytest.raises(DataError, match=r"give degraded and target, or root|leave out the other options"):
        PairedFolders(**options)


def test_templates_pair_different_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As in SIDD: one folder, names that differ in a word; what fits neither is passed over, and counted."""
    save(*(tmp_path / f"{i}_{word}_010.png" for i in ("0001", "0002") for word in ("NOISY", "GT")), tmp_path / "x.png")
    templates = {"degraded_name": "{id}_NOISY_{part}", "target_name": "{id}_GT_{part}"}
    source = PairedFolders(tmp_path, tmp_path, **templates)
    assert names(source) == ["0001_010", "0002_010"]
    assert caplog.messages == [f"{tmp_path}: 1 image passed over, as no template fits: x.png ..."]
    assert [file.name for file in source.files[:2]] == ["0001_NOISY_010.png", "0001_GT_010.png"]
    (tmp_path / "0002_GT_010.png").unlink()
    with pytest.raises(DataError, match="'0002_010' has no partner"):
        PairedFolders(tmp_path, tmp_path, **templates)


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        (("{id}", None), "give both"),
        (("a", "b"), "expected a name with a field in braces"),
        (("{id}_{id}", "{id}"), "each once"),
        (("{id}", "{name}"), "different fields"),
        (("{id}_x", "{id}_y"), "no image name fits the template '{id}_x'"),
        (("{id}", "{id}"), "degraded and target are the same images"),
    ],
)
def test_templates_that_cannot_be_meant_are_errors(
    tmp_path: Path, templates: tuple[str, str | None], message: str
) -> None:
    """Each mistake has its message."""
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match=message):
        PairedFolders(tmp_path, tmp_path, degraded_name=templates[0], target_name=templates[1])


def test_fields_that_join_to_one_name_are_errors(tmp_path: Path) -> None:
    """`x` and `y_z` are not `x_y` and `z`, though both pairs would be called `x_y_z`."""
    for name in ("noisy/x-y_z.png", "clean/x_y+z.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    with pytest.raises(DataError, match=r"x_y\+z\.png: its fields .* of another image give one name, 'x_y_z'"):
        PairedFolders(tmp_path / "noisy", tmp_path / "clean", degraded_name="{a}-{b}", target_name="{a}+{b}")


def test_signs_in_templates_are_signs(tmp_path: Path) -> None:
    """A dot or a bracket of a template stands for itself."""
    save(tmp_path / "a/x(1).low.png", tmp_path / "a/x(1)low.png", tmp_path / "b/x(1).png")
    source = PairedFolders(tmp_path / "a", tmp_path / "b", degraded_name="{id}.low", target_name="{id}")
    assert names(source) == ["x(1)"]


def test_csv_files_pair_anything(tmp_path: Path) -> None:
    """Paths are relative to the file; a pair may have a name; several pairs may share a target."""
    save(tmp_path / "in/a, b.png", tmp_path / "in/c.png", tmp_path / "out/<x>.png")
    file = tmp_path / "pairs.csv"
    file.write_text('degraded,target,name\n"in/a, b.png",out/<x>.png,\nin/c.png,out/<x>.png,second\n')
    source = PairedFolders(pairs=file)
    assert names(source) == ["in/a, b", "second"]
    assert source.subjects == {str((tmp_path / path).resolve()) for path in ("in/a, b.png", "in/c.png", "out/<x>.png")}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("degraded;target\na.png;b.png\n", "no column 'degraded' in its first line; it has degraded;target"),
        ("degraded,target\n", "no lines below the header"),
        ("degraded,target\na.png,gone.png\n", r"entry 2: .*gone\.png: no such file; paths are relative"),
        ("degraded,target\na.png,a.png\n", "given as degraded and as target"),
        ("degraded,target\na.png,b.png\na.png,b.png\n", "entry 3: 'a' stands twice"),
        ("degraded,target\na.png,\n", "entry 2: 'target' is empty"),
        ("degraded,target,name\na.png,b.png,../x\n", "leads out of the folder"),
    ],
)
def test_bad_csv_files_are_errors(tmp_path: Path, lines: str, message: str) -> None:
    """With the file, the line and what is expected."""
    save(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "pairs.csv").write_text(lines)
    with pytest.raises(DataError, match=message):
        PairedFolders(pairs=tmp_path / "pairs.csv")
    with pytest.raises(DataError, match="not a readable CSV file"):
        PairedFolders(pairs=tmp_path / "nowhere.csv")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Twelve pairs of four people in the layout of BasicSR."""
    folder = tmp_path / "people"
    save(
        *(folder / side / f"p{person}_{shot}.png" for side in ("lq", "gt") for person in range(4) for shot in range(3))
    )
    return folder


def test_parts_of_pairs_share_no_file_and_no_group(people: Path) -> None:
    """By shares and people: every pair in one part, every person in one part, as `subjects` shows."""
    groups = people / "people.csv"
    groups.write_text("image,group\n" + "".join(f"p{p}_{shot}.png,{p}\n" for p in range(4) for shot in range(3)))
    parts = {"train": 0.5, "test": 0.5}
    train, test = (
        PairedFolders(root=people, layout="basicsr", split=split, splits=parts, groups=groups) for split in parts
    )
    assert len(train) == len(test) == 6 and not set(names(train)) & set(names(test))
    assert not train.subjects & test.subjects
    assert len(train.subjects) == 2 * 6 + 2
    drawn = PairedFolders(root=people, layout="basicsr", split="test", splits=parts, split_seed=3)
    assert len(drawn) == 6 and drawn.subjects & train.subjects


def test_a_split_file_beside_the_folders_is_found(people: Path) -> None:
    """`splits.json` in the root needs not be named; the suffix is that of either image."""
    (people / "splits.json").write_text(json.dumps({"val": ["p0_0.png", "p3_2"]}))
    assert names(PairedFolders(root=people, layout="basicsr", split="val")) == ["p0_0", "p3_2"]
    (people / "splits.json").write_text(json.dumps({"val": ["p0_0.bmp"]}))
    with pytest.raises(DataError, match=r"'val' lists 'p0_0\.bmp'"):
        PairedFolders(root=people, layout="basicsr", split="val")


def test_all_pairs_as_two_folders_are_the_same_data(people: Path, tmp_path: Path) -> None:
    """How pairs were found, and where they lie, is no part of the fingerprint: only which pixels they are."""
    lists = people / "all.json"
    lists.write_text(json.dumps({"all": [f"p{person}_{shot}" for person in range(4) for shot in range(3)]}))
    whole = PairedFolders(people / "lq", people / "gt")
    assert PairedFolders(people / "lq", people / "gt", split="all", splits=lists).fingerprint == whole.fingerprint
    shutil.copytree(people / "gt", tmp_path / "gt", copy_function=shutil.copy)
    assert PairedFolders(people / "lq", tmp_path / "gt").fingerprint == whole.fingerprint
