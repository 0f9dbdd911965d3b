"""From the bytes of an uploaded file to the restored file and to pictures of it for a browser."""

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.image_io import open_image
from benchmark.data.photo import read_photo
from benchmark.data.photo_writer import photo_bytes
from benchmark.errors import DataError
from benchmark.inference.int8 import shipped_file
from benchmark.inference.network import Network
from benchmark.inference.restore_images import map_image, restore_photo
from benchmark.inference.restore_network import MOST_WHOLE_PIXELS, ImageRestoration, NetworkUse
from benchmark.registry import Registry

_PREVIEW_PX = 1600
"""Longest side of the pictures for the browser; the result to download has all pixels."""
_COMPRESSION = 1


@dataclass(frozen=True)
class Bounds:
    """What an upload may be at most."""

    bytes: int
    pixels: int
    """Of all frames together."""


@dataclass(frozen=True)
class RestoredUpload:
    """A restored file.

    Attributes:
        content: The file to download, in the format of the upload.
        file_format: Pillow's name of the format.
        size: Height and width in pixels.
        before: The first frame as it was, as PNG of at most 1600 px a side.
        after: The same restored.
        maps: What the head predicts, by name, as PNG; none for images that are restored in tiles.
        seconds: What the network took for all frames.
        notes: What of the file is not restored or not kept.
    """

    content: bytes
    file_format: str
    size: tuple[int, int]
    before: bytes
    after: bytes
    maps: Mapping[str, bytes]
    seconds: float
    notes: tuple[str, ...]


class RestoreRow:
    """Restores uploads with one network."""

    def __init__(self, network: Network) -> None:
        """Take a network that is on its device."""
        self._tile_notes: list[str] = []
        restorer, device, note, file = network.restorer, network.device, self._tile_notes.append, network.file
        self._whole = ImageRestoration(restorer, device, NetworkUse(with_maps=file is None), note, file)
        self._tiled = ImageRestoration(restorer, device, NetworkUse(), note, file)

    def __call__(self, name: str, content: bytes, strength: float, bounds: Bounds) -> RestoredUpload:
        """Return the restored file.

        Args:
            name: Of the file, for messages.
            content: Its bytes.
            strength: From 0, the image as it is, to 1, the restored image.
            bounds: What is refused.

        Raises:
            DataError: It is no image that can be restored, or too large.
        """
        is_whole = _checked_pixels(name, content, bounds) <= MOST_WHOLE_PIXELS
        photo = read_photo(Path(name), content)
        started = time.perf_counter()
        restored = restore_photo(self._whole if is_whole else self._tiled, photo, strength)
        seconds = time.perf_counter() - started
        content, lost = photo_bytes(photo, restored.images, photo.file_format)
        first = photo.frames[0].pixels
        return RestoredUpload(
            content=content,
            file_format=photo.file_format,
            size=(first.shape[0], first.shape[1]),
            before=_preview(_levels(restored.degraded)),
            after=_preview(_levels(restored.first.image)),
            maps={name: _preview(map_image(name, values)) for name, values in restored.first.maps.items()},
            seconds=seconds,
            notes=(*photo.notes, *lost, *([] if is_whole else self._tile_notes)),
        )


def load_row(path: Path, plugins: tuple[Path, ...], device: str | None) -> RestoreRow:
    """Return the network of a trained row, ready for uploads. Raises RecordError."""
    from benchmark.model import load

    return RestoreRow(Network(load(path, Registry(plugins)), device, shipped_file(path)))


def _checked_pixels(name: str, content: bytes, bounds: Bounds) -> int:
    """Return the pixels of an upload by its header, before anything is decoded.

    Raises:
        DataError: It is no image, or has too many.
    """
    with open_image(Path(name), content) as image:
        frames = int(getattr(image, "n_frames", 1))
        pixels = image.width * image.height * frames
    if pixels > bounds.pixels:
        raise DataError(
            f"{name}: {pixels / 1e6:.1f} million pixels; up to {bounds.pixels / 1e6:g} million are restored here: "
            "`python -m benchmark restore` takes larger images"
        )
    return pixels


def _levels(unit: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(unit.clip(0, 1) * 255).astype(np.uint8)


def _preview(levels: NDArray[np.uint8]) -> bytes:
    picture = Image.fromarray(levels)
    picture.thumbnail((_PREVIEW_PX, _PREVIEW_PX), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=_COMPRESSION)
    return content.getvalue()
