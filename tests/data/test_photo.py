"""Photographs keep what their files hold: checked with Pillow, and other readers, before and after."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin, PngImagePlugin

from benchmark.data.colour_profile import read_profile
from benchmark.data.photo import Photo, read_photo
from benchmark.data.photo_writer import photo_bytes
from benchmark.errors import DataError

Array = NDArray[Any]


def opened(image: Path | bytes) -> Any:
    """The image as Pillow reads it, with no file left open."""
    return Image.open(io.BytesIO(image if isinstance(image, bytes) else image.read_bytes()))


def smooth(height: int = 40, width: int = 56) -> Array:
    """Colours all over the cube, as a photograph of gradients."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows / height, columns / width, (rows + columns) / (height + width)], -1)


def in_8_bits(unit: Array) -> NDArray[np.uint8]:
    return np.rint(unit * 255).astype(np.uint8)


def in_16_bits(unit: Array) -> NDArray[np.uint16]:
    return np.rint(unit * 65535).astype(np.uint16)


def written(photo: Photo, file_format: str | None = None) -> bytes:
    """The photo as if a network had done nothing."""
    images = []
    for frame in photo.frames:
        unit = photo.to_srgb(frame)
        images.append(photo.from_srgb(unit, unit, frame))
    return photo_bytes(photo, images, file_format or photo.file_format)[0]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_16(pixels: Array) -> bytes:
    """A PNG of 16 bits a channel by the book: no filter, one chunk."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    kind = {3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def wide_gamut() -> bytes:
    """The profile of Display P3: its primaries adapted to D50, and the curve of sRGB."""
    primaries = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
    curve = b"para\0\0\0\0\0\x03\0\0" + b"".join(
        struct.pack(">i", round(value * 65536)) for value in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    )
    tags = {b"desc": b"desc\0\0\0\0\0\0\0\x0bDisplay P3\0" + bytes(79), b"wtpt": xyz(0.9642, 1.0, 0.8249)}
    tags |= {name: xyz(*values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    tags |= {b"cprt": b"text\0\0\0\0CC0\0"}
    start, table, body = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data
    header = struct.pack(">I4sI4s4s4s", 0, b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    header += bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    content = header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(content)) + content[4:]


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def exif_of(orientation: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.008
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    return exif


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [50, 92])
def test_a_jpeg_keeps_its_tables_and_subsampling(tmp_path: Path, quality: int, subsampling: int) -> None:
    """And whether it is progressive, its resolution, its comment and every byte of its EXIF data."""
    file = tmp_path / "a.jpg"
    Image.fromarray(in_8_bits(smooth())).save(
        file, quality=quality, subsampling=subsampling, exif=exif_of(), progressive=True, dpi=(300, 300), comment="hi"
    )
    before = opened(file)
    after = opened(written(read_photo(file)))
    assert after.quantization == before.quantization
    assert JpegImagePlugin.get_sampling(after) == subsampling
    assert after.info["progressive"] and after.info["dpi"] == (300, 300) and after.info["comment"] == b"hi"
    assert after.info["exif"] == before.info["exif"]
    assert np.abs(np.asarray(after).astype(int) - np.asarray(before)).max() <= 16  # compressed once more


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_an_orientation_stays_with_the_pixels_it_belongs_to(tmp_path: Path, orientation: int, suffix: str) -> None:
    """The network sees the picture upright, and a viewer shows the result as it showed the file."""
    from PIL import ImageOps

    file = tmp_path / f"a.{suffix}"
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    if suffix == "jpg":
        options = {"quality": 100, "subsampling": 0}
    Image.fromarray(in_8_bits(smooth())).save(file, exif=exif_of(orientation), **options)
    shown = np.asarray(ImageOps.exif_transpose(opened(file)).convert("RGB")).astype(int)
    photo = read_photo(file)
    assert np.array_equal(photo.frames[0].pixels, shown)
    after = opened(written(photo))
    assert after.getexif()[ExifTags.Base.Make] == "Maker"
    assert np.abs(np.asarray(ImageOps.exif_transpose(after).convert("RGB")) - shown).max() <= (
        6 if suffix == "jpg" else 0
    )


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
def test_metadata_are_kept_in_every_format(tmp_path: Path, suffix: str) -> None:
    """EXIF with its inner directories, and the colour profile, byte for byte."""
    file, profile = tmp_path / f"a.{suffix}", wide_gamut()
    Image.fromarray(in_8_bits(smooth())).save(file, exif=exif_of().tobytes(), icc_profile=profile)
    for file_format in (None, "PNG", "TIFF", "WEBP", "JPEG"):
        after = opened(written(read_photo(file), file_format))
        exif = after.getexif()
        assert after.info["icc_profile"] == profile
        assert exif[ExifTags.Base.Make] == "Maker"
        assert float(exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime]) == pytest.approx(0.008)
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


def test_texts_of_a_png_are_kept(tmp_path: Path) -> None:
    """Latin and Unicode."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "Anna")
    texts.add_itxt("Title", "Größe ☀", "de", "Titel")
    Image.fromarray(in_8_bits(smooth())).save(tmp_path / "a.png", pnginfo=texts, dpi=(72, 72))
    after = opened(written(read_photo(tmp_path / "a.png")))
    assert (after.text["Author"], after.text["Title"]) == ("Anna", "Größe ☀")
    assert after.info["dpi"] == pytest.approx((72, 72), abs=0.01)


def test_colours_are_managed(tmp_path: Path) -> None:
    """A wide-gamut photo is seen in sRGB as Little CMS converts it; unchanged it comes back bit for bit."""
    file, pixels, profile = tmp_path / "a.png", in_8_bits(smooth()), wide_gamut()
    Image.fromarray(pixels).save(file, icc_profile=profile)
    photo = read_photo(file)
    assert photo.profile is not None
    seen = photo.to_srgb(photo.frames[0]) * 255
    expected = ImageCms.profileToProfile(
        opened(file),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    )
    assert np.abs(seen - np.asarray(expected)).max() <= 2
    assert np.abs(seen - pixels).max() > 20
    assert np.array_equal(np.asarray(opened(written(photo))), pixels)


def test_changes_come_back_in_the_colours_of_the_profile(tmp_path: Path) -> None:
    """What a network makes darker in sRGB is as much darker in the profile, by Little CMS."""
    file, profile = tmp_path / "a.png", wide_gamut()
    Image.fromarray(in_8_bits(0.3 + 0.3 * smooth())).save(file, icc_profile=profile)
    photo = read_photo(file)
    (frame,) = photo.frames
    degraded = photo.to_srgb(frame)
    restored = degraded * np.float32(0.7)
    content, _ = photo_bytes(photo, [photo.from_srgb(restored, degraded, frame)], "PNG")
    shown = ImageCms.profileToProfile(
        opened(content),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    )
    assert np.abs(np.asarray(shown) - restored * 255).max() <= 2


def test_profiles_that_mean_srgb_change_nothing(tmp_path: Path) -> None:
    """The profile is kept, and numbers are taken as they are; a profile of another kind is named."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file, pixels = tmp_path / "a.png", in_8_bits(smooth())
    Image.fromarray(pixels).save(file, icc_profile=srgb)
    photo = read_photo(file)
    assert photo.profile is None and not photo.notes
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(pixels).save(file, icc_profile=lab)
    photo = read_photo(file)
    assert photo.profile is None and "its numbers are taken as sRGB" in photo.notes[0]
    assert opened(written(photo)).info["icc_profile"] == lab
    assert read_profile(srgb[:200], "RGB") is None and read_profile(b"", "RGB") is None


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_of_16_bits_in_png(tmp_path: Path, channels: int) -> None:
    """Every bit comes in, goes out, and is read by Pillow as the same picture of 8 bits."""
    pixels = in_16_bits(np.dstack([smooth(), smooth()[..., :1]])[..., :channels])
    (tmp_path / "a.png").write_bytes(png_16(pixels))
    photo = read_photo(tmp_path / "a.png")
    assert photo.frames[0].pixels.dtype == np.uint16
    assert np.array_equal(photo.frames[0].pixels, pixels[..., :3])
    (tmp_path / "b.png").write_bytes(written(photo))
    after = read_photo(tmp_path / "b.png").frames[0]
    assert np.array_equal(after.pixels, pixels[..., :3])
    assert channels == 3 or np.array_equal(after.alpha, pixels[..., 3])
    assert np.array_equal(np.asarray(opened(tmp_path / "b.png")), pixels >> 8)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_colour_of_16_bits_in_tiff(tmp_path: Path, order: Any, compression: str | None) -> None:
    """Written by another library and read by it again; EXIF data, profile and alpha stay."""
    tifffile = pytest.importorskip("tifffile")
    if compression == "lzw":
        pytest.importorskip("imagecodecs")
    pixels = in_16_bits(smooth())
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", byteorder=order, compression=compression)
    photo = read_photo(tmp_path / "a.tif")
    assert np.array_equal(photo.frames[0].pixels, pixels)
    (tmp_path / "b.tif").write_bytes(written(photo))
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), pixels)
    assert opened(tmp_path / "b.tif").size == (56, 40)


def test_metadata_of_16_bits(tmp_path: Path) -> None:
    """A deep PNG with profile and EXIF becomes a deep TIFF with both, and a PNG again."""
    profile, pixels = wide_gamut(), in_16_bits(smooth())
    plain = png_16(pixels)
    chunks = chunk(b"iCCP", b"P3\0\0" + zlib.compress(profile)) + chunk(b"eXIf", exif_of().tobytes()[6:])
    (tmp_path / "a.png").write_bytes(plain[:33] + chunks + plain[33:])
    for name, file_format in (("b.tif", "TIFF"), ("c.png", "PNG")):
        (tmp_path / name).write_bytes(
            written(read_photo(tmp_path / ("a.png" if name == "b.tif" else "b.tif")), file_format)
        )
        after = opened(tmp_path / name)
        after.load()
        assert after.info["icc_profile"] == profile
        assert after.getexif()[ExifTags.Base.Make] == "Maker"
        assert np.array_equal(read_photo(tmp_path / name).frames[0].pixels, pixels)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits(tmp_path: Path, suffix: str) -> None:
    """Stays grey and deep."""
    grey = in_16_bits(smooth()[..., 0])
    Image.fromarray(grey).save(tmp_path / f"a.{suffix}")
    after = opened(written(read_photo(tmp_path / f"a.{suffix}")))
    assert after.mode.startswith("I;16") and np.array_equal(np.asarray(after), grey)


@pytest.mark.parametrize(
    ("mode", "suffix"), [("L", "png"), ("L", "jpg"), ("LA", "png"), ("RGBA", "png"), ("RGBA", "webp"), ("RGBA", "tif")]
)
def test_grey_and_alpha_stay(tmp_path: Path, mode: str, suffix: str) -> None:
    """The mode of the file is that of the result, and alpha is the same bit for bit."""
    rgba = Image.fromarray(in_8_bits(np.dstack([smooth(), smooth()[..., :1]])))
    rgba.convert(mode).save(tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    before = opened(tmp_path / f"a.{suffix}")
    after = opened(written(read_photo(tmp_path / f"a.{suffix}")))
    assert after.mode == before.mode == mode
    assert "A" not in mode or np.array_equal(np.asarray(after)[..., -1], np.asarray(before)[..., -1])
    assert suffix == "jpg" or np.array_equal(np.asarray(after), np.asarray(before))


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_every_frame_comes_back(tmp_path: Path, suffix: str) -> None:
    """With its duration and the number of repetitions; pages of a TIFF may differ in size."""
    frames = [Image.fromarray(in_8_bits(np.roll(smooth(), shift, 1))) for shift in (0, 9, 21)]
    if suffix == "tif":
        frames[2] = frames[2].resize((20, 30))
    options: dict[str, Any] = {} if suffix == "tif" else {"duration": [100, 200, 300], "loop": 3}
    if suffix == "webp":
        options["lossless"] = True
    file = tmp_path / f"a.{suffix}"
    frames[0].save(file, save_all=True, append_images=frames[1:], **options)
    before, after = opened(file), opened(written(read_photo(file)))
    assert after.n_frames == before.n_frames == 3
    for index in range(3):
        before.seek(index), after.seek(index)
        assert after.size == before.size and after.info.get("duration") == before.info.get("duration")
        assert np.abs(np.asarray(after.convert("RGB")).astype(int) - np.asarray(before.convert("RGB"))).mean() < 3
    assert after.info.get("loop") == before.info.get("loop")


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_without_loss_stays_without(tmp_path: Path, lossless: bool) -> None:
    """One with loss is compressed again."""
    Image.fromarray(in_8_bits(smooth())).save(tmp_path / "a.webp", lossless=lossless)
    content = written(read_photo(tmp_path / "a.webp"))
    assert (b"VP8L" in content[:64]) == lossless


def test_what_cannot_be_restored_is_refused(tmp_path: Path) -> None:
    """In one line that says what to do: CMYK, 32 bits, frames without end; and frames in a format that holds one."""
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "a.tif")
    Image.new("L", (9000, 9000)).save(
        tmp_path / "b.gif", save_all=True, append_images=[Image.new("L", (9000, 9000), 9)]
    )
    with pytest.raises(DataError, match=r"a\.jpg: its colours are CMYK; networks restore RGB and grey: convert it"):
        read_photo(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.tif: 32 bits a channel"):
        read_photo(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"b\.gif: 2 frames of 9000 x 9000 pixels; up to 89 million"):
        read_photo(tmp_path / "b.gif")
    Image.new("L", (8, 8)).save(tmp_path / "c.gif", save_all=True, append_images=[Image.new("L", (8, 8), 9)])
    with pytest.raises(DataError, match="2 frames, but JPEG holds one; choose webp, png or tiff"):
        written(read_photo(tmp_path / "c.gif"), "JPEG")


def test_what_a_format_cannot_hold_is_named(tmp_path: Path) -> None:
    """Alpha in JPEG, 16 bits in WebP, colours in GIF."""
    (tmp_path / "deep.png").write_bytes(png_16(in_16_bits(np.dstack([smooth(), smooth()[..., :1]]))))
    photo = read_photo(tmp_path / "deep.png")
    image = photo.frames[0].pixels
    assert photo_bytes(photo, [image], "JPEG")[1] == ("without its alpha channel", "with 8 bits a channel")
    content, notes = photo_bytes(photo, [image], "WEBP")
    assert notes == ("with 8 bits a channel",) and opened(content).mode == "RGBA"
