"""Measure how often the intervals of the reports contain the truth, on simulated tables of scores.

    python tools/coverage_study.py --tables 2000

prints a Markdown table and writes `reports/published/coverage.json`, which the appendix of every report shows.

In the simulated tables every row is as good as the base, so each difference is chance. Every share has a Monte Carlo
error (one standard error, over tables). The noise of a seed has a part
that all rows share (same first weights, same patches) and a part of the row alone. A row that shares trained stages
with the base shares their noise; its later stages add noise of their own.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise, product
from pathlib import Path

import numpy as np

from reports.file_access import write_bytes
from reports.pages import table_formats
from reports.statistics.error_spending import interim_critical_values
from reports.statistics.intervals import (
    DIFFERENCE_ERROR_RATE,
    ERROR_RATE,
    Differences,
    differences,
    is_covered,
    mean_correlation,
)
from reports.statistics.precision import combined
from reports.statistics.seed_noise import Floats
from reports.tables.provenance import COVERAGE, CoverageCase, InterimCase, coverage_table

ROWS = 8
"""Base and seven other rows."""
SEED_SD, IMAGE_SD, REMAINDER_SD = 0.1, 0.15, 0.08
"""Standard deviations in dB: of a row's seeds, of the images' differences, of a single score."""
SEEDS, IMAGES = (2, 3, 5, 8), (12, 32)
NOTES = (
    f"Each line: a base row and {ROWS - 1} rows that are as good as it. Noise in dB: {SEED_SD:g} of seeds (half of its "
    f"variance is common to all rows), {IMAGE_SD:g} of the differences between images, {REMAINDER_SD:g} of a single "
    "score. Shared prefixes: three rows leave the base at once, three after 70 % of its seed variance, one ends after "
    "85 %. Unequal noise: the seed noise of every row, base included, varies by a factor of e^0.5 (one standard "
    "deviation); very unequal: by e^1.0.",
    "Withheld: there is an interval but no verdict. Two seeds do not show which rows are noisier, and the interval of "
    "a noisier row is then too short. So two seeds give no verdict.",
    "The limit: with three seeds, a base that is three times noisier than its rows stays undetected in about a third "
    "of the tables. Verdicts of those tables are less certain than stated. Five seeds are enough.",
)
_SHARED = 0.5
"""Share of the seed variance that all rows have in common."""
INTERIM = ((5,), (5, 10, 20), (5, 10, 15, 20, 25, 30, 35, 40), (5, 10, 20, 40))
"""Seeds at each analysis of the study of interim analyses."""
_CHUNK = 100
"""Tables drawn at once, so that memory stays at a few tens of megabytes."""


@dataclass(frozen=True)
class Design:
    """How the rows of a simulated table are related. Rows are numbered; 0 is the base."""

    name: str
    noise_groups: Mapping[str, tuple[int, ...]]
    """Stage where rows leave the base -> the rows."""
    kept: Mapping[int, float] = field(default_factory=dict[int, float])
    """Row -> share of the base's own seed variance that it shares."""
    added: Mapping[int, float] = field(default_factory=dict[int, float])
    """Row -> variance of its later stages, in units of the base's; 1 - kept where absent."""
    noise: Mapping[int, float] = field(default_factory=dict[int, float])
    """Row -> factor of its seed noise."""
    unequal: float = 0.0
    """Standard deviation of the logarithm of the rows' seed noise."""


_ALL = {"0": tuple(range(1, ROWS))}
_EARLY, _LATE, _END = (1, 2, 3), (4, 5, 6), 7

INDEPENDENT = Design("independent rows", _ALL)
SHARED = Design(
    "shared prefixes",
    {"0": _EARLY, "1": _LATE, "2 ends": (_END,)},
    kept=dict.fromkeys(_LATE, 0.7) | {_END: 0.85},
    added={_END: 0.0},
)
UNEQUAL = Design("unequal noise", _ALL, unequal=0.5)
VERY_UNEQUAL = Design("very unequal noise", _ALL, unequal=1.0)
DESIGNS = (
    INDEPENDENT,
    SHARED,
    UNEQUAL,
    VERY_UNEQUAL,
    Design("one row 3 times noisier", _ALL, noise={_END: 3.0}),
    Design("base 3 times noisier", _ALL, noise={0: 3.0}),
)


def null_tables(design: Design, tables: int, seeds: int, images: int, rng: np.random.Generator) -> Floats:
    """Return simulated scores in dB above the base's true mean, shape (tables, `ROWS`, seeds, images)."""
    noise = np.array([design.noise.get(row, 1.0) for row in range(ROWS)])
    if design.unequal:
        noise = noise * np.exp(rng.normal(0, design.unequal, (tables, ROWS)))
    own = _correlated_noise(design, rng.normal(size=(tables, ROWS, seeds)), rng) * noise[..., None]
    common = rng.normal(size=(tables, 1, seeds))
    of_seed = SEED_SD * ((1 - _SHARED) ** 0.5 * own + _SHARED**0.5 * common)
    of_image = rng.normal(0, IMAGE_SD / 2**0.5, (tables, ROWS, 1, images))
    return of_seed[..., None] + of_image + rng.normal(0, REMAINDER_SD, (tables, ROWS, seeds, images))


def _correlated_noise(design: Design, own: Floats, rng: np.random.Generator) -> Floats:
    """Return the rows' seed noise; what the rows of a group share with the base is the same noise."""
    shared = sorted(set(design.kept.values()))
    shape = own[:, 0].shape
    # The base's noise is a sum over its stages: a row that leaves later shares more of the terms.
    terms = [rng.normal(0, (high - low) ** 0.5, shape) for low, high in pairwise([0.0, *shared, 1.0])]
    noise = own.copy()
    noise[:, 0] = sum(terms, np.zeros(shape))
    for row, kept in design.kept.items():
        prefix = sum(terms[: shared.index(kept) + 1], np.zeros(shape))
        noise[:, row] = prefix + design.added.get(row, 1 - kept) ** 0.5 * own[:, row]
    return noise


def measure(design: Design, seeds: int, images: int, tables: int, rng: np.random.Generator) -> CoverageCase:
    """Return coverage and false verdicts over so many simulated tables."""
    chunks = [_CHUNK] * (tables // _CHUNK) + [tables % _CHUNK] * (tables % _CHUNK > 0)
    outcomes = [_outcomes(null_tables(design, size, seeds, images, rng), design) for size in chunks]
    covered, together, with_verdict = (np.concatenate(parts) for parts in zip(*outcomes, strict=True))
    family_error = float((with_verdict & ~together).any(-1).mean())
    return CoverageCase(
        design=design.name,
        seeds=seeds,
        images=images,
        tables=tables,
        coverage=float(covered.mean()),
        worst_row=float(covered.mean(0).min()),
        with_verdict=float(with_verdict.mean()),
        coverage_with_verdict=float(covered[with_verdict].mean()) if with_verdict.any() else None,
        family_error=family_error,
        coverage_deviation=float(covered.mean(-1).std() / tables**0.5),
        family_error_deviation=(family_error * (1 - family_error) / tables) ** 0.5,
    )


def _outcomes(scores: Floats, design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tell of each table and row: its own interval covers 0, its simultaneous interval does, it gets a verdict."""
    covered, together, with_verdict = (np.zeros((len(scores), ROWS - 1), dtype=bool) for _ in range(3))
    groups = [differences(scores[:, [0, *members]]) for members in design.noise_groups.values()]
    correlation = mean_correlation(groups, ROWS - 1)
    for group, members in zip(groups, design.noise_groups.values(), strict=True):
        indices = [row - 1 for row in members]
        covered[:, indices] = np.abs(group.mean) <= group.half_width(1, correlation, ERROR_RATE)
        together[:, indices] = np.abs(group.mean) <= group.half_width(ROWS - 1, correlation, DIFFERENCE_ERROR_RATE)
        with_verdict[:, indices] = is_covered(group.seeds, group.seed_noise.pooled)
    return covered, together, with_verdict


def measure_interim(analyses: Sequence[int], is_planned: bool, tables: int, rng: np.random.Generator) -> InterimCase:
    """Return how many tables have a false gain or loss at any of several analyses of the same rows.

    Args:
        analyses: Seeds at each analysis.
        is_planned: Whether the error rate is spent over the analyses; else each takes all of it.
        tables: Simulated tables, of equally noisy rows and 24 images.
        rng: Source of the noise.
    """
    false = np.zeros(tables, dtype=bool)
    for start in range(0, tables, _CHUNK):
        size = min(_CHUNK, tables - start)
        scores = null_tables(INDEPENDENT, size, analyses[-1], 24, rng)
        for index, seeds in enumerate(analyses):
            group = differences(scores[:, :, :seeds])
            half = _interim_half_width(group, analyses, index) if is_planned else (
                group.half_width(ROWS - 1, mean_correlation([group], ROWS - 1), ERROR_RATE)
            )  # fmt: skip
            false[start : start + size] |= (np.abs(group.mean) > half).any(-1)
    share = float(false.mean())
    return InterimCase(tuple(analyses), is_planned, tables, share, (share * (1 - share) / tables) ** 0.5)


def _interim_half_width(group: Differences, analyses: Sequence[int], index: int) -> Floats:
    noise = group.seed_noise
    parts = (noise.variance, noise.degrees_of_freedom, group.image_variance, group.remainder)
    variance, degrees = combined(*parts, group.images)
    correlation = float(mean_correlation([group], ROWS - 1).mean())
    return interim_critical_values(analyses, index, ROWS - 1, correlation, degrees, ERROR_RATE) * np.sqrt(variance)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", type=int, default=2000, help="simulated tables of each case (default 2000)")
    parser.add_argument("--output", type=Path, default=COVERAGE, help="JSON file to write")
    options = parser.parse_args(arguments)
    cases = [
        asdict(measure(design, seeds, images, options.tables, np.random.default_rng([0, index])))
        for index, (design, seeds, images) in enumerate(product(DESIGNS, SEEDS, IMAGES))
    ]
    interim = [
        asdict(measure_interim(analyses, is_planned, options.tables, np.random.default_rng([1, index])))
        for index, (analyses, is_planned) in enumerate(product(INTERIM, (False, True)))
    ]
    data = {
        "nominal": 1 - ERROR_RATE,
        "tables": options.tables,
        "notes": NOTES,
        "cases": cases,
        "interim": interim,
    }
    write_bytes(options.output, (json.dumps(data, indent=1) + "\n").encode())
    table = coverage_table(options.output)
    assert table is not None  # the file has just been written
    print(table_formats.markdown_table(table))


if __name__ == "__main__":
    main()
