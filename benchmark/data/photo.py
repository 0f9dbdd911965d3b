"""Photographs with all that their files hold: frames, alpha, 16 bits, colour profile, metadata, how they were written.

`read_image` in `image_io` gives the 8-bit pixels that networks are trained on; a `Photo` is what a photographer wants
back. `photo_writer` writes it with restored pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, JpegImagePlugin

from benchmark.data.colour_profile import ColourProfile, read_profile
from benchmark.data.deep_colour import is_deep_colour, keep_second_byte
from benchmark.data.image_io import open_image, stored_bits, turn_to_upright
from benchmark.errors import DataError, counted
from reports.file_access import open_file

Levels = NDArray[np.unsignedinteger[Any]]
"""Pixels or alpha of a file: uint8 or uint16."""
UnitImage = NDArray[np.float32]
"""`H W 3` in [0, 1]."""

_HEAD_BYTES: Final = 1 << 16
"""Of a WebP file, with its first pixels behind its colour profile."""
_GREY_MODES: Final = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I")
_DESCRIPTIVE_TAGS: Final = (270, 271, 272, 305, 306, 315, 700, 33432, 33723, 34665, 34853)
"""Tags of a TIFF file that describe the picture: maker, time, place, ...; the others describe where its pixels lie."""


@dataclass(frozen=True)
class Frame:
    """One frame or page.

    Attributes:
        pixels: `H W 3`, turned upright, in the numbers of the file; grey as three equal channels.
        alpha: `H W` of the same type; None where everything is opaque.
        duration_ms: How long an animation shows it.
    """

    pixels: Levels
    alpha: Levels | None = None
    duration_ms: float = 0.0


@dataclass(frozen=True)
class Photo:
    """The content of an image file.

    Attributes:
        file_format: Pillow's name of the format, e.g. `JPEG`.
        frames: At least one.
        is_grey: Whether the file has one colour channel.
        turn: What turned the pixels upright; their file says so in its EXIF data, which stay. None: nothing.
        profile: What the numbers mean; None for sRGB and where it is not known.
        exif: EXIF data without the prefix of JPEG.
        icc_profile: The colour profile as it is in the file.
        info: Further settings of the file by Pillow's names: `dpi`, `comment`, `xmp`, `loop`.
        texts: Text chunks of PNG.
        encoding: How a JPEG, WebP or TIFF file was compressed, as options of Pillow's writer.
        notes: What of the file is not restored or not kept, each in a few words.
    """

    file_format: str
    frames: tuple[Frame, ...]
    is_grey: bool
    turn: Image.Transpose | None
    profile: ColourProfile | None
    exif: bytes
    icc_profile: bytes
    info: Mapping[str, Any]
    texts: Mapping[str, str]
    encoding: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def to_srgb(self, frame: Frame) -> UnitImage:
        """Return the pixels of a frame as a network takes them: sRGB in [0, 1]."""
        unit = _in_unit(frame.pixels)
        return unit if self.profile is None else self.profile.to_srgb(unit)

    def from_srgb(self, restored: UnitImage, degraded: UnitImage, frame: Frame) -> Levels:
        """Return restored pixels in the numbers and the type of the file.

        With a profile, the change from the degraded to the restored image is added to the pixels of the file. So
        colours beyond sRGB, which the network does not see, stay, and where it changes nothing, every bit stays.

        Args:
            restored: The restored image, sRGB in [0, 1].
            degraded: What `to_srgb` returned.
            frame: The frame that it was made from.
        """
        unit = restored
        if self.profile is not None:
            unit = _in_unit(frame.pixels)
            unit += self.profile.from_srgb(restored)
            unit -= self.profile.from_srgb(degraded)
        largest = np.float32(np.iinfo(frame.pixels.dtype).max)
        levels = np.rint(unit.clip(0, 1) * largest)
        if self.is_grey:
            levels = np.repeat(np.rint(levels.mean(axis=2, keepdims=True)), 3, axis=2)
        return levels.astype(frame.pixels.dtype)


def read_photo(file: Path, content: bytes | None = None) -> Photo:
    """Return the content of an image file.

    Args:
        file: Its path, or a name for messages where `content` is given.
        content: Its bytes; None: they are read from the path.

    Raises:
        DataError: The file cannot be read, or holds what cannot be restored: 32 bits a channel, CMYK, too many frames.
    """
    with open_image(file, content) as image:
        frame_count = _checked_frame_count(image, file)
        is_deep, bits = is_deep_colour(image), stored_bits(image)
        if is_deep and frame_count > 1:
            raise DataError(f"{file}: {frame_count} pages of 16 bits a channel; save each page as a file of its own")
        frames: list[Frame] = []
        modes: set[str] = set()
        for index in range(frame_count):
            image.seek(index)
            frames.append(_frame(image, bits, file))
            modes.add(image.mode)
        is_grey = modes <= set(_GREY_MODES)
        photo = _with_metadata(image, tuple(frames), file, content, is_grey=is_grey)
    notes = list(photo.notes)
    if is_deep:
        photo = _with_second_bytes(photo, file, content)
    elif bits > 8 and frames[0].pixels.dtype == np.uint8:
        notes.append(f"of {bits} bits a channel the upper 8 are restored")
    elif bits == 12:
        notes.append("written with 16 bits a channel in place of 12")
    return replace(photo, notes=tuple(notes))


def _checked_frame_count(image: ImageFile.ImageFile, file: Path) -> int:
    if image.mode in ("I", "F") and image.format != "PPM":
        raise DataError(f"{file}: 32 bits a channel, whose range is not known; save it with 8 or 16")
    if image.mode in ("CMYK", "LAB", "HSV"):
        raise DataError(f"{file}: its colours are {image.mode}; networks restore RGB and grey: convert it")
    if image.format == "MPO":  # the further pictures of a phone's JPEG are previews and depth
        return 1
    count, limit = getattr(image, "n_frames", 1), Image.MAX_IMAGE_PIXELS or 0
    if count > 1 and count * image.width * image.height > limit:
        raise DataError(
            f"{file}: {count} frames of {image.width} x {image.height} pixels; up to {limit // 10**6} million pixels "
            "in all frames are restored: split it into parts"
        )
    return count


def _frame(image: ImageFile.ImageFile, bits: int, file: Path) -> Frame:
    image.load()  # this turns TIFF and drops its orientation
    turn = turn_to_upright(image)
    duration = float(image.info.get("duration", 0) or 0)
    if image.mode.startswith("I"):  # grey of 12 or 16 bits
        grey = (np.asarray(image.convert("I")).astype(np.uint16)) << (16 - bits)
        return Frame(turned(np.repeat(grey[:, :, None], 3, 2), turn), None, duration)
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        return Frame(turned(rgba[..., :3], turn), turned(rgba[..., 3], turn), duration)
    return Frame(turned(np.asarray(image.convert("RGB")), turn), None, duration)


def _with_second_bytes(photo: Photo, file: Path, content: bytes | None) -> Photo:
    """Return a photo whose pixels are the first bytes of 16 bits with the second bytes added."""
    with open_image(file, content) as image:
        keep_second_byte(image)
        second, first = _frame(image, 8, file), photo.frames[0]
    pixels = _joined(first.pixels, second.pixels)
    alpha = None if first.alpha is None or second.alpha is None else _joined(first.alpha, second.alpha)
    return replace(photo, frames=(Frame(pixels, alpha),))


def _joined(first: Levels, second: Levels) -> NDArray[np.uint16]:
    return np.bitwise_or(first.astype(np.uint16) << np.uint16(8), second, dtype=np.uint16)


def _with_metadata(
    image: ImageFile.ImageFile, frames: tuple[Frame, ...], file: Path, content: bytes | None, *, is_grey: bool
) -> Photo:
    """Return the photo; called when the image is decoded: PNG may have metadata behind its pixels."""
    info, notes = image.info, list[str]()
    icc_profile: bytes = info.get("icc_profile") or b""
    profile = read_profile(icc_profile, "GRAY" if is_grey else "RGB") if icc_profile else None
    if icc_profile and profile is None:
        notes.append("its colour profile, one of tables, stays, but its numbers are taken as sRGB")
    file_format = "JPEG" if image.format == "MPO" else str(image.format)
    if image.format == "MPO":
        further = counted(int(getattr(image, "n_frames", 2)) - 1, "further picture")
        notes.append(f"without the {further} in it (previews or depth)")
    return Photo(
        file_format=file_format,
        frames=frames,
        is_grey=is_grey,
        turn=turn_to_upright(image),
        profile=None if profile is None or profile.is_srgb else profile,
        exif=_tiff_exif(image) if file_format == "TIFF" else (info.get("exif") or b"").removeprefix(b"Exif\0\0"),
        icc_profile=icc_profile,
        info={name: info[name] for name in ("dpi", "comment", "xmp", "loop") if info.get(name) is not None},
        texts=dict(getattr(image, "text", {})),
        encoding=_encoding(image, file_format, file, content),
        notes=tuple(notes),
    )


def _tiff_exif(image: ImageFile.ImageFile) -> bytes:
    """Return the tags that describe the picture as EXIF data."""
    tags, kept = image.getexif(), Image.Exif()
    for tag in _DESCRIPTIVE_TAGS:
        if tag in tags:
            kept[tag] = tags.get_ifd(tag) if tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo) else tags[tag]
    return kept.tobytes().removeprefix(b"Exif\0\0") if len(kept) else b""


def _encoding(image: ImageFile.ImageFile, file_format: str, file: Path, content: bytes | None) -> dict[str, Any]:
    if file_format == "JPEG" and isinstance(image, JpegImagePlugin.JpegImageFile):
        sampling = JpegImagePlugin.get_sampling(image)
        return {
            "qtables": dict(image.quantization),
            "subsampling": sampling if sampling in (0, 1, 2) else 0,
            "progressive": bool(image.info.get("progressive")),
        }
    if file_format == "WEBP":
        return {"lossless": True, "exact": True} if _is_lossless_webp(file, content) else {}
    if file_format == "TIFF":
        compression = image.info.get("compression", "raw")
        is_lossless = compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")
        return {"compression": compression if is_lossless else "tiff_adobe_deflate"}
    return {}


def _is_lossless_webp(file: Path, content: bytes | None) -> bool:
    """Return whether the pixels of a WebP file are in chunks of the lossless kind."""
    if content is None:
        with open_file(file) as handle:
            head = handle.read(_HEAD_BYTES)
    else:
        head = content[:_HEAD_BYTES]
    return b"VP8L" in head and b"VP8 " not in head


def turned(pixels: NDArray[Any], turn: Image.Transpose | None) -> NDArray[Any]:
    """Return an image `H W` or `H W C`, mirrored or turned as Pillow would do it."""
    views: Mapping[Image.Transpose | None, NDArray[Any]] = {
        None: pixels,
        Image.Transpose.FLIP_LEFT_RIGHT: pixels[:, ::-1],
        Image.Transpose.FLIP_TOP_BOTTOM: pixels[::-1],
        Image.Transpose.ROTATE_90: np.rot90(pixels),
        Image.Transpose.ROTATE_180: pixels[::-1, ::-1],
        Image.Transpose.ROTATE_270: np.rot90(pixels, -1),
        Image.Transpose.TRANSPOSE: pixels.swapaxes(0, 1),
        Image.Transpose.TRANSVERSE: pixels[::-1, ::-1].swapaxes(0, 1),
    }
    return np.ascontiguousarray(views[turn])


def _in_unit(pixels: Levels) -> UnitImage:
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
