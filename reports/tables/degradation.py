"""How damaged the test images are, told by the scores of leaving them as they are."""

from collections.abc import Sequence

import numpy as np

from reports import text
from reports.grid import Cell, Column, Grid, Line, plain
from reports.metrics import Metric, metric, ordered
from reports.results import Results
from reports.results.summary import IDENTITY, SPLIT, by_image, image_scores

_WITHOUT_MEANING = frozenset({"harm", "fixed_share"})
"""Of an untouched image they are 0 by definition."""
_QUANTILES = {"lowest": 0.0, "quarter": 0.25, "median": 0.5, "three_quarters": 0.75, "highest": 1.0}


def degradation(results: Results) -> Grid | None:
    """The spread over the test images of each metric of the degraded image; None where none was scored."""
    scores = results.scores
    chosen = (scores["row"] == IDENTITY) & (scores["split"] == SPLIT)
    names = set(scores.loc[chosen, "metric"].tolist()) - _WITHOUT_MEANING
    if not names:
        return None
    shown = [metric(name) for name in ordered(names, results.plan.primary)]
    values = {one.name: list(by_image(image_scores(results, one.name), IDENTITY, None).values()) for one in shown}
    lines = [_line(one, values[one.name]) for one in shown]
    share = spots_shares(results)
    if share:
        lines.append(_spots_line(share))
    return Grid(
        name="degradation",
        caption="The test images as they are, before any restoration: spread over the images.",
        columns=(
            Column("metric", "of the degraded image", numeric=False, heads_row=True),
            Column("unit", "unit", numeric=False),
            *(Column(name, name.replace("_", " ")) for name in _QUANTILES),
            Column("images", "images"),
        ),
        lines=tuple(lines),
    )


def spots_shares(results: Results) -> list[float]:
    """Share of each test image that had to change, in 0 to 1.

    The error of the image is the mean of the errors inside and outside the spots, weighted by their areas, so the three
    PSNR tell the share. Images without spots, or without error, are left out.
    """
    whole, spots, background = (
        by_image(image_scores(results, name), IDENTITY, None) for name in ("psnr", "psnr_spots", "psnr_background")
    )
    shares: list[float] = []
    for image in whole.keys() & spots.keys() & background.keys():
        errors = [10 ** (-values[image] / 10) for values in (whole, spots, background)]
        if errors[2] < errors[0] < errors[1]:
            shares.append((errors[0] - errors[2]) / (errors[1] - errors[2]))
    return sorted(shares)


def _line(one: Metric, values: Sequence[float]) -> Line:
    found = [float(value) for value in np.quantile(values, list(_QUANTILES.values()))]
    cells = (Cell(value, text.number(value, one.decimals)) for value in found)
    return (plain(one.label), plain(one.unit), *cells, Cell(len(values), str(len(values))))


def _spots_line(shares: Sequence[float]) -> Line:
    found = [100 * float(value) for value in np.quantile(shares, list(_QUANTILES.values()))]
    cells = (Cell(value, text.significant(value)) for value in found)
    return (plain("area of the spots"), plain("%"), *cells, Cell(len(shares), str(len(shares))))
