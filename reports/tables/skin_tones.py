"""Results by skin tone, where the test set tells it: does a row restore light and dark skin equally well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import numpy as np
from scipy import special

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import IDENTITY, Summary, image_scores, ranked

GROUPS: Final[Mapping[str, float]] = {"light": 41.0, "intermediate": 28.0, "tan": 10.0, "dark": -90.0}
"""Group -> typology angle in degrees above which a face belongs to it: the bounds of Chardon et al. (1991), with very
light among light, and brown among dark."""
_FEWEST_IMAGES = 2
"""In each of two groups, for an interval of their difference."""


@dataclass(frozen=True)
class Gap:
    """A difference of two means, with its 95 % interval by Welch."""

    difference: float
    low: float
    high: float


def group_of(angle: float) -> str:
    """Return the group of a typology angle in degrees."""
    return next((name for name, bound in GROUPS.items() if angle > bound), "dark")


def grouped(angles: Mapping[str, float]) -> dict[str, list[str]]:
    """Return the images of each group that has any, from light to dark."""
    images = {name: sorted(image for image, angle in angles.items() if group_of(angle) == name) for name in GROUPS}
    return {name: members for name, members in images.items() if members}


def welch_gap(first: Sequence[float], second: Sequence[float]) -> Gap | None:
    """Return the mean of `first` minus that of `second`; None where either has fewer than two values or none varies."""
    if min(len(first), len(second)) < _FEWEST_IMAGES:
        return None
    parts = [float(np.var(values, ddof=1)) / len(values) for values in (first, second)]
    variance = sum(parts)
    if variance == 0:
        return None
    squares = (part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True))
    half = float(special.stdtrit(variance**2 / sum(squares), 0.975)) * variance**0.5
    difference = fmean(first) - fmean(second)
    return Gap(difference, difference - half, difference + half)


def skin_tone_table(rows: Sequence[Summary], results: Results, primary: Metric) -> Grid | None:
    """Return the primary metric of every finished row by skin tone; None unless the images are of two groups or more.

    The last column compares what a row gained over the degraded images, on the darkest group minus on the lightest.
    """
    angles = next((record.skin_tones for record in results.finished if record.skin_tones), {})
    groups = grouped(angles)
    if len(groups) < 2:
        return None
    scores, (lightest, *_, darkest) = image_scores(results, primary.name), groups
    untouched = scores.get((IDENTITY, None), {})

    def by_image(row: Summary) -> dict[str, float]:
        seeds = [scores.get((row.row, seed), {}) for seed in row.seeds]
        values = {image: [of_seed[image] for of_seed in seeds if image in of_seed] for image in angles}
        return {image: fmean(numbers) for image, numbers in values.items() if numbers}

    def line(row: Summary) -> Line:
        values = by_image(row)
        means = [[values[image] for image in members if image in values] for members in groups.values()]
        cells = [_mean_cell(numbers, primary) for numbers in means]
        gains = {image: primary.gain(values[image], untouched[image]) for image in values.keys() & untouched.keys()}
        ends = ([gains[image] for image in groups[name] if image in gains] for name in (darkest, lightest))
        return (plain(row.row), *cells, _gap_cell(welch_gap(*ends), primary))

    def lines(*, is_baseline: bool) -> tuple[Line, ...]:
        return tuple(line(row) for row in ranked([row for row in rows if row.is_baseline is is_baseline], primary))

    return Grid(
        name="skin_tones",
        caption=f"{primary.label} by skin tone, mean over images and seeds.",
        columns=(
            ROW_COLUMN,
            *(
                Column(f"{primary.name}_{name}", name, primary.unit, hint=text.count(len(members), "image"))
                for name, members in groups.items()
            ),
            Column("gap", f"gain, {darkest} − {lightest}", primary.unit, hint="over the degraded image; 95 % interval"),
        ),
        lines=lines(is_baseline=False),
        footer_rows=lines(is_baseline=True),
        notes=(
            "Skin tone is the typology angle (ITA) of the face: light above 41°, intermediate above 28°, tan above "
            f"10°, else dark. Images: {text.listing([f'{len(members)} {name}' for name, members in groups.items()])}.",
            f"The last column is the gain over the degraded images on {darkest} skin minus that on {lightest} skin, "
            "with a 95 % interval over the images (Welch) for each row by itself.",
        ),
        sortable=True,
    )


def _mean_cell(values: Sequence[float], metric: Metric) -> Cell:
    mean = fmean(values) if values else None
    return Cell(mean, text.number(mean, metric.decimals))


def _gap_cell(gap: Gap | None, metric: Metric) -> Cell:
    if gap is None:
        return Cell(None, text.ABSENT)
    mean, low, high = (text.signed(value, metric.difference_decimals) for value in (gap.difference, gap.low, gap.high))
    return Cell(gap.difference, f"{mean} [{low}, {high}]")
