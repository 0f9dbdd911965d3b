"""Equal and nearly equal targets.

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

MOST_BITS: Final = 8
LEAST_CORRELATION: Final = 0.95
_THUMBNAIL_PX: Final = 32
_HASH_SIDE: Final = 8
_LEAST_CONTRAST_LEVELS: Final = 2.0
_BLOCK: Final = 1024
"""So many images are compared with all others at a time."""


@dataclass(frozen=True)
class Fingerprint:
    """`digest`: of the pixels; `phash`: 64 bits; `thumbnail`: grey, 32 x 32; without contrast only `digest` counts."""

    digest: str
    phash: int
    thumbnail: bytes


@dataclass(frozen=True)
class Duplicates:
    """Places of images that show the same; `exact`: all of them pixel by pixel."""

    members: tuple[int, ...]
    exact: bool


def fingerprint(image: NDArray[np.uint8]) -> Fingerprint:
    """What an image `H W 3` is compared by."""
    digest = hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()
    side = (_THUMBNAIL_PX, _THUMBNAIL_PX)
    small = np.asarray(Image.fromarray(image).convert("L").resize(side, Image.Resampling.LANCZOS))
    waves: Any = dctn(small.astype(np.float64), norm="ortho")
    low = waves[:_HASH_SIDE, :_HASH_SIDE].ravel()
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return Fingerprint(digest, int.from_bytes(np.packbits(bits).tobytes()), small.tobytes())


def find_duplicates(prints: Sequence[Fingerprint]) -> list[Duplicates]:
    """Groups of two and more, in the order of their first members. A copy of a copy belongs to its group."""
    first: dict[str, int] = {}
    links = [(first.setdefault(one.digest, place), place) for place, one in enumerate(prints)]
    groups: dict[int, list[int]] = {}
    for place, root in enumerate(_roots(len(prints), [*links, *_near(prints)])):
        groups.setdefault(root, []).append(place)
    return [
        Duplicates(tuple(members), len({prints[place].digest for place in members}) == 1)
        for members in groups.values()
        if len(members) > 1
    ]


def _near(prints: Sequence[Fingerprint]) -> list[tuple[int, int]]:
    hashes = np.array([one.phash for one in prints], dtype=np.uint64)
    found: list[tuple[int, int]] = []
    for start in range(0, len(prints), _BLOCK):
        block = hashes[start : start + _BLOCK]
        bits = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        pairs = ((start + row, start + column) for row, column in np.argwhere(bits <= MOST_BITS).tolist())
        found += [(one, other) for one, other in pairs if one < other and are_alike(prints[one], prints[other])]
    return found


def are_alike(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether two images look the same at the size of a thumbnail."""
    values = [np.frombuffer(each.thumbnail, np.uint8).astype(np.float64) for each in (one, other)]
    if min(float(each.std()) for each in values) < _LEAST_CONTRAST_LEVELS:
        return False
    centred = [each - each.mean() for each in values]
    size = float(np.linalg.norm(centred[0]) * np.linalg.norm(centred[1]))
    return float(centred[0] @ centred[1]) >= LEAST_CORRELATION * size


def _roots(count: int, links: Sequence[tuple[int, int]]) -> list[int]:
    """The smallest place each place is linked with, directly or not."""
    parents = list(range(count))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for one, other in links:
        low, high = sorted((root(one), root(other)))
        parents[high] = low
    return [root(place) for place in range(count)]
