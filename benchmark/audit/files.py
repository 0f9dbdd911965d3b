"""Two folders, as pairs; and what an image file says of itself before it is decoded."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, ImageCms

from benchmark.data.image_io import images_in, stored_bits
from benchmark.data.pairing import PairedFiles


@dataclass(frozen=True)
class Folders:
    """Two folders: what makes pairs, and the names that one folder alone has."""

    pairs: tuple[PairedFiles, ...]
    only_degraded: tuple[str, ...]
    only_target: tuple[str, ...]


@dataclass(frozen=True)
class Header:
    """What reading the pixels hides. `profile`: empty for none and for sRGB, which is what is assumed."""

    format: str
    mode: str
    bits: int
    profile: str
    turned: bool


def match(degraded: Path, target: Path) -> Folders:
    """The pairs of two folders by equal names. Raises DataError for a folder without images."""
    left, right = images_in(degraded), images_in(target)
    both = sorted(left.keys() & right.keys())
    return Folders(
        tuple(PairedFiles(name, left[name], right[name]) for name in both),
        tuple(sorted(left.keys() - right.keys())),
        tuple(sorted(right.keys() - left.keys())),
    )


def read_header(file: Path) -> Header:
    """What the header of a readable image file says. Raises OSError or ValueError for other files."""
    with Image.open(file) as image:
        bits = stored_bits(image)
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
        return Header(image.format or "", image.mode, bits, _profile(image), turned)


def _profile(image: Image.Image) -> str:
    data = image.info.get("icc_profile")
    if not data:
        return ""
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(data))).strip()
    except (ImageCms.PyCMSError, OSError):
        return "unreadable"
    return "" if "srgb" in name.lower() else name or "unnamed"


def most_common(values: Iterable[str]) -> str:
    """The value that stands there most often, the first of equals; empty for none."""
    listed = list(values)
    return max(dict.fromkeys(listed), key=listed.count, default="")
