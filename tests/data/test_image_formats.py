"""Which files are images: nine formats by content, and nothing else that Pillow would open."""

import ast
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from benchmark.data.image_io import FORMATS, SUFFIXES, file_bits, read_image
from benchmark.errors import DataError

RAMP = np.stack(np.broadcast_arrays(*np.ogrid[0:240:16, 15:255:16], 128), -1).astype(np.uint8)
"""A smooth picture of 15 x 15 pixels."""
LOSSY_LEVELS = {"JPEG": 6, "AVIF": 12, "GIF": 26}
OPTIONS = {"JPEG": {"quality": 100, "subsampling": "4:4:4"}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}


@pytest.mark.parametrize(
    ("name", "suffix"), [(name, suffix) for name, suffixes in FORMATS.items() for suffix in suffixes]
)
def test_every_format_is_read_under_every_suffix(tmp_path: Path, name: str, suffix: str) -> None:
    """The pixels come back, exactly or as nearly as the format keeps them; binary PPM files hold grey or colour."""
    file = tmp_path / f"x{suffix}"
    Image.fromarray(RAMP).save(file, name, **OPTIONS.get(name, {}))
    image = read_image(file)
    assert image.dtype == np.uint8 and image.shape == RAMP.shape
    assert np.abs(image.astype(int) - RAMP).max() <= LOSSY_LEVELS.get(name, 0)
    assert suffix in SUFFIXES and file_bits(file) == 8


def test_the_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    """A JPEG that is called .png is read as what it is."""
    Image.fromarray(RAMP).save(tmp_path / "x.png", "JPEG", quality=100)
    assert np.abs(read_image(tmp_path / "x.png").astype(int) - RAMP).max() < 26


@pytest.mark.parametrize("largest", [65535, 1023])
def test_grey_ppm_of_more_than_8_bits_is_scaled(tmp_path: Path, largest: int) -> None:
    """Its upper 8 bits are read, white is white, and the header says that there are more."""
    values = np.array([0, largest // 2 + 1, largest], ">u2")
    (tmp_path / "deep.pgm").write_bytes(f"P5 3 1 {largest} ".encode() + values.tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "deep.pgm")[0, :, 0], [0, 128, 255])
    assert file_bits(tmp_path / "deep.pgm") == 16


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif", ".avif"])
def test_the_first_of_several_frames_is_read(tmp_path: Path, suffix: str) -> None:
    """An animation and a document of several pages show their first picture."""
    first, second = Image.new("RGB", (8, 6), (255, 0, 0)), Image.new("RGB", (8, 6), (0, 0, 255))
    first.save(tmp_path / f"x{suffix}", save_all=True, append_images=[second])
    assert np.abs(read_image(tmp_path / f"x{suffix}").astype(int) - (255, 0, 0)).max() <= 6


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    """The smallest image there is comes back as it is."""
    Image.new("RGB", (1, 1), (9, 8, 7)).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png").tolist() == [[[9, 8, 7]]]


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt"])
def test_long_texts_in_png_do_not_matter(tmp_path: Path, kind: str) -> None:
    """Image generators keep their workflow there, of megabytes; the pixels are read."""
    info = PngImagePlugin.PngInfo()
    if kind == "iTXt":
        info.add_itxt("workflow", "x" * 3_000_000, zip=True)
    else:
        info.add_text("workflow", "x" * 3_000_000, zip=kind == "zTXt")
    Image.fromarray(RAMP).save(tmp_path / "x.png", pnginfo=info)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), RAMP)


def test_a_bomb_of_text_is_refused(tmp_path: Path) -> None:
    """A few kilobytes that would become 200 MB of text are no picture."""
    Image.fromarray(RAMP).save(tmp_path / "x.png")
    text = b"bomb\0\0" + zlib.compress(bytes(200_000_000), 9)
    chunk = len(text).to_bytes(4, "big") + b"zTXt" + text + zlib.crc32(b"zTXt" + text).to_bytes(4, "big")
    data = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(data[:33] + chunk + data[33:])
    with pytest.raises(DataError, match=r"x\.png: not a readable image \(.*too large"):
        read_image(tmp_path / "x.png")


def test_a_bomb_of_pixels_is_refused(tmp_path: Path) -> None:
    """A header of 60000 x 60000 pixels ends before memory is asked for."""
    Image.new("1", (8, 8)).save(tmp_path / "x.png")
    data = bytearray((tmp_path / "x.png").read_bytes())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "x.png").write_bytes(data)
    with pytest.raises(DataError, match=r"x\.png: more than 89 million pixels"):
        read_image(tmp_path / "x.png")


def test_postscript_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An EPS file that is called .png is not handed to Ghostscript, which runs what is in it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    (tmp_path / "bin/gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    eps = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "x.png").write_text(eps)
    with pytest.raises(DataError, match=r"x\.png: not a readable image \(of no known format\); allowed: PNG, JPEG"):
        read_image(tmp_path / "x.png")
    assert file_bits(tmp_path / "x.png") == 8
    assert not (tmp_path / "started").exists()


READ = """
import sys
from pathlib import Path
from benchmark.data.image_io import read_image
from benchmark.errors import DataError
try:
    read_image(Path(sys.argv[1]))
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "device", "folder", "missing", "empty"])
def test_what_is_no_file_ends_at_once(tmp_path: Path, kind: str, root: Path) -> None:
    """A pipe without a writer would hang for ever, /dev/zero would fill the memory: one line names the file."""
    file = tmp_path / "x.png"
    if kind in ("pipe", "link to a pipe"):
        os.mkfifo(tmp_path / "pipe")
        file.symlink_to(tmp_path / "pipe")
        file = tmp_path / "pipe" if kind == "pipe" else file
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "folder":
        file.mkdir()
    elif kind == "empty":
        file.touch()
    arguments = [sys.executable, "-c", READ, str(file)]
    process = subprocess.run(arguments, capture_output=True, text=True, cwd=root, timeout=60)
    assert process.returncode == 0, process.stderr
    assert re.fullmatch(rf"{re.escape(str(file))}: [^\n]+\n", process.stdout)


def test_no_image_is_opened_without_named_formats(root: Path) -> None:
    """`Image.open` of any module says which formats it expects; of those that users give there is one."""
    calls: list[tuple[str, set[str | None]]] = []
    for package in ("benchmark", "reports", "tools"):
        for file in sorted((root / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Image.open", "PILImage.open"):
                    calls.append((file.relative_to(root).as_posix(), {keyword.arg for keyword in node.keywords}))
    assert [file for file, keywords in calls if "formats" not in keywords] == []
    assert [file for file, _ in calls] == [
        "benchmark/data/image_io.py",
        "benchmark/synthetic_faces/camera.py",
        "reports/figures/pictures.py",
    ]
