"""Duplicates: equal and nearly equal images.

Nearly equal: the 64-bit pHash differs in at most `MOST_BITS` bits, and thumbnails of 32 x 32 correlate to at least
`LEAST_CORRELATION`. Measured on 24 photographs, 30 portraits and 52 drawn faces: copies that were saved as JPEG of
quality 30, resized, brightened or darkened differ in at most 6 bits and correlate to 0.977 and more; different pictures
differ in 12 bits and more and correlate to 0.86 at most.
"""

# scipy ships no types:
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

MOST_BITS: Final = 8
LEAST_CORRELATION: Final = 0.95
_THUMBNAIL_PX: Final = 32
_HASH_SIDE: Final = 8
_LEAST_CONTRAST_LEVELS: Final = 2.0
_BLOCK: Final = 1024
"""Number of images that are compared with all others at a time."""


@dataclass(frozen=True)
class Fingerprint:
    """`digest`: of the pixels; `phash`: 64 bits; `thumbnail`: grey, 32 x 32; without contrast only `digest` counts."""

    digest: str
    phash: int
    thumbnail: bytes


@dataclass(frozen=True)
class Duplicates:
    """Places of images that show the same picture; `exact`: all of them pixel by pixel."""

    members: tuple[int, ...]
    exact: bool


def fingerprint(image: NDArray[np.uint8]) -> Fingerprint:
    """Return the fingerprint by which an image `H W 3` is compared."""
    digest = hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()
    side = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    small = np.asarray(Image.fromarray(image).convert("L").resize(side, Image.Resampling.LANCZOS))
    waves: Any = dctn(small.astype(np.float64), norm="ortho")
    low = waves[:_HASH_SIDE, :_HASH_SIDE].ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return Fingerprint(digest, int.from_bytes(np.packbits(bits).tobytes()), small.tobytes())


def find_duplicates(prints: Sequence[Fingerprint]) -> list[Duplicates]:
    """Return groups of two and more, in the order of their first members. A copy of a copy belongs to its group."""
    first: dict[str, int] = {}
    links = [(first.setdefault(image.digest, place), place) for place, image in enumerate(prints)] + _near(prints)
    graph = coo_array((np.ones(len(links)), tuple(np.array(links, int).reshape(-1, 2).T)), (len(prints), len(prints)))
    groups: dict[int, list[int]] = {}
    for place, component in enumerate(connected_components(graph, directed=False)[1].tolist()):
        groups.setdefault(component, []).append(place)
    return [
        Duplicates(tuple(members), len({prints[place].digest for place in members}) == 1)
        for members in groups.values()
        if len(members) > 1
    ]


def _near(prints: Sequence[Fingerprint]) -> list[tuple[int, int]]:
    """Return the pairs of places whose images are nearly equal."""
    hashes = np.array([image.phash for image in prints], dtype=np.uint64)
    links: list[tuple[int, int]] = []
    for start in range(0, len(prints), _BLOCK):
        block = hashes[start : start + _BLOCK]
        bits = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        pairs = ((start + row, start + column) for row, column in np.argwhere(bits <= MOST_BITS).tolist())
        links += [(low, high) for low, high in pairs if low < high and are_alike(prints[low], prints[high])]
    return links


def are_alike(first: Fingerprint, second: Fingerprint) -> bool:
    """Return whether two images look the same at the size of a thumbnail."""
    a, b = (np.frombuffer(image.thumbnail, np.uint8).astype(np.float64) for image in (first, second))
    if min(float(a.std()), float(b.std())) < _LEAST_CONTRAST_LEVELS:
        return False
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) >= LEAST_CORRELATION * float(np.linalg.norm(a) * np.linalg.norm(b))
