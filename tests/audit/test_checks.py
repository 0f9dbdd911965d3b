"""From measures to findings: files, levels, splits; and the experiment made of what is left."""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageCms, ImageFilter

from benchmark.audit import Finding
from benchmark.audit.checks import find_all
from benchmark.audit.measurements import PairMeasurements, match_folders, measure_files, measure_sources
from benchmark.audit.starter_experiment import link_pairs, safe_name, split_pairs
from benchmark.audit.starter_recipe import FEW_STEPS, Traits, recipe_text
from benchmark.data import Pair, Source
from benchmark.data.image_io import write_pairs
from benchmark.data.sources.synthetic_faces import SyntheticFaces

Audit = Callable[[], dict[str, Finding]]


class CroppedFaces(SyntheticFaces):
    """Drawn faces without a margin of 3 pixels: the camera's JPEG leaves no blocks that begin in the corner."""

    def read(self, index: int) -> Pair:
        return super().read(index).map_spatial(lambda pixels: pixels[3:-3, 3:-3])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven spotted faces of 96 px in `degraded` and `target`."""
    list(write_pairs(CroppedFaces(preset="severe", count=7, size=102, seed=5), 7, tmp_path, 1, with_maps=False))
    return tmp_path


@pytest.fixture
def audit(folder: Path) -> Audit:
    def run() -> dict[str, Finding]:
        folders = match_folders(folder / "degraded", folder / "target")
        measured = [measure_files(folders.pairs, index) for index in range(len(folders.pairs))]
        return {finding.check: finding for finding in find_all(measured, folders, {})}

    return run


def test_sound_pairs_give_no_finding(audit: Audit) -> None:
    """Drawn pairs have nothing to mend and nothing to look at."""
    assert audit() == {}


def test_files_that_no_run_can_use(audit: Audit, folder: Path) -> None:
    """Partners that miss, sizes that differ, files cut off and specks of images: each has its finding."""
    target = folder / "target"
    (target / "face_0000.png").rename(target / "other.png")
    Image.open(target / "face_0001.png").resize((80, 80)).save(target / "face_0001.png")
    (target / "face_0002.png").write_bytes((target / "face_0002.png").read_bytes()[:2000])
    for role in ("degraded", "target"):
        Image.new("RGB", (1, 1)).save(folder / role / "speck.png")
    found = audit()
    assert {case.pair for case in found["unpaired"].cases} == {"face_0000", "other"}
    assert [(case.pair, case.detail) for case in found["sizes"].cases] == [
        ("face_0001", "degraded 96x96, target 80x80 px")
    ]
    assert [case.pair for case in found["unreadable"].cases] == ["face_0002"]
    assert [case.pair for case in found["tiny"].cases] == ["speck"]
    assert all(finding.severity == "error" for finding in found.values())


def test_pairs_that_mislead(audit: Audit, folder: Path) -> None:
    """A moved image, a swapped pair, another face as target, a copy and an untouched image are found."""
    degraded, target = folder / "degraded", folder / "target"
    moved = np.roll(np.asarray(Image.open(degraded / "face_0000.png")), 2, axis=1)
    Image.fromarray(moved).save(degraded / "face_0000.png")
    (degraded / "face_0001.png").rename(folder / "kept.png")
    (target / "face_0001.png").rename(degraded / "face_0001.png")
    (folder / "kept.png").rename(target / "face_0001.png")
    Image.fromarray(np.rot90(np.asarray(Image.open(target / "face_0002.png")))).save(target / "face_0002.png")
    for role in (degraded, target):
        (role / "copy.png").write_bytes((role / "face_0003.png").read_bytes())
    (target / "face_0004.png").write_bytes((degraded / "face_0004.png").read_bytes())
    found = audit()
    cases = {check: [case.pair for case in finding.cases] for check, finding in found.items()}
    assert cases["shifted"] == ["face_0000"]
    to_the_right = re.search(r"([+-][\d.]+) px further right", found["shifted"].cases[0].detail)
    assert to_the_right and float(to_the_right[1]) == pytest.approx(2, abs=0.05)
    assert cases["swapped"] == ["face_0001"]
    assert cases["unrelated"] == ["face_0002"]
    assert cases["duplicates"] == ["copy = face_0003"]
    assert cases["equal"] == ["face_0004"]


def test_files_of_other_kinds(audit: Audit, folder: Path) -> None:
    """16 bits, CMYK, alpha, JPEG and a colour profile on one side of a pair are reported with what is done to them."""
    degraded, target = folder / "degraded", folder / "target"
    pixels = np.asarray(Image.open(target / "face_0000.png").convert("L")).astype(np.uint16) * 257
    Image.fromarray(pixels).save(target / "face_0000.png")
    Image.open(degraded / "face_0001.png").convert("CMYK").save(degraded / "face_0001.tif")
    (degraded / "face_0001.png").unlink()
    Image.open(target / "face_0002.png").convert("RGBA").save(target / "face_0002.png")
    Image.open(target / "face_0003.png").save(target / "face_0003.jpg", quality=95)
    (target / "face_0003.png").unlink()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.open(target / "face_0004.png").save(target / "face_0004.png", icc_profile=lab)
    Image.open(target / "face_0005.png").save(target / "face_0005.png", icc_profile=srgb)
    found = audit()
    details = {case.pair: case.detail for case in found["files"].cases}
    assert "the upper 8 bits" in details["face_0000"] and details["face_0001"].endswith("by the plain formula")
    assert "alpha is dropped" in details["face_0002"] and "ignored" in details["face_0004"]
    assert "face_0003" not in details and "face_0005" not in details
    assert [case.pair for case in found["profiles"].cases] == ["face_0004"]
    assert [case.pair for case in found["jpeg"].cases] == ["face_0003"]


def test_files_of_one_kind_make_one_line(audit: Audit, folder: Path) -> None:
    """Not one for each file; PNG beside JPEG is no defect; files that are not read are counted by suffix."""
    for index in range(3):
        file = folder / f"degraded/face_000{index}.png"
        Image.open(file).save(file.with_suffix(".jpg"), quality=95)
        file.unlink()
    for name in ("a.heic", "b.HEIC", "notes.txt"):
        (folder / "target" / name).write_text("")
    for index in (3, 4):
        file = folder / f"target/face_000{index}.png"
        Image.open(file).convert("RGBA").save(file)
    cases = {check: [(case.pair, case.detail) for case in finding.cases] for check, finding in audit().items()}
    assert cases == {
        "files": [("2 files, e.g. face_0003", "target: RGBA of 8 bits, alpha is dropped")],
        "others": [("2 files, e.g. a.heic", "target: .heic"), ("notes.txt", "target: .txt")],
    }


def test_mirrored_copies_are_found(audit: Audit, folder: Path) -> None:
    """A set that was augmented on disk counts its pictures twice."""
    for role in ("degraded", "target"):
        image = Image.open(folder / role / "face_0003.png")
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / role / "other.png")
    found = audit()
    assert [(case.pair, case.detail) for case in found["duplicates"].cases] == [("face_0003 = other", "mirrored")]


def test_one_face_in_two_splits_spoils_a_comparison() -> None:
    """The same faces in train and test are found across splits, with the names of both."""
    faces: Source = SyntheticFaces(preset="severe", count=2, size=64, seed=1)
    sources = (("train", faces), ("test", SyntheticFaces(preset="severe", count=3, size=64, seed=1)))
    findings = find_all([measure_sources(sources, index) for index in range(5)], None, {})
    (across,) = [finding for finding in findings if finding.check == "across"]
    assert across.severity == "error"
    assert [case.pair for case in across.cases] == [
        "train: face_0000 = test: face_0000",
        "train: face_0001 = test: face_0001",
    ]


def test_pairs_that_only_lack_detail_are_sound(audit: Audit, folder: Path) -> None:
    """Strong blur is neither a shift nor another picture, and equal images are called equal alone."""
    for file in (folder / "target").iterdir():
        Image.open(file).filter(ImageFilter.GaussianBlur(5)).save(folder / "degraded" / file.name)
    (folder / "degraded/face_0000.png").write_bytes((folder / "target/face_0000.png").read_bytes())
    assert set(audit()) <= {"equal", "psnr"} and len(audit()["equal"].cases) == 1


def test_copies_stay_in_one_split(folder: Path) -> None:
    """Every pair comes into one split, none stays empty, and copies of a picture are together."""
    for role in ("degraded", "target"):
        for name in ("copy", "another"):
            (folder / role / f"{name}.png").write_bytes((folder / role / "face_0003.png").read_bytes())
    pairs = match_folders(folder / "degraded", folder / "target").pairs
    measured = [
        one for one in map(partial(measure_files, pairs), range(len(pairs))) if isinstance(one, PairMeasurements)
    ]
    parts = split_pairs(measured)
    assert parts is not None and all(parts.values())
    assert sorted(name for names in parts.values() for name in names) == sorted(one.name for one in measured)
    assert [{"copy", "another", "face_0003"} <= set(names) for names in parts.values()].count(True) == 1
    assert split_pairs(measured[:2]) is None


def test_names_of_experiments_are_plain() -> None:
    """Whatever the folder is called, the experiment's name is one that a file may have."""
    assert [safe_name(name) for name in ("my pairs", "<script>", "été", "...", "a.b-c")] == [
        "my_pairs",
        "script",
        "t",
        "data",
        "a.b-c",
    ]


@pytest.mark.parametrize("name", ["2024", "null", "1e5", "true", "2024-01-02", "faces"])
def test_a_folder_may_be_called_like_a_number(name: str) -> None:
    """The experiment's name is text, whatever YAML would take the bare word for."""
    traits = Traits((96, 96), 96, spot_share=0.01, spot_energy=0.9)
    text = recipe_text("By a test.", name, {"train": ["a"], "val": ["b"], "test": ["c"]}, traits, FEW_STEPS, ())
    assert yaml.safe_load(text)["name"] == name


def test_old_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    """Where links that are there cannot be cleared away, nothing is laid and the user's images stay as they are."""
    pairs = match_folders(folder / "degraded", folder / "target").pairs
    first, second = pairs[:2]
    elsewhere, output = tmp_path / "elsewhere", tmp_path / "output"
    (elsewhere / "test/target").mkdir(parents=True)
    output.mkdir()
    (output / "pairs").symlink_to(elsewhere)  # what stands behind a link is not cleared away
    (elsewhere / f"test/target/{first.name}.png").symlink_to(second.target)
    before = {path: path.read_bytes() for path in (first.target, second.target)}
    with pytest.raises(OSError, match="symbolic link"):
        link_pairs({"test": [first.name]}, pairs, output)
    assert {path: path.read_bytes() for path in before} == before


@dataclass(frozen=True, eq=False)
class Alone(PairMeasurements):
    """PairMeasurements that must not be compared."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("each pair is compared with the others: that takes hours for a large set")

    __hash__ = None  # type: ignore[assignment]


def test_jpeg_is_found_without_comparing_all_pairs(folder: Path) -> None:
    """What is known of a pair alone takes no look at the others."""
    for file in (folder / "target").glob("*.png"):
        Image.open(file).save(file.with_suffix(".jpg"), quality=60)
        file.unlink()
    pairs = match_folders(folder / "degraded", folder / "target").pairs
    measured = [
        one for one in map(partial(measure_files, pairs), range(len(pairs))) if isinstance(one, PairMeasurements)
    ]
    alone = [
        Alone(**{field.name: getattr(replace(one, block_grid=True), field.name) for field in fields(one)})
        for one in measured
    ]
    (jpeg,) = [finding for finding in find_all(alone, None, {}) if finding.check == "jpeg"]
    assert [(case.pair, case.detail) for case in jpeg.cases] == [
        (f"{len(pairs)} files, e.g. face_0000", "saved as JPEG")
    ]
