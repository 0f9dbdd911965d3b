"""Restore image files: a bad file does not stop the others, finished files stay.

A few images are in work at once, each in a thread of its own: while networks restore some, another is read or written.
"""

import errno
import io
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.photo import Levels, Photo, UnitImage, read_photo
from benchmark.data.photo_writer import photo_bytes
from benchmark.errors import BenchmarkError, root_cause
from benchmark.files import write_bytes
from benchmark.inference.adjustments import blended
from benchmark.inference.restore_tasks import RestoreTask

_COMPRESSION = 3
_FOR_ALL_FILES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of writing that the next file would have, too."""
_MOST_STDIN_BYTES = 1 << 30
_UNSIGNED_MAPS: Final = ("mask", "proposal", "blend")
"""Maps with values between 0 and 1; the others have a sign."""

Maps = Mapping[str, NDArray[np.float32]]
"""Maps that a head predicts, by name, `H W C` each."""


class Restored(NamedTuple):
    """A restored image, `H W 3` in [0, 1], with the maps that were asked for and that a picture can show."""

    image: UnitImage
    maps: Maps


@dataclass(frozen=True)
class RestoredFrames:
    """The frames of a restored photo.

    Attributes:
        images: All frames, in the numbers of the file.
        degraded: The first frame as the network saw it.
        first: The first frame restored, with its maps.
    """

    images: Sequence[Levels]
    degraded: UnitImage
    first: Restored


@dataclass(frozen=True)
class RestoreSettings:
    """How files are restored.

    Attributes:
        strength: From 0, the image as it is, to 1, the restored image.
        compare: Folder for pictures of the image beside the restored one; None: none.
        maps: Folder with a folder for each map of the head; None: none.
    """

    strength: float = 1.0
    compare: Path | None = None
    maps: Path | None = None


@dataclass(frozen=True)
class ImageOutcome:
    """Whether an image was restored; `message`: why not, or what of it was lost, in one line."""

    task: RestoreTask
    result: Literal["restored", "failed"]
    message: str = ""


@dataclass(frozen=True)
class _RestoredPhoto:
    """A photo with the restored pixels of its frames, and the further pictures to write, by path."""

    photo: Photo
    images: Sequence[Levels]
    pictures: Mapping[Path, NDArray[np.uint8]] = field(default_factory=dict[Path, NDArray[np.uint8]])


class Networks(Protocol):
    """Lends networks to images that are restored side by side; see `restore_workers`."""

    count: int
    """How many images may be restored at once."""

    def restore(self, pixels: int) -> AbstractContextManager[Callable[[UnitImage], Restored]]:
        """Lend a network for an image of so many pixels; it takes sRGB `H W 3` in [0, 1]."""
        ...


def restore_files(
    networks: Networks, tasks: Sequence[RestoreTask], settings: RestoreSettings
) -> Iterator[ImageOutcome]:
    """Restore images and yield the outcome of each, in their order.

    An image that cannot be read, restored or written does not stop the others. Every file is written whole or not at
    all. Of several frames each is restored; pictures to compare and maps show the first.

    Args:
        networks: What restores.
        tasks: The images.
        settings: How they are restored.

    Raises:
        OSError: Nothing can be written to the disk.
    """
    at_once = networks.count + 1  # beside those that are restored, one is read or written
    waiting, running = deque(tasks), deque["Future[ImageOutcome]"]()
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while waiting or running:
                while waiting and len(running) < 2 * at_once:
                    running.append(pool.submit(_restore_file, networks, waiting.popleft(), settings))
                yield running.popleft().result()
        finally:  # of a full disk, or of a user who stops: what waits is not begun
            pool.shutdown(cancel_futures=True)


def _restore_file(networks: Networks, task: RestoreTask, settings: RestoreSettings) -> ImageOutcome:
    return _write(task, _restore(networks, task, _read(task), settings))


def _read(task: RestoreTask) -> Photo | ImageOutcome:
    try:
        if task.source is None:
            return read_photo(Path("standard input"), sys.stdin.buffer.read(_MOST_STDIN_BYTES))
        return read_photo(task.source)
    except BenchmarkError as error:
        return ImageOutcome(task, "failed", str(error))
    except Exception as error:  # e.g. too little memory
        return ImageOutcome(task, "failed", f"{task.source}: cannot be read: {root_cause(error)}")


def _restore(
    networks: Networks,
    task: RestoreTask,
    photo: Photo | ImageOutcome,
    settings: RestoreSettings,
) -> _RestoredPhoto | ImageOutcome:
    if isinstance(photo, ImageOutcome):
        return photo
    try:
        height, width = photo.frames[0].pixels.shape[:2]
        with networks.restore(height * width) as restore:
            restored = restore_photo(restore, photo, settings.strength)
        pictures = _pictures(task, restored.degraded, restored.first, settings)
    except BenchmarkError as error:
        return ImageOutcome(task, "failed", str(error))
    except Exception as error:  # of torch, a runtime or a user's network, lack of memory included
        return ImageOutcome(task, "failed", f"{task.source}: cannot be restored: {root_cause(error)}")
    return _RestoredPhoto(photo, restored.images, pictures)


def restore_photo(restore: Callable[[UnitImage], Restored], photo: Photo, strength: float = 1.0) -> RestoredFrames:
    """Restore all frames of a photo.

    Args:
        restore: The network, for sRGB `H W 3` in [0, 1].
        photo: The photo.
        strength: From 0, the image as it is, to 1, the restored image.
    """
    images: list[Levels] = []
    shown: list[tuple[UnitImage, Restored]] = []
    for frame in photo.frames:
        degraded = photo.to_srgb(frame)
        restored = restore(degraded)
        image = blended(degraded, restored.image, strength)
        images.append(photo.from_srgb(image, degraded, frame))
        if not shown:
            shown.append((degraded, Restored(image, restored.maps)))
    return RestoredFrames(images, *shown[0])


def _write(task: RestoreTask, restored: _RestoredPhoto | ImageOutcome) -> ImageOutcome:
    if isinstance(restored, ImageOutcome):
        return restored
    photo = restored.photo
    try:
        content, notes = photo_bytes(photo, restored.images, task.file_format or photo.file_format)
        for path, picture in restored.pictures.items():
            write_bytes(path, _png(picture))
        if task.output is None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        elif not task.keeps_output:
            write_bytes(task.output, content)  # the last: it says that the image is finished
    except BenchmarkError as error:
        return ImageOutcome(task, "failed", f"{task.source}: {error}")
    except OSError as error:
        if error.errno in _FOR_ALL_FILES:
            raise
        return ImageOutcome(task, "failed", f"{task.output}: cannot be written: {error.strerror or error}")
    except Exception as error:  # of Pillow, for what a format does not hold
        return ImageOutcome(task, "failed", f"{task.output}: cannot be written: {root_cause(error)}")
    kept = ("its file was there and stays",) if task.keeps_output else ()
    return ImageOutcome(task, "restored", "; ".join((*kept, *photo.notes, *notes)))


def _pictures(
    task: RestoreTask, degraded: UnitImage, restored: Restored, settings: RestoreSettings
) -> dict[Path, NDArray[np.uint8]]:
    """Return the further pictures of an image by path."""
    pictures: dict[Path, NDArray[np.uint8]] = {}
    if settings.compare:
        side_by_side = np.hstack([degraded, restored.image])
        pictures[settings.compare / task.name] = np.rint(side_by_side.clip(0, 1) * 255).astype(np.uint8)
    if settings.maps:
        maps = restored.maps.items()
        pictures |= {settings.maps / name / task.name: map_image(name, values) for name, values in maps}
    return pictures


def map_image(name: str, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a map `H W C` as 8-bit levels, `H W` if C is 1; level 255 is 1.0, values beyond the range are clipped.

    Level 0 is 0.0 in maps between 0 and 1 (mask, proposal, blend); in all others level 128 is 0.0.
    """
    zero = 0 if name in _UNSIGNED_MAPS else 128
    levels = np.rint(np.clip(zero + 255 * values.astype(np.float32), 0, 255)).astype(np.uint8)
    return levels[..., 0] if levels.shape[-1] == 1 else levels


def _png(picture: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", compress_level=_COMPRESSION)
    return content.getvalue()
