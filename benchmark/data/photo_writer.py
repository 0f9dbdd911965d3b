"""Write a photograph with restored pixels as its file was written: format, quality, bits, profile, metadata, frames."""

import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from PIL import Image, PngImagePlugin

from benchmark.data import deep_colour
from benchmark.data.photo import Frame, Levels, Photo, turned
from benchmark.errors import DataError

OUTPUT_FORMATS: Final = ("PNG", "JPEG", "WEBP", "TIFF")
"""The formats that any photo can be written in: they hold colour profiles and EXIF data."""
_ANIMATED: Final = ("GIF", "WEBP", "PNG", "AVIF", "TIFF")
"""Formats of several frames or pages."""
_WITHOUT_ALPHA: Final = ("JPEG", "BMP", "PPM")
_BACK: Final = {
    Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
    Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
}
"""The others undo themselves."""
_QUALITY: Final = 95
"""Of files whose own quality is not known."""
_COMPRESSION: Final = 3
"""Of PNG: the default, 6, takes several times longer for files hardly smaller."""


def photo_bytes(photo: Photo, images: Sequence[Levels], file_format: str) -> tuple[bytes, tuple[str, ...]]:
    """Return the content of a file, and what it has not of the photo, each in a few words.

    Args:
        photo: What was read.
        images: The restored pixels of its frames, as `Photo.from_srgb` returns them.
        file_format: That of the photo, or one of `OUTPUT_FORMATS`.

    Raises:
        DataError: The format holds one frame, and the photo has more.
    """
    if len(images) > 1 and file_format not in _ANIMATED:
        raise DataError(f"{len(images)} frames, but {file_format} holds one; choose webp, png or tiff")
    notes: list[str] = []
    frames = list(zip(images, photo.frames, strict=True))
    if file_format in _WITHOUT_ALPHA and any(frame.alpha is not None for _, frame in frames):
        notes.append("without its alpha channel")
        frames = [(image, Frame(frame.pixels)) for image, frame in frames]
    is_deep = images[0].dtype == np.uint16
    if is_deep and file_format not in ("PNG", "TIFF", "PPM"):
        notes.append("with 8 bits a channel")
        frames = [_in_8_bits(image, frame) for image, frame in frames]
    elif len(frames) == 1 and (file_format == "TIFF" or (is_deep and file_format == "PNG" and not photo.is_grey)):
        return _own_bytes(photo, *frames[0], file_format), tuple(notes)
    if file_format == "GIF":
        notes.append("in 256 colours a frame")
    pictures = [_picture(photo, image, frame) for image, frame in frames]
    content = io.BytesIO()
    options = _options(photo, file_format)
    if len(pictures) > 1:
        options |= {"save_all": True, "append_images": pictures[1:]}
        if file_format != "TIFF":
            options |= {"duration": [frame.duration_ms for frame in photo.frames], "loop": photo.info.get("loop", 0)}
        if file_format == "GIF":
            options["disposal"] = 2
    pictures[0].save(content, file_format, **options)
    return content.getvalue(), tuple(notes)


def _picture(photo: Photo, image: Levels, frame: Frame) -> Image.Image:
    turn = None if photo.turn is None else _BACK.get(photo.turn, photo.turn)
    colours = image[..., 0] if photo.is_grey else image
    picture = Image.fromarray(turned(colours, turn))
    if frame.alpha is not None:
        picture.putalpha(Image.fromarray(turned(frame.alpha, turn)))
    return picture


def _in_8_bits(image: Levels, frame: Frame) -> tuple[Levels, Frame]:
    alpha = None if frame.alpha is None else _rounded(frame.alpha)
    return _rounded(image), Frame(frame.pixels, alpha, frame.duration_ms)


def _rounded(levels: Levels) -> Levels:
    return np.rint(levels / 257).astype(np.uint8)


def _own_bytes(photo: Photo, image: Levels, frame: Frame, file_format: str) -> bytes:
    """Return a file that Pillow cannot write."""
    turn = None if photo.turn is None else _BACK.get(photo.turn, photo.turn)
    colours = image[..., :1] if photo.is_grey else image
    pixels = turned(colours if frame.alpha is None else np.dstack([colours, frame.alpha]), turn)
    if file_format == "PNG":
        return deep_colour.png_bytes(pixels, photo.exif, photo.icc_profile, photo.texts)
    is_compressed = photo.encoding.get("compression") != "raw"
    return deep_colour.tiff_bytes(pixels, photo.exif, photo.icc_profile, is_compressed=is_compressed)


def _options(photo: Photo, file_format: str) -> dict[str, Any]:
    """Return the options of Pillow's writer that keep what the photo's file had."""
    options: dict[str, Any] = {name: value for name, value in photo.info.items() if name in _INFO.get(file_format, ())}
    if file_format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        if photo.exif:
            options["exif"] = (b"Exif\0\0" if file_format == "JPEG" else b"") + photo.exif
        if photo.icc_profile:
            options["icc_profile"] = photo.icc_profile
    if file_format == photo.file_format:
        options |= photo.encoding
    match file_format:
        case "JPEG" if "qtables" not in options:
            options |= {"quality": _QUALITY, "subsampling": 0}
        case "WEBP" | "AVIF":
            options["quality"] = _QUALITY
        case "PNG":
            options["compress_level"] = _COMPRESSION
            if photo.texts:
                options["pnginfo"] = _text_chunks(photo)
        case "TIFF":
            options["compression"] = "raw"  # compressed by Pillow, it would have no EXIF data
        case _:
            pass
    return options


_INFO: Final = {
    "JPEG": ("dpi", "comment", "xmp"),
    "PNG": ("dpi",),
    "WEBP": ("xmp",),
    "AVIF": ("xmp",),
    "TIFF": ("dpi",),
    "GIF": ("comment",),
}
"""What of `Photo.info` a format holds."""


def _text_chunks(photo: Photo) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    for key, text in photo.texts.items():
        chunks.add_text(key, text)
    return chunks
