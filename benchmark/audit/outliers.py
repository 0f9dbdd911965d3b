"""Pairs that differ from the rest of their set: in PSNR, in their files, or in the direction of their damage.

The direction of the damage is the mean of degraded - target over the severe pixels, as a colour. Spots are darker and
redder than skin, rain is brighter than what it hides: in one set damage mostly points one way, whatever it is. A pair
that points the other way is probably swapped. With few pairs, few severe pixels or damage in all directions nothing can
be decided. A set that is swapped as a whole cannot be recognised from its pairs alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmark.audit import Case
from benchmark.audit.degradation import Channels
from benchmark.audit.measurements import Header, PairMeasurements, label

FEWEST_PAIRS: Final = 5
_SPREADS: Final = 5.0
_LEAST_DISTANCE_DB: Final = 6.0
_MAD_TO_DEVIATION: Final = 1.4826
_AGREEING_COSINE: Final = 0.5
_LEAST_LEVELS: Final = 10.0
"""Noise of both signs leaves a mean of a few levels; spots and rain leave 30 and more."""


def psnr_outliers(pairs: Sequence[PairMeasurements]) -> list[Case]:
    """Return pairs whose PSNR is over 5 robust standard deviations, and over 6 dB, from the median of the set."""
    finite = [(pair, pair.degradation.psnr_db) for pair in pairs if isfinite(pair.degradation.psnr_db)]
    if len(finite) < FEWEST_PAIRS:
        return []
    values = np.array([value for _, value in finite])
    middle = float(np.median(values))
    spread = _MAD_TO_DEVIATION * float(np.median(np.abs(values - middle)))
    limit = max(_SPREADS * spread, _LEAST_DISTANCE_DB)
    return [
        Case(label(pair), f"{value:.1f} dB, the median is {middle:.1f} dB")
        for pair, value in finite
        if abs(value - middle) > limit
    ]


def different_profiles(pairs: Sequence[PairMeasurements]) -> list[Case]:
    """Return pairs whose two files name different colour profiles."""
    return [
        Case(label(pair), " against ".join(header.profile or "sRGB or none" for header in pair.headers))
        for pair in pairs
        if pair.headers and pair.headers[0].profile != pair.headers[1].profile
    ]


def unusual_files(pairs: Sequence[PairMeasurements]) -> list[Case]:
    """Return files of another kind than most of their folder, and those whose pixels are converted on reading."""
    notes: list[tuple[str, str]] = []
    for side, role in enumerate(("degraded", "target")):
        headers = [(label(pair), pair.headers[side]) for pair in pairs if pair.headers]
        kinds = [_kind(header) for _, header in headers]
        usual = max(dict.fromkeys(kinds), key=kinds.count, default="")  # the first of equals
        for name, header in headers:
            parts = [*([_kind(header)] if _kind(header) != usual else []), *_changes(header)]
            if parts:
                notes.append((f"{role}: {', '.join(parts)}", name))
    return one_per_note(notes)


def one_per_note(notes: Iterable[tuple[str, str]]) -> list[Case]:
    """Return one case for all files, given by note and name, that have the same note."""
    names: dict[str, list[str]] = {}
    for note, name in notes:
        names.setdefault(note, []).append(name)
    return [
        Case(files[0] if len(files) == 1 else f"{len(files)} files, e.g. {files[0]}", note)
        for note, files in names.items()
    ]


def _kind(header: Header) -> str:
    return f"{header.mode} of {header.bits} bits"


def _changes(header: Header) -> Iterator[str]:
    if header.bits > 8:
        yield "the upper 8 bits are read"
    if header.mode in ("RGBA", "LA", "PA"):
        yield "alpha is dropped"
    if header.mode == "CMYK":
        yield "CMYK is converted by the plain formula"
    if header.profile:
        yield f"colour profile {header.profile!r} is ignored"
    if header.frames > 1:
        yield "the first of several frames is read"
    if header.turned:
        yield "turned by its EXIF orientation"


def find_swapped(damages: Sequence[Channels | None]) -> list[int] | None:
    """Return the places of pairs whose damage points against that of the others; None if it cannot be decided."""
    directions = [(place, damage / np.linalg.norm(damage)) for place, damage in _directed(damages)]
    if len(directions) < FEWEST_PAIRS:
        return None
    usual = np.median([direction for _, direction in directions], axis=0)
    size = float(np.linalg.norm(usual))
    cosines = [float(direction @ usual) / size if size else 0.0 for _, direction in directions]
    if float(np.median(cosines)) < _AGREEING_COSINE:
        return None
    return [place for (place, _), cosine in zip(directions, cosines, strict=True) if cosine < -_AGREEING_COSINE]


def brighter_damage(damages: Sequence[Channels | None]) -> bool:
    """Return whether damage is mostly brighter than the target: intended with rain, swapped folders with spots."""
    sums = [float(damage.sum()) for _, damage in _directed(damages)]
    return len(sums) >= FEWEST_PAIRS and float(np.median(sums)) > 0


def _directed(damages: Sequence[Channels | None]) -> list[tuple[int, NDArray[np.float64]]]:
    """Return place and damage of the pairs whose damage has a direction."""
    present = [(place, np.asarray(damage)) for place, damage in enumerate(damages) if damage is not None]
    return [(place, damage) for place, damage in present if float(np.linalg.norm(damage)) > _LEAST_LEVELS]
