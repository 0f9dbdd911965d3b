"""Duplicates: equal and nearly equal images, mirror images (left to right) included.

Nearly equal: the 64-bit pHash differs in at most `MOST_BITS` bits, and thumbnails of 32 x 32 correlate to at least
`LEAST_CORRELATION`. Measured on 24 photographs, 30 portraits and 52 drawn faces: copies that were saved as JPEG of
quality 30, resized, brightened or darkened differ in at most 6 bits and correlate to 0.977 and more; different pictures
differ in 12 bits and more and correlate to 0.86 at most.
"""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmark.data import pixel_digest

MOST_BITS: Final = 8
LEAST_CORRELATION: Final = 0.95
_THUMBNAIL_PX: Final = 32
_HASH_SIDE: Final = 8
_LEAST_CONTRAST_LEVELS: Final = 2.0
_BLOCK: Final = 1024
"""Number of images that are compared with all others at a time."""


@dataclass(frozen=True)
class Fingerprint:
    """What images are compared by.

    `digest`: of the pixels; `phash` and `mirrored_phash`: 64 bits, of the image and its mirror image; `thumbnail`:
    grey, 32 x 32; without contrast only `digest` counts.
    """

    digest: str
    phash: int
    mirrored_phash: int
    thumbnail: bytes


@dataclass(frozen=True)
class Duplicates:
    """Places of images that show the same picture; `exact`: pixel by pixel; `mirrored`: some are mirror images."""

    members: tuple[int, ...]
    exact: bool
    mirrored: bool


def fingerprint(image: NDArray[np.uint8]) -> Fingerprint:
    """Return the fingerprint by which an image `H W 3` is compared."""
    side = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    small = np.asarray(Image.fromarray(image).convert("L").resize(side, Image.Resampling.LANCZOS))
    return Fingerprint(pixel_digest(image), _phash(small), _phash(small[:, ::-1]), small.tobytes())


def _phash(thumbnail: NDArray[np.uint8]) -> int:
    waves: Any = dctn(thumbnail.astype(np.float64), norm="ortho")
    low = waves[:_HASH_SIDE, :_HASH_SIDE].ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return int.from_bytes(np.packbits(bits).tobytes())


def find_duplicates(prints: Sequence[Fingerprint]) -> list[Duplicates]:
    """Return groups of two and more, in the order of their first members. A copy of a copy belongs to its group."""
    first: dict[str, int] = {}
    upright = [(first.setdefault(image.digest, place), place) for place, image in enumerate(prints)]
    upright += _near(prints, mirrored=False)
    mirrored = _near(prints, mirrored=True)
    links = upright + mirrored
    graph = coo_array((np.ones(len(links)), tuple(np.array(links, int).reshape(-1, 2).T)), (len(prints), len(prints)))
    groups: dict[int, list[int]] = {}
    for place, component in enumerate(connected_components(graph, directed=False)[1].tolist()):
        groups.setdefault(component, []).append(place)
    mirror_images = {high for _, high in set(mirrored) - set(upright)}  # a symmetric picture is none
    return [
        Duplicates(
            tuple(members),
            exact=len({prints[place].digest for place in members}) == 1,
            mirrored=not mirror_images.isdisjoint(members),
        )
        for members in groups.values()
        if len(members) > 1
    ]


def _near(prints: Sequence[Fingerprint], *, mirrored: bool) -> list[tuple[int, int]]:
    """Return the pairs of places whose images are nearly equal, or nearly mirror images."""
    hashes = np.array([image.phash for image in prints], dtype=np.uint64)
    compared = np.array([image.mirrored_phash for image in prints], dtype=np.uint64) if mirrored else hashes
    links: list[tuple[int, int]] = []
    for start in range(0, len(prints), _BLOCK):
        block = compared[start : start + _BLOCK]
        bits = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        pairs = ((start + row, start + column) for row, column in np.argwhere(bits <= MOST_BITS).tolist())
        links += [
            (low, high) for low, high in pairs if low < high and are_alike(prints[low], prints[high], mirrored=mirrored)
        ]
    return links


def are_alike(first: Fingerprint, second: Fingerprint, *, mirrored: bool = False) -> bool:
    """Return whether two images, or one and the mirror image of the other, look the same at a thumbnail's size."""
    a, b = (np.frombuffer(image.thumbnail, np.uint8).astype(np.float64) for image in (first, second))
    if mirrored:
        b = b.reshape(_THUMBNAIL_PX, _THUMBNAIL_PX)[:, ::-1].ravel()
    if min(float(a.std()), float(b.std())) < _LEAST_CONTRAST_LEVELS:
        return False
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) >= LEAST_CORRELATION * float(np.linalg.norm(a) * np.linalg.norm(b))
