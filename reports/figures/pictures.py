"""Operations on images for the examples: read, shrink, find the window to enlarge, colour an error, encode.

Images are uint8 arrays H W 3, RGB. An error map is float, H W, in 8-bit levels.
"""

import base64
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from reports.file_access import open_file

Image = npt.NDArray[np.uint8]
ErrorMap = npt.NDArray[np.float64]
Window = tuple[int, int, int, int]
"""top, left, bottom, right in pixels; bottom and right are outside."""

_FRAME = (255, 64, 64)
# Black to yellow through purple and orange: lightness grows all the way, so the map also reads in grey.
_ERROR_COLOURS = np.array([[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]])


def read(path: Path) -> Image:
    """Read an image file as RGB.

    Raises:
        OSError: The file is absent or no image.
        ValueError: The file is a damaged or a dangerously large image.
    """
    try:
        with open_file(path) as handle, PILImage.open(handle, formats=("PNG", "JPEG", "WEBP")) as image:
            return np.asarray(image.convert("RGB"), dtype=np.uint8)
    except (SyntaxError, PILImage.DecompressionBombError, PILImage.DecompressionBombWarning) as error:
        raise ValueError(str(error)) from error


def error(image: Image, target: Image) -> ErrorMap:
    """Return the largest channel difference at each pixel."""
    return np.abs(image.astype(np.float64) - target.astype(np.float64)).max(axis=2)


def strongest_window(error_map: ErrorMap, side: int) -> Window:
    """Return a square window of `side` pixels, or less in a small image, around the largest local error."""
    height, width = error_map.shape
    spot = max(side // 3, 1)
    tall, wide = min(spot, height), min(spot, width)
    sums = np.pad(error_map, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    first, last = _around(int(top) + tall // 2, side, height)
    start, end = _around(int(left) + wide // 2, side, width)
    return first, start, last, end


def _around(centre: int, side: int, length: int) -> tuple[int, int]:
    """Return the range of `side` pixels around `centre` that stays inside 0..length."""
    first = max(0, min(centre - side // 2, length - side))
    return first, min(first + side, length)


def crop(image: Image, window: Window) -> Image:
    """Return the pixels in a window."""
    top, left, bottom, right = window
    return image[top:bottom, left:right]


def shrunk(image: Image, most: int) -> Image:
    """Return a copy of the image with at most `most` pixels a side."""
    return _resized(image, min(1.0, most / max(image.shape[:2])))


def framed(image: Image, window: Window, most: int) -> Image:
    """Return the image with at most `most` pixels a side and the window outlined."""
    small = shrunk(image, most)
    height, width = small.shape[:2]
    top, left, bottom, right = (int(edge * min(1.0, most / max(image.shape[:2]))) for edge in window)
    bottom, right = min(bottom, height - 1), min(right, width - 1)
    small[[top, bottom], left : right + 1] = _FRAME
    small[top : bottom + 1, [left, right]] = _FRAME
    return small


def coloured(error_map: ErrorMap, highest: float) -> Image:
    """Return an error map in colour: black is 0, light yellow is `highest` levels or more."""
    place, stops = np.clip(error_map / highest, 0, 1), np.linspace(0, 1, len(_ERROR_COLOURS))
    channels = [np.interp(place, stops, levels) for levels in _ERROR_COLOURS.T]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def data_uri(image: Image, exact: bool) -> str:
    """Return a WebP image as a data URI; `exact` keeps every pixel."""
    out = io.BytesIO()
    PILImage.fromarray(image).save(out, "WEBP", lossless=exact, quality=88, method=4)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"


def png(image: Image) -> bytes:
    """Return the image as PNG."""
    out = io.BytesIO()
    # `optimize` would take three times as long for 2 % less.
    PILImage.fromarray(image).save(out, "PNG", compress_level=6)
    return out.getvalue()


def contact_sheet(columns: list[list[Image]], side: int) -> Image:
    """Return columns of images on white, each fitted into a square of `side` pixels; small images stay unsmoothed."""
    gap, rows = 6, max(len(column) for column in columns)
    sheet = np.full((rows * (side + gap) + gap, len(columns) * (side + gap) + gap, 3), 255, dtype=np.uint8)
    for x, column in enumerate(columns):
        for y, image in enumerate(column):
            fitted = _resized(image, side / max(image.shape[:2]))
            height, width = fitted.shape[:2]
            top, left = gap + y * (side + gap) + (side - height) // 2, gap + x * (side + gap) + (side - width) // 2
            sheet[top : top + height, left : left + width] = fitted
    return sheet


def _resized(image: Image, factor: float) -> Image:
    """Return a copy of the image with its sides times `factor`; smooth only where it becomes smaller."""
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    method = PILImage.Resampling.NEAREST if factor >= 1 else PILImage.Resampling.LANCZOS
    return np.array(PILImage.fromarray(image).resize(size, method))
