"""Bit depths of image files: what reading loses is reported."""

import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.cache import cached
from benchmark.data.image_io import bit_depth_warning, file_bits
from benchmark.data.sources.noise import Noise


def save_deep_colour(file: Path) -> None:
    """A colour PNG of 16 bits a channel, which Pillow reads but cannot write."""
    rows = b"".join(b"\0" + bytes(range(48)) for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks]
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_sixteen_bits_are_seen_in_the_header(tmp_path: Path) -> None:
    """Grey and colour, PNG and TIFF; 8-bit files of every kind, and what is no image, are not taken for it."""
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    Image.fromarray(ramp).save(tmp_path / "grey.tif")
    save_deep_colour(tmp_path / "colour.png")
    assert all(file_bits(tmp_path / name) == 16 for name in ("grey.png", "grey.tif", "colour.png"))
    for suffix in ("png", "tif", "jpg", "webp", "bmp"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"flat.{suffix}")
        assert file_bits(tmp_path / f"flat.{suffix}") == 8
    (tmp_path / "text.png").write_text("text")
    assert file_bits(tmp_path / "text.png") == 8


def test_a_source_with_such_images_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When its cache is built: the first file and how many there are; 8-bit files give no warning."""
    folder = tmp_path / "clean"
    folder.mkdir()
    for name in ("b", "a"):
        save_deep_colour(folder / f"{name}.png")
    Image.new("RGB", (8, 8)).save(folder / "c.png")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            cached(Noise(folder), tmp_path / "cache", 1)
    assert caplog.messages == [f"{folder / 'a.png'}: 16 bits a channel, the upper 8 are read (2 such images)"]
    assert bit_depth_warning([folder / "c.png"]) == bit_depth_warning([]) == ""
