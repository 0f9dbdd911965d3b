"""The user's own pairs: read as they are, refused with reasons."""

import shutil
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.data.image_io import file_bits, read_image
from benchmark.data.sources.paired_folders import PairedFolders
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
    """Equal pixels, equal fingerprint; another name or another pixel changes it."""
    before = PairedFolders(*folders).fingerprint
    assert PairedFolders(*folders).fingerprint == before
    for folder in folders:
        (folder / "picture_00.png").rename(folder / "other.png")
    assert PairedFolders(*folders).fingerprint != before
    for folder in folders:
        (folder / "other.png").rename(folder / "picture_00.png")
    assert PairedFolders(*folders).fingerprint == before
    image = Image.open(folders[0] / "picture_00.png")
    image.putpixel((0, 0), (1, 2, 3))
    image.save(folders[0] / "picture_00.png")
    assert PairedFolders(*folders).fingerprint != before


def test_missing_folders_and_partners_are_errors(folders: tuple[Path, Path], tmp_path: Path) -> None:
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
    """An empty file, a text and a torn header named .png are reported with their path."""
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


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "P", "CMYK", "YCbCr", "LAB"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    """Grey, alpha, palette, CMYK and Lab images are read as 8-bit RGB."""
    file = tmp_path / "x.tif"
    Image.new("RGB", (5, 4), "white").convert(mode).save(file)
    image = read_image(file)
    assert image.shape == (4, 5, 3) and image.dtype == np.uint8
    assert (image > 245).all()


def test_colour_of_cmyk_jpeg(tmp_path: Path) -> None:
    """A CMYK JPEG, as printers want it, is neither inverted nor grey."""
    file = tmp_path / "x.jpg"
    Image.new("RGB", (16, 16), (200, 60, 30)).convert("CMYK").save(file, quality=100)
    assert np.abs(read_image(file).astype(int) - (200, 60, 30)).max() < 6


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_is_dropped(tmp_path: Path, suffix: str) -> None:
    """The colour below transparent pixels counts, whatever the alpha."""
    file = tmp_path / f"x{suffix}"
    pixels = np.full((6, 6, 4), (10, 200, 90, 0), np.uint8)
    pixels[3:, :, 3] = 255
    Image.fromarray(pixels).save(file, **({"lossless": True, "exact": True} if suffix == ".webp" else {}))
    assert (read_image(file) == (10, 200, 90)).all()


def test_a_palette_with_alpha_gives_its_colours(tmp_path: Path) -> None:
    """Transparency of a palette is dropped as any other, without a warning."""
    file = tmp_path / "x.png"
    image = Image.fromarray(np.uint8([[0, 1]]), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(file, transparency=bytes([0, 128]))
    assert read_image(file).tolist() == [[[10, 20, 30], [40, 50, 60]]]


def png16(file: Path, values: np.ndarray) -> None:
    """A PNG of 16 bits a channel, grey `H W` or colour `H W 3`, which Pillow cannot write."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if values.ndim == 2 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks]
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    """Of 16-bit images, grey and colour, PNG and TIFF, the upper 8 bits are read."""
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    png16(tmp_path / "grey.png", ramp)
    png16(tmp_path / "colour.png", np.stack([ramp, ramp[::-1], ramp.T], -1))
    Image.fromarray(ramp).save(tmp_path / "grey.tif")
    upper = np.uint8(ramp >> 8)
    for name in ("grey.png", "grey.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name), np.stack([upper] * 3, -1))
    np.testing.assert_array_equal(read_image(tmp_path / "colour.png"), np.stack([upper, upper[::-1], upper.T], -1))


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_images_of_unknown_range_are_refused(tmp_path: Path, dtype: type) -> None:
    """What 1.0 or 100,000 means in a 32-bit image is not guessed."""
    file = tmp_path / "x.tif"
    Image.fromarray(np.ones((4, 4), dtype)).save(file)
    with pytest.raises(DataError, match=r"x\.tif: .*32 bits a pixel; save it with 8 or 16"):
        read_image(file)


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    """A small file that says it has more pixels than memory is refused before it is unpacked."""
    file = tmp_path / "bomb.png"
    for side in (10_000, 60_000):  # Pillow warns of the first and raises for the second
        png16(file, np.zeros((2, 2), np.uint16))
        data = bytearray(file.read_bytes())
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        file.write_bytes(data)
        with pytest.raises(DataError, match=r"bomb\.png: more than 89 million pixels .*reduce it or leave it out"):
            read_image(file)


def test_one_pixel_is_an_image(tmp_path: Path) -> None:
    """Pairs of 1 x 1 pixel are read; what is too small for a patch is an error of the sampler."""
    for side in ("degraded", "target"):
        (tmp_path / side).mkdir()
        Image.new("RGB", (1, 1), "red").save(tmp_path / side / "x.png")
    assert PairedFolders(tmp_path / "degraded", tmp_path / "target").read(0).target.tolist() == [[[255, 0, 0]]]


def test_one_folder_is_no_pair(folders: tuple[Path, Path]) -> None:
    """The same folder twice, in any spelling, is a mistake, not a set of pairs without damage."""
    degraded, _ = folders
    with pytest.raises(DataError, match="given as degraded and as target"):
        PairedFolders(degraded, degraded.parent / "target" / ".." / "degraded")


def test_hidden_files_are_passed_over(folders: tuple[Path, Path]) -> None:
    """What systems leave beside pictures (`._x.png`, `.thumbnails`) needs no partner."""
    degraded, target = folders
    (degraded / "._picture_00.png").write_bytes(b"resource fork")
    (target / ".thumbnails").mkdir()
    Image.new("RGB", (8, 8)).save(target / ".thumbnails/picture_00.png")
    assert len(PairedFolders(degraded, target)) == 3


def test_names_pair_in_any_unicode_form(folders: tuple[Path, Path]) -> None:
    """`é` is one name, composed or not; quotes, tags and spaces in names are names."""
    degraded, target = folders
    new = {"Zoé", '<script>alert("1")', "two  words", "it's", "顔"}
    for name in new:
        for side, form in ((degraded, "NFC"), (target, "NFD")):
            Image.new("RGB", (8, 8)).save(side / f"{unicodedata.normalize(form, name)}.png")
    source = PairedFolders(degraded, target)
    names = [source.read(index).name for index in range(len(source))]
    assert names == sorted(names) and set(names) == new | {"picture_00", "picture_01", "picture_02"}


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    """A picture stored lying with a note to turn it is read upright."""
    file = tmp_path / "x.jpg"
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (8, 4)).save(file, exif=exif)
    assert read_image(file).shape == (8, 4, 3)


@pytest.mark.parametrize("mode", ["L", "I;16", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_tiff_is_read_as_turned_png(tmp_path: Path, mode: str, orientation: int) -> None:
    """Plain TIFF of every mode is turned upright as it should be: like the pixels turned by hand."""
    rng = np.random.default_rng(orientation)
    image = Image.fromarray(rng.integers(0, 256, (6, 10, 3), dtype=np.uint8))
    image = Image.fromarray(rng.integers(0, 65536, (6, 10), dtype=np.uint16)) if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "flat.tif")
    exif = Image.Exif()
    exif[0x112] = orientation
    image.save(tmp_path / "turned.tif", exif=exif)
    flat = read_image(tmp_path / "flat.tif")
    upright = [
        flat, flat[:, ::-1], flat[::-1, ::-1], flat[::-1], flat.swapaxes(0, 1), np.rot90(flat, -1),
        flat[::-1, ::-1].swapaxes(0, 1), np.rot90(flat),
    ]  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "turned.tif"), upright[orientation - 1])


def test_twelve_bits_are_scaled(tmp_path: Path) -> None:
    """Grey TIFF of 12 bits: white is white; a header says 12 bits."""
    values = np.array([[0, 2048, 4095, 16]])
    packed = bytes.fromhex("".join(f"{value:03x}" for value in values[0]))
    entries = [
        (256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8 + 2 + 9 * 12 + 4), (277, 1), (278, 1),
        (279, len(packed)),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in entries)
    header = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    (tmp_path / "deep.tif").write_bytes(header + directory + bytes(4) + packed)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.tif")[0, :, 0], [0, 128, 255, 1])
    assert file_bits(tmp_path / "deep.tif") == 12


def test_odd_exif_data_does_not_matter(tmp_path: Path) -> None:
    """A turned JPEG whose EXIF data no writer would take is turned all the same."""
    exif = Image.Exif()
    exif[0x112], exif[0x103] = 6, 6
    image = Image.new("RGB", (16, 8), "red")
    image.save(tmp_path / "odd.jpg", exif=exif)
    data = (tmp_path / "odd.jpg").read_bytes()
    short = struct.pack("<HHI", 0x103, 3, 1), struct.pack(">HHI", 0x103, 3, 1)
    floats = struct.pack("<HHI", 0x103, 11, 1), struct.pack(">HHI", 0x103, 11, 1)
    for before, after in zip(short, floats, strict=True):
        data = data.replace(before, after)
    (tmp_path / "odd.jpg").write_bytes(data)
    assert floats[0] in data or floats[1] in data
    assert read_image(tmp_path / "odd.jpg").shape == (16, 8, 3)


def test_links_are_followed(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Images behind links to folders count; a link that leads nowhere is an error, one that leads back is skipped."""
    degraded, target = folders
    for side in folders:
        moved = tmp_path / "elsewhere" / side.name
        moved.mkdir(parents=True)
        (side / "picture_00.png").rename(moved / "picture_00.png")
        (side / "linked").symlink_to(moved)
        (side / "back").symlink_to(side)
    names = [PairedFolders(degraded, target).read(index).name for index in range(3)]
    assert names == ["linked/picture_00", "picture_01", "picture_02"]
    (target / "picture_03.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match=r"picture_03\.png: links to .*nowhere\.png, which is not there"):
        PairedFolders(degraded, target)
