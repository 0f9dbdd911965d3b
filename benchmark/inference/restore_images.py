"""Restore folders of images, one file after the other: a bad file does not stop the others, finished files stay."""

import errno
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.data.image_io import open_image, read_image, stored_bits
from benchmark.errors import BenchmarkError, DataError, root_cause
from benchmark.files import write_bytes

_COMPRESSION = 3
"""Of PNG: the default, 6, takes several times longer for files hardly smaller."""
_FOR_ALL_FILES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of writing that the next file would have, too."""


@dataclass(frozen=True)
class ImageOutcome:
    """Whether an image was restored; `message`: why it failed, or what of it was lost, in one line."""

    result: Literal["restored", "skipped", "failed"]
    message: str = ""


def restore_folder(
    restore: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    images: Mapping[str, Path],
    folder: Path,
    *,
    replace: bool,
) -> Iterator[ImageOutcome]:
    """Restore images into `<folder>/<name>.png`, 8-bit RGB; yield the outcome of each, in their order.

    An image that cannot be read, restored or written does not stop the others. Every file is written whole or not at
    all.

    Args:
        restore: From `H W 3` uint8 to the same shape and type.
        images: Name -> file.
        folder: Where to write.
        replace: Restore images again whose file exists.

    Raises:
        OSError: Nothing can be written to the disk.
    """
    for name, file in images.items():
        output = folder / f"{name}.png"
        try:
            if output.exists() and not replace:
                yield ImageOutcome("skipped")
                continue
            restored = restore(read_image(file))
            png = io.BytesIO()
            Image.fromarray(restored).save(png, "PNG", compress_level=_COMPRESSION)
            write_bytes(output, png.getvalue())
        except BenchmarkError as error:
            yield ImageOutcome("failed", str(error))
        except OSError as error:
            if error.errno in _FOR_ALL_FILES:
                raise
            yield ImageOutcome("failed", f"{output}: cannot be written: {error.strerror or error}")
        except Exception as error:  # of torch, a runtime or a user's network, lack of memory included
            yield ImageOutcome("failed", f"{file}: cannot be restored: {root_cause(error)}")
        else:
            lost = losses(file)
            yield ImageOutcome("restored", f"{file}: the result has not {', '.join(lost)}" if lost else "")


def losses(file: Path) -> list[str]:
    """Return what an image file holds that an 8-bit RGB image has not, from its header."""
    with suppress(DataError), open_image(file) as image:  # what its header does not say is not told
        bits, frames = stored_bits(image), getattr(image, "n_frames", 1)
        profile = image.info.get("icc_profile") or b""
        is_srgb = b"sRGB" in profile.replace(b"\0", b"")  # its description is in ASCII or UTF-16
        return [
            *["its alpha channel"] * image.has_transparency_data,
            *["its colour profile (numbers are taken as sRGB)"] * (bool(profile) and not is_srgb),
            *[f"its {bits} bits a channel (the upper 8 are restored)"] * (bits > 8),
            *[f"its further {frames - 1} frames or pages"] * (frames > 1),
        ]
    return []
