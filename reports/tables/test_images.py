"""Tables of the test images: how damaged they are, and how rows score on mild, medium and severe damage.

Records hold no label of severity, so the PSNR of the degraded image is used. It is measured in the same way on any data
and is the same for every row. Other metrics would not do: for harm, for example, doing nothing is perfect whatever the
damage.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from reports import text
from reports.grid import ROW_COLUMN, Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric, ordered
from reports.results import Results
from reports.results.summary import IDENTITY, SPLIT, Summary, image_scores, ranked

_PSNR = metric("psnr")
_MEANINGLESS = frozenset({"harm", "fixed_share"})
"""For an untouched image these are 0 by definition."""
_QUANTILES = {"lowest": 0.0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "highest": 1.0}
_SEVERITIES = ("mild", "medium", "severe")
_FEWEST_IMAGES = 6
"""Below two images in each third, a mean over a third says nothing."""


def degradation_table(results: Results) -> Grid | None:
    """Return the spread over the test images of each metric of the degraded image; None where none was scored."""
    chosen = (results.scores["row"] == IDENTITY) & (results.scores["split"] == SPLIT)
    names = set(results.scores.loc[chosen, "metric"].tolist()) - _MEANINGLESS
    if not names:
        return None
    lines: list[Line] = []
    for measure in map(results.metric, ordered(names, results.plan.primary)):
        values = list(image_scores(results, measure.name)[IDENTITY, None].values())
        quantiles = np.quantile(values, list(_QUANTILES.values())).tolist()
        cells = [Cell(value, text.number(value, measure.decimals)) for value in quantiles]
        lines.append((plain(measure.label), plain(measure.unit), *cells, Cell(len(values), str(len(values)))))
    shares = damaged_shares(results)
    if shares:
        quantiles = (100 * np.quantile(shares, list(_QUANTILES.values()))).tolist()
        cells = (Cell(value, text.significant(value)) for value in quantiles)
        lines.append((plain("area of the spots"), plain("%"), *cells, Cell(len(shares), str(len(shares)))))
    return Grid(
        name="degradation",
        caption="The test images before any restoration: spread over the images.",
        columns=(
            Column("metric", "of the degraded image", numeric=False, is_row_header=True),
            Column("unit", "unit", numeric=False),
            *(Column(name, name.replace("_", " ")) for name in _QUANTILES),
            Column("images", "images"),
        ),
        lines=tuple(lines),
    )


def damaged_shares(results: Results) -> list[float]:
    """Return the share of each test image that had to change, in 0 to 1.

    The error of an image is the mean of the errors inside and outside the spots, weighted by their areas, so the share
    follows from three PSNR values. Images without spots, or without error, are left out.
    """
    names = ("psnr", "psnr_spots", "psnr_background")
    whole, spots, background = (image_scores(results, name).get((IDENTITY, None), {}) for name in names)
    shares: list[float] = []
    for image in whole.keys() & spots.keys() & background.keys():
        error, inside, outside = (10 ** (-values[image] / 10) for values in (whole, spots, background))
        if outside < error < inside:
            shares.append((error - outside) / (inside - outside))
    return sorted(shares)


def thirds(untouched: Mapping[str, float]) -> tuple[tuple[str, ...], ...]:
    """Split the images from mild to severe into three parts of about equal size.

    Args:
        untouched: Image -> PSNR of the degraded image against its target.

    Returns:
        Three parts; empty below six images, or if all are equally damaged.
    """
    if len(untouched) < _FEWEST_IMAGES or len(set(untouched.values())) == 1:
        return ()
    order = sorted(untouched, key=lambda image: (-untouched[image], image))
    bounds = [round(part * len(order) / 3) for part in range(4)]
    return tuple(tuple(order[bounds[part] : bounds[part + 1]]) for part in range(3))


def severity_table(rows: Sequence[Summary], results: Results, primary: Metric) -> Grid | None:
    """Return the primary metric of every finished row on each third of the images; None where there are no thirds."""
    scores = image_scores(results, primary.name)
    untouched = image_scores(results, _PSNR.name).get((IDENTITY, None), {})
    parts = thirds(untouched)
    if not parts:
        return None
    columns = [ROW_COLUMN]
    for name, part in zip(_SEVERITIES, parts, strict=True):
        ends = [text.number(end(untouched[image] for image in part), _PSNR.decimals) for end in (min, max)]
        between = text.with_unit(f"{ends[0]} to {ends[1]}", _PSNR.unit)
        columns.append(
            Column(
                f"{primary.name}_{name}",
                name,
                primary.unit,
                hint=f"{text.count(len(part), 'image')}; untouched {between} {_PSNR.label}",
            )
        )

    def lines(is_baseline: bool) -> tuple[Line, ...]:
        return tuple(
            (plain(row.row), *(mean_cell(row, part) for part in parts))
            for row in ranked([row for row in rows if row.is_baseline is is_baseline], primary)
        )

    def mean_cell(row: Summary, part: Sequence[str]) -> Cell:
        seeds = [scores.get((row.row, seed), {}) for seed in row.seeds]
        values = [of_seed[image] for of_seed in seeds for image in part if image in of_seed]
        mean = fmean(values) if values else None
        return Cell(mean, text.number(mean, primary.decimals))

    return Grid(
        name="severity",
        caption=f"{primary.label} by severity of the damage, mean over images and seeds.",
        columns=tuple(columns),
        lines=lines(is_baseline=False),
        footer_rows=lines(is_baseline=True),
        notes=(
            f"Severity is the {_PSNR.label} of the degraded image (row {IDENTITY}). The test images are split into "
            "three parts of about equal size.",
        ),
        sortable=True,
    )
