"""One pair, decoded once: its measures, or why it cannot be used."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

from benchmark.audit.degradation import Degradation, analyse
from benchmark.audit.duplicates import Fingerprint, fingerprint
from benchmark.audit.files import Header, read_header
from benchmark.audit.jpeg import has_block_grid
from benchmark.audit.registration import Shift, find_shift
from benchmark.data import Pair, Source
from benchmark.data.image_io import read_image
from benchmark.data.pairing import PairedFiles
from benchmark.errors import DataError

MIN_SIDE_PX: Final = 16
"""Below it no patch can be cut that a network learns from."""


@dataclass(frozen=True)
class Measures:
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
class Unusable:
    """A pair that no run can use."""

    name: str
    split: str
    reason: Literal["unreadable", "sizes", "tiny"]
    detail: str


Measured = Measures | Unusable


@runtime_checkable
class HasPairFiles(Protocol):
    """A source whose pairs are two image files each."""

    def pair_files(self, index: int) -> PairedFiles:
        """Name and files of pair number `index`."""
        ...


def label(one: Measured) -> str:
    """The name as it is shown: with its split, where there are splits."""
    return f"{one.split}: {one.name}" if one.split else one.name


def measure_files(pairs: Sequence[PairedFiles], index: int) -> Measured:
    """Pair number `index` of two folders."""
    return _measure_files(pairs[index], "")


def _measure_files(files: PairedFiles, split: str) -> Measured:
    try:
        degraded, target = read_image(files.degraded), read_image(files.target)
        headers = _headers(files.degraded, files.target)
    except (DataError, OSError, SyntaxError, ValueError) as error:
        return Unusable(files.name, split, "unreadable", str(error))
    return _measure(Pair(files.name, degraded, target), split, headers)


def measure_sources(sources: Sequence[tuple[str, Source]], index: int) -> Measured:
    """Pair number `index` of the splits of an experiment, one after the other; with headers where it is two files."""
    ends = list(accumulate(len(source) for _, source in sources))
    place = bisect_right(ends, index)
    split, source = sources[place]
    number = index - (ends[place] - len(source))
    if isinstance(source, HasPairFiles):
        return _measure_files(source.pair_files(number), split)
    try:
        return _measure(source.read(number), split, None)
    except DataError as error:
        return Unusable(f"number {number}", split, "unreadable", str(error))


def _headers(degraded: Path, target: Path) -> tuple[Header, Header]:
    return read_header(degraded), read_header(target)


def _measure(pair: Pair, split: str, headers: tuple[Header, Header] | None) -> Measured:
    sizes = [f"{image.shape[1]}x{image.shape[0]}" for image in (pair.degraded, pair.target)]
    if pair.degraded.shape != pair.target.shape:
        return Unusable(pair.name, split, "sizes", f"degraded {sizes[0]}, target {sizes[1]} px")
    height, width = pair.target.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        return Unusable(pair.name, split, "tiny", f"{sizes[1]} px")
    return Measures(
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
