"""The user's own pairs: read as they are, refused with reasons."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.sources.paired_folders import PairedFolders, read_image
from benchmark.errors import DataError


@pytest.fixture
def folders(pairs: Path, tmp_path: Path) -> tuple[Path, Path]:
    copy = tmp_path / "pairs"
    shutil.copytree(pairs / "test", copy)
    return copy / "degraded", copy / "target"


def test_pairs_have_equal_names(folders: tuple[Path, Path]) -> None:
    """Files pair by name, whatever their format and sub-folder, in the order of names."""
    degraded, target = folders
    for side in folders:
        (side / "more & <odd> names").mkdir()
        Image.new("RGB", (8, 8), "red").save(side / "more & <odd> names" / "émile 'x'.png")
    Image.open(target / "picture_01.png").save(target / "picture_01.bmp")
    (target / "picture_01.png").unlink()
    source = PairedFolders(degraded, target)
    names = [source.read(index).name for index in range(len(source))]
    assert names == ["more & <odd> names/émile 'x'", "picture_00", "picture_01", "picture_02"]


def test_the_fingerprint_follows_the_files(folders: tuple[Path, Path]) -> None:
    """Equal files, equal fingerprint; a file that was rewritten changes it."""
    before = PairedFolders(*folders).fingerprint
    assert PairedFolders(*folders).fingerprint == before
    file = folders[0] / "picture_00.png"
    os.utime(file, ns=(0, 123))
    assert PairedFolders(*folders).fingerprint != before


def test_missing_folders_and_partners_are_told(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """No folder, no images, a file without partner, two files of one name: each has its message."""
    degraded, target = folders
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no such folder"):
        PairedFolders(tmp_path / "nowhere", target)
    with pytest.raises(DataError, match="no images in it"):
        PairedFolders(degraded, tmp_path / "empty")
    (target / "picture_02.png").rename(target / "picture_03.png")
    with pytest.raises(DataError, match=r"degraded: 'picture_02' has no partner .*target \(2 images without one\)"):
        PairedFolders(degraded, target)
    Image.new("RGB", (8, 8)).save(target / "picture_00.bmp")
    with pytest.raises(DataError, match="has the same name"):
        PairedFolders(degraded, target)


def test_sizes_must_agree(folders: tuple[Path, Path]) -> None:
    """A pair of different sizes is named with both."""
    Image.new("RGB", (10, 20)).save(folders[1] / "picture_00.png")
    with pytest.raises(DataError, match="64x64 and 10x20"):
        PairedFolders(*folders).read(0)


@pytest.mark.parametrize("content", [b"", b"just text", b"\x89PNG\r\n\x1a\n broken"])
def test_unreadable_images_are_named(tmp_path: Path, content: bytes) -> None:
    """An empty file, a text and a torn header named .png are told with their path."""
    file = tmp_path / "x.png"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.png: not a readable image"):
        read_image(file)


def test_a_truncated_image_is_named(folders: tuple[Path, Path]) -> None:
    """A PNG cut in its middle is refused, not filled with grey."""
    file = folders[0] / "picture_00.png"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"picture_00\.png: not a readable image"):
        read_image(file)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    """Grey, alpha, palette and CMYK images are read as 8-bit RGB."""
    file = tmp_path / "x.tif"
    Image.new("RGB", (5, 4), "white").convert(mode).save(file)
    image = read_image(file)
    assert image.shape == (4, 5, 3) and image.dtype == np.uint8
    assert (image > 250).all()


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    """A picture stored lying with a note to turn it is read upright."""
    file = tmp_path / "x.jpg"
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (8, 4)).save(file, exif=exif)
    assert read_image(file).shape == (8, 4, 3)
