"""Measurements of one pair, decoded once: files, size, degradation, shift and traces of JPEG; or why it is unusable."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from benchmark.audit.degradation import Degradation, analyse
from benchmark.audit.duplicates import Fingerprint, fingerprint
from benchmark.audit.registration import Shift, find_shift, luminance
from benchmark.data import Pair, Source, in_levels
from benchmark.data.image_folders import ImageFolder, list_folder
from benchmark.data.image_io import open_image, read_image, stored_bits
from benchmark.data.pairing import HasPairFiles, PairedFiles
from benchmark.errors import DataError

MIN_SIDE_PX: Final = 16
"""A network cannot learn from patches of smaller images."""
_BLOCK_PX: Final = 8
_BLOCK_GRID_MIN_SIDE_PX: Final = 64
_BLOCK_GRID_CLEAR: Final = 2.0
"""By how many standard errors the borders of blocks must stand out in both directions."""
_STEP_LIMIT_LEVELS: Final = 20
"""Larger steps are the picture's own edges."""


@dataclass(frozen=True)
class Folders:
    """Two folders: the pairs they make, and what each holds."""

    pairs: tuple[PairedFiles, ...]
    degraded: ImageFolder
    target: ImageFolder


@dataclass(frozen=True)
class Header:
    """What reading the pixels hides. `profile`: empty for none and for sRGB, which is assumed."""

    format: str
    mode: str
    bits: int
    frames: int
    profile: str
    turned: bool


@dataclass(frozen=True)
class PairMeasurements:
    """A usable pair. `shift`: None where the images are too small or flat; `headers`: of degraded and target files."""

    name: str
    split: str
    height: int
    width: int
    degradation: Degradation
    shift: Shift | None
    degraded: Fingerprint
    target: Fingerprint
    block_grid: bool
    headers: tuple[Header, Header] | None = None


@dataclass(frozen=True)
class UnusablePair:
    """A pair that no run can use."""

    name: str
    split: str
    reason: Literal["unreadable", "sizes", "tiny"]
    detail: str


MeasuredPair = PairMeasurements | UnusablePair


def match_folders(degraded: Path, target: Path) -> Folders:
    """Return the pairs of two folders by equal names.

    Raises:
        DataError: a folder has no images.
    """
    folders = list_folder(degraded), list_folder(target)
    left, right = (folder.images for folder in folders)
    names = sorted(left.keys() & right.keys())
    return Folders(tuple(PairedFiles(name, left[name], right[name]) for name in names), *folders)


def label(pair: MeasuredPair) -> str:
    """Return the name as reports show it: with its split, where there are splits."""
    return f"{pair.split}: {pair.name}" if pair.split else pair.name


def measure_files(pairs: Sequence[PairedFiles], index: int, split: str = "") -> MeasuredPair:
    """Measure pair number `index` of two folders."""
    files = pairs[index]
    try:
        degraded, target = read_image(files.degraded), read_image(files.target)
        headers = read_header(files.degraded), read_header(files.target)
    except DataError as error:
        return UnusablePair(files.name, split, "unreadable", str(error))
    return _measure(Pair(files.name, degraded, target), split, headers)


def measure_sources(sources: Sequence[tuple[str, Source]], index: int) -> MeasuredPair:
    """Measure pair number `index` of the splits of an experiment, one after the other.

    Headers are known if the pair consists of two files.
    """
    ends = list(accumulate(len(source) for _, source in sources))
    place = bisect_right(ends, index)
    split, source = sources[place]
    number = index - (ends[place] - len(source))
    if isinstance(source, HasPairFiles):
        return measure_files([source.pair_files(number)], 0, split)
    try:
        pair = source.read(number)
        return _measure(replace(pair, degraded=in_levels(pair.degraded)), split, None)
    except DataError as error:
        return UnusablePair(f"number {number}", split, "unreadable", str(error))


def _measure(pair: Pair, split: str, headers: tuple[Header, Header] | None) -> MeasuredPair:
    sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (pair.degraded, pair.target)]
    if pair.degraded.shape != pair.target.shape:
        return UnusablePair(pair.name, split, "sizes", f"degraded {sizes[0]}, target {sizes[1]} px")
    height, width = pair.target.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        return UnusablePair(pair.name, split, "tiny", f"{sizes[1]} px")
    return PairMeasurements(
        name=pair.name,
        split=split,
        height=height,
        width=width,
        degradation=analyse(pair.degraded, pair.target),
        shift=find_shift(pair.degraded, pair.target),
        degraded=fingerprint(pair.degraded),
        target=fingerprint(pair.target),
        block_grid=has_block_grid(pair.target),
        headers=headers,
    )


def read_header(file: Path) -> Header:
    """Return what the header of a readable image file says.

    Raises:
        DataError: the file is no image.
    """
    with open_image(file) as image:
        bits = stored_bits(image)
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
        frames = int(getattr(image, "n_frames", 1))
        return Header(image.format or "", image.mode, bits, frames, _profile(image), turned)


def _profile(image: Image.Image) -> str:
    data = image.info.get("icc_profile")
    if not data:
        return ""
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(data))).strip()
    except (ImageCms.PyCMSError, OSError):
        return "unreadable"
    return "" if "srgb" in name.lower() else name or "unnamed"


def has_block_grid(image: NDArray[np.uint8]) -> bool:
    """Return whether steps of brightness are strongest every 8 pixels from the corner, in rows and in columns.

    These are the borders of JPEG's 8 x 8 blocks. Of 106 photographs, portraits and drawn faces it is True for 105 saved
    at quality 80, 91 at quality 90, 48 at quality 95 and none without JPEG, nor for any of 360 faces of 64 to 128 px
    that were drawn without a camera's JPEG. A grid that was cropped off its corner or resized is not seen. False for
    images below 64 px a side.
    """
    if min(image.shape[:2]) < _BLOCK_GRID_MIN_SIDE_PX:
        return False
    values = luminance(image)
    return all(_borders_stand_out(direction) for direction in (values, values.T))


def _borders_stand_out(values: NDArray[np.float32]) -> bool:
    steps = np.minimum(np.abs(np.diff(values, axis=1)), _STEP_LIMIT_LEVELS)
    excess = (steps[:, 1:-1] - 0.5 * (steps[:, :-2] + steps[:, 2:])).mean(0)
    by_place = [excess[place::_BLOCK_PX].astype(np.float64) for place in range(_BLOCK_PX)]
    border = _BLOCK_PX - 2  # the step from column 7 to 8 is number 7, and the first step has no neighbour before it
    means = [float(steps_at_place.mean()) for steps_at_place in by_place]
    inside = np.concatenate([at_place for place, at_place in enumerate(by_place) if abs(place - border) > 1])
    error = float(inside.std()) / len(by_place[border]) ** 0.5 + 1e-3  # a drawing may have no steps at all
    return means[border] == max(means) and (means[border] - float(inside.mean())) / error > _BLOCK_GRID_CLEAR
