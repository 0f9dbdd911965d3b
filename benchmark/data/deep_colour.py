"""Colour images of 16 bits a channel, which Pillow shows as 8: read all bits, write PNG and TIFF.

Pillow decodes such files and keeps the first or the second byte of each number, as its decoder is set: decoded with
both settings, a file gives all 16 bits. What it cannot do is to write them.
"""

import io
import struct
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, TiffTags
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_LEVEL = 3
"""Of zlib: the default, 6, takes several times longer for files hardly smaller."""
_ICC_PROFILE = 34675
_OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""The byte order in which the second byte takes the place of the first."""


def is_deep_colour(image: ImageFile.ImageFile) -> bool:
    """Return whether an opened image, not yet decoded, has 16 bits a channel in RGB or RGBA."""
    return image.mode in ("RGB", "RGBA") and bool(image.tile) and all(_is_deep(_raw_mode(tile)) for tile in image.tile)


def keep_second_byte(image: ImageFile.ImageFile) -> None:
    """Let an opened image of 16 bits a channel be decoded to the second byte of each number, in place of the first."""
    image.tile = [_with_raw_mode(tile, _raw_mode(tile)[:-1] + _OTHER_BYTE[_raw_mode(tile)[-1]]) for tile in image.tile]


def _is_deep(raw_mode: str) -> bool:
    return raw_mode in {f"{mode};16{order}" for mode in ("RGB", "RGBA") for order in _OTHER_BYTE}


def _raw_mode(tile: Any) -> str:
    return str(tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0])


def _with_raw_mode(tile: Any, raw_mode: str) -> Any:
    return tile._replace(args=raw_mode if isinstance(tile.args, str) else (raw_mode, *tile.args[1:]))


def png_bytes(pixels: NDArray[np.uint16], exif: bytes, profile: bytes, texts: Mapping[str, str]) -> bytes:
    """Return a PNG file (ISO/IEC 15948) of `H W 3` or `H W 4` pixels of 16 bits."""
    height, width, channels = pixels.shape
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0))]
    if profile:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)))
    if exif:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    chunks += [
        (b"iTXt", key.encode("latin-1", "replace") + b"\0\0\0\0\0" + text.encode()) for key, text in texts.items()
    ]
    chunks += [(b"IDAT", b"".join(_png_rows(pixels))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def _png_rows(pixels: NDArray[np.uint16]) -> Iterator[bytes]:
    """Yield the compressed rows: each as its difference from the row above, which compresses better."""
    compressor = zlib.compressobj(_LEVEL)
    above = np.zeros(pixels.shape[1] * pixels.shape[2] * 2, np.uint8)
    for row in pixels:
        line = np.frombuffer(row.astype(">u2").tobytes(), np.uint8)
        yield compressor.compress(b"\x02" + (line - above).tobytes())
        above = line
    yield compressor.flush()


def tiff_bytes(pixels: NDArray[Any], exif: bytes, profile: bytes, *, is_compressed: bool) -> bytes:
    """Return a TIFF file (revision 6.0), without loss; Pillow cannot write one that is compressed and has EXIF data.

    Args:
        pixels: `H W C`, uint8 or uint16: grey or RGB, each perhaps with alpha.
        exif: EXIF data without the prefix of JPEG.
        profile: The colour profile.
        is_compressed: By deflate, each number as its difference from that of the pixel to the left.
    """
    height, width, channels = pixels.shape
    bits = 8 * pixels.itemsize
    ordered = pixels.astype(f"<u{pixels.itemsize}")
    if is_compressed:
        ordered[:, 1:] -= pixels[:, :-1]
    data = zlib.compress(ordered.tobytes(), _LEVEL) if is_compressed else ordered.tobytes()
    directory = ImageFileDirectory_v2(prefix=b"II")
    metadata = Image.Exif()
    metadata.load(exif)
    for tag in metadata:
        directory[tag] = metadata.get_ifd(tag) if tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo) else metadata[tag]
    directory[Base.ImageWidth], directory[Base.ImageLength] = width, height
    directory[Base.BitsPerSample], directory[Base.SamplesPerPixel] = (bits,) * channels, channels
    directory[Base.Compression], directory[Base.Predictor] = (8, 2) if is_compressed else (1, 1)
    directory[Base.PhotometricInterpretation], directory[Base.PlanarConfiguration] = 2 if channels > 2 else 1, 1
    directory[Base.RowsPerStrip], directory[Base.StripOffsets] = height, (0,)
    directory[Base.StripByteCounts] = (len(data),)
    if channels in (2, 4):
        directory[Base.ExtraSamples] = (2,)  # alpha that is not multiplied into the colours
    if profile:
        directory.tagtype[_ICC_PROFILE] = TiffTags.UNDEFINED
        directory[_ICC_PROFILE] = profile
    file = io.BytesIO()
    directory.save(file)  # this also moves the offset of the strip behind the directory
    return file.getvalue() + data
