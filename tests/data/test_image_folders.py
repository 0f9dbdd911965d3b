"""What a walk through a folder takes, what it leaves out, and what it tells."""

import logging
import shutil
from pathlib import Path

import pytest
from PIL import Image

from benchmark.data.image_folders import images_in, list_folder
from benchmark.data.sources.paired_folders import PairedFolders
from benchmark.errors import DataError


def save(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(file, "PNG")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "sub/b.JFIF", "sub/c.jpe"):
        save(tmp_path / "in" / name)
    return tmp_path / "in"


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "sub/@eaDir/b.png", ".thumbnails/a.png", "__MACOSX/._a.png",
        "__MACOSX/a.png", "#recycle/old.png", "$RECYCLE.BIN/old.png", "lost+found/1.png", "._a.png", ".hidden.png",
        "Thumbs.db", "desktop.ini", ".DS_Store",
    ],
)  # fmt: skip
def test_files_of_the_system_are_left_out(folder: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Thumbnails of a network drive, deleted and hidden files are no data, and nobody needs to hear of them."""
    save(folder / name)
    assert list(images_in(folder)) == ["a", "sub/b", "sub/c"]
    assert list_folder(folder).others == [] and caplog.messages == []


def test_thumbnails_in_both_folders_do_not_double_the_pairs(pairs: Path, tmp_path: Path) -> None:
    """The drive makes them for degraded images and targets alike, so they would pair."""
    copy = Path(shutil.copytree(pairs / "val", tmp_path / "val"))
    before = PairedFolders(copy / "degraded", copy / "target")
    for side in ("degraded", "target"):
        save(copy / side / "@eaDir/picture_00.png/SYNOFILE_THUMB_M.png")
    after = PairedFolders(copy / "degraded", copy / "target")
    assert len(after) == len(before) == 2 and after.fingerprint == before.fingerprint


def test_files_that_are_passed_over_are_counted_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line says how many files of each suffix were read and were not; tables of splits are no matter."""
    for name in ("x.heic", "sub/y.HEIC", "z.txt", "noend", "splits.json", "groups.csv"):
        (folder / name).write_text("")
    with caplog.at_level(logging.WARNING):
        assert list(images_in(folder)) == list(images_in(folder)) == ["a", "sub/b", "sub/c"]
    (message,) = caplog.messages
    assert message.startswith(
        f"{folder}: 3 images read (1 png, 1 jfif, 1 jpe), 6 files passed over "
        "(2 heic, 1 csv, 1 without suffix, 1 json, 1 txt); allowed: PNG, JPEG, WebP, AVIF"
    )


def test_tables_alone_are_no_news(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A `splits.json` beside the images is where it belongs."""
    (folder / "splits.json").write_text("{}")
    assert len(images_in(folder)) == 3 and caplog.messages == []


def test_a_partner_of_another_format_is_the_reason(pairs: Path, tmp_path: Path) -> None:
    """It lies there and is not missing; with a suffix that is read, it is a partner."""
    copy = Path(shutil.copytree(pairs / "val", tmp_path / "val"))
    file = copy / "target/picture_00.png"
    file.rename(file.with_suffix(".heic"))
    with pytest.raises(DataError, match=r"'picture_00' has no partner .*; picture_00\.heic there is of no format"):
        PairedFolders(copy / "degraded", copy / "target")
    Image.open(file.with_suffix(".heic")).save(file.with_suffix(".jfif"), "JPEG")
    assert len(PairedFolders(copy / "degraded", copy / "target")) == 2


def test_a_folder_without_images_says_what_it_has(tmp_path: Path) -> None:
    """The suffixes are the hint."""
    for name in ("a.heic", "b.heic", "c.cr2"):
        (tmp_path / name).write_text("")
    with pytest.raises(DataError, match=r"no images in it but 2 heic, 1 cr2; expected PNG, JPEG"):
        images_in(tmp_path)


def test_of_many_suffixes_the_message_names_a_few(tmp_path: Path) -> None:
    """A folder such as /etc has dozens of them."""
    for number in range(30):
        (tmp_path / f"a.{number:02d}x").write_text("")
    (tmp_path / "b.07x").write_text("")
    with pytest.raises(DataError, match=r"no images in it but 2 07x, 1 00x, 1 01x, 1 02x, 26 others; expected PNG"):
        images_in(tmp_path)


def test_a_pipe_in_a_folder_is_no_image(folder: Path) -> None:
    """It is counted among the others, whatever it is called, and nothing waits for it."""
    (folder / "pipe.png").symlink_to("/dev/zero")
    assert [file.name for file in list_folder(folder).others] == ["pipe.png"]
