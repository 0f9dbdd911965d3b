"""Tables of scores whose truth is known: every row is as good as the base, and all differences are chance.

Noise of a seed has a part that all rows share (same first weights, same patches) and one of the row. A row that shares
trained stages with the base shares their noise; what follows adds its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from reports.statistics.seed_noise import Floats

ROWS = 8
"""Base and seven others."""
SEED_SD, IMAGE_SD, REMAINDER_SD = 0.1, 0.15, 0.08
"""Standard deviations in dB: of a row's seeds, of the images' differences, of one score besides."""
_SHARED = 0.5
"""Share of the seed's variance that all rows have in common."""
_UNEQUAL = 0.5
"""Standard deviation of the logarithm of the rows' seed noise, where it is unequal."""


@dataclass(frozen=True)
class Design:
    """How the rows of a table hang together; rows are numbered, 0 is the base."""

    name: str
    branches: Mapping[str, tuple[int, ...]]
    """Where rows leave the base -> the rows."""
    kept: Mapping[int, float] = field(default_factory=dict[int, float])
    """Row -> share of the base's own seed variance that it shares."""
    added: Mapping[int, float] = field(default_factory=dict[int, float])
    """Row -> variance of its later stages, in that of the base; 1 - kept where it is not named."""
    noise: Mapping[int, float] = field(default_factory=dict[int, float])
    """Row -> how many times noisier its seeds are."""
    is_unequal: bool = False


_ALL = {"0": tuple(range(1, ROWS))}
_EARLY, _LATE, _END = (1, 2, 3), (4, 5, 6), 7

INDEPENDENT = Design("independent rows", _ALL)
SHARED = Design(
    "shared prefixes",
    {"0": _EARLY, "1": _LATE, "2 ends": (_END,)},
    kept=dict.fromkeys(_LATE, 0.7) | {_END: 0.85},
    added={_END: 0.0},
)
UNEQUAL = Design("unequal noise", _ALL, is_unequal=True)
ONE_NOISIER = Design("one row 3 times noisier", _ALL, noise={_END: 3.0})
BASE_NOISIER = Design("base 3 times noisier", _ALL, noise={0: 3.0})


def null_tables(design: Design, tables: int, seeds: int, images: int, rng: np.random.Generator) -> Floats:
    """Scores of so many tables, in dB over the base's true mean: shape (tables, `ROWS`, seeds, images)."""
    noise = np.array([design.noise.get(row, 1.0) for row in range(ROWS)])
    if design.is_unequal:
        noise = noise * np.exp(rng.normal(0, _UNEQUAL, (tables, ROWS)))
    seed = _shared_and_own(design, rng.normal(size=(tables, ROWS, seeds)), rng) * noise[..., None]
    common = rng.normal(size=(tables, 1, seeds))
    of_seed = SEED_SD * ((1 - _SHARED) ** 0.5 * seed + _SHARED**0.5 * common)
    of_image = rng.normal(0, IMAGE_SD / 2**0.5, (tables, ROWS, 1, images))
    return of_seed[..., None] + of_image + rng.normal(0, REMAINDER_SD, (tables, ROWS, seeds, images))


def _shared_and_own(design: Design, own: Floats, rng: np.random.Generator) -> Floats:
    """The rows' seed noise; what rows of one branch share with the base is one and the same."""
    shared = sorted(set(design.kept.values()))
    shape = own[:, 0].shape
    # The base's noise is a sum over its stages: a row that leaves later shares more of the terms.
    ends = pairwise([0.0, *shared, 1.0])
    steps = [rng.normal(0, (high - low) ** 0.5, shape) for low, high in ends]
    found = own.copy()
    found[:, 0] = sum(steps, np.zeros(shape))
    for row, kept in design.kept.items():
        prefix = sum(steps[: shared.index(kept) + 1], np.zeros(shape))
        found[:, row] = prefix + design.added.get(row, 1 - kept) ** 0.5 * own[:, row]
    return found
