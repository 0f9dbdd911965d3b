"""Pairs whose files or levels differ from the rest of the set."""

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Final

import numpy as np

from benchmark.audit import Case
from benchmark.audit.files import Header, most_common
from benchmark.audit.pair_statistics import Measures, label

FEWEST_PAIRS: Final = 5
_SPREADS: Final = 5.0
_LEAST_DISTANCE_DB: Final = 6.0
_MAD_TO_DEVIATION: Final = 1.4826


def psnr_outliers(pairs: Sequence[Measures]) -> tuple[Case, ...]:
    """Pairs whose PSNR is over 5 robust standard deviations, and over 6 dB, from the median of the set."""
    known = [(pair, pair.degradation.psnr_db) for pair in pairs if isfinite(pair.degradation.psnr_db)]
    if len(known) < FEWEST_PAIRS:
        return ()
    values = np.array([value for _, value in known])
    middle = float(np.median(values))
    spread = _MAD_TO_DEVIATION * float(np.median(np.abs(values - middle)))
    limit = max(_SPREADS * spread, _LEAST_DISTANCE_DB)
    return tuple(
        Case(label(pair), f"{value:.1f} dB, the median is {middle:.1f} dB")
        for pair, value in known
        if abs(value - middle) > limit
    )


def different_profiles(pairs: Sequence[Measures]) -> tuple[Case, ...]:
    """Pairs whose two files name different colour profiles."""
    return tuple(
        Case(label(pair), " against ".join(header.profile or "sRGB or none" for header in pair.headers))
        for pair in pairs
        if pair.headers and pair.headers[0].profile != pair.headers[1].profile
    )


def unusual_files(pairs: Sequence[Measures]) -> tuple[Case, ...]:
    """Files of a kind that most of their folder are not, and those of which pixels are not taken as they are."""
    found: list[Case] = []
    for side, role in enumerate(("degraded", "target")):
        known = [(label(pair), pair.headers[side]) for pair in pairs if pair.headers]
        usual = most_common(_kind(header) for _, header in known)
        for name, header in known:
            notes = [*([_kind(header)] if _kind(header) != usual else []), *_changes(header)]
            if notes:
                found.append(Case(name, f"{role}: {', '.join(notes)}"))
    return tuple(found)


def _kind(header: Header) -> str:
    return f"{header.format} {header.mode} of {header.bits} bits"


def _changes(header: Header) -> Iterator[str]:
    if header.bits > 8:
        yield "the upper 8 bits are read"
    if header.mode in ("RGBA", "LA", "PA"):
        yield "alpha is dropped"
    if header.mode == "CMYK":
        yield "CMYK is converted by the plain formula"
    if header.profile:
        yield f"colour profile {header.profile!r} is ignored"
    if header.turned:
        yield "turned by its EXIF orientation"
