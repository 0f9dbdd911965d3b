"""The loss of a row over the steps of each stage."""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.figures import svg
from reports.figures.axes import across, heading, panel_area, panel_height, up
from reports.figures.drawing import PANEL_WIDTH, Drawing, Sketch, line_key
from reports.figures.scales import spanning

_CURVE_POINTS = 120
_PANEL_HEIGHT = 110
Curve = tuple[list[float], list[float]]
"""Steps and values."""
Lines = NDArray[np.float64]
"""Steps and values as two columns."""
_NO_LINES: Lines = np.empty((0, 2))


def loss_curves(curves: pd.DataFrame, stages: Sequence[tuple[str, str]]) -> Sketch | None:
    """Draw the loss over the steps, one panel a stage, one line a seed; None where nothing was logged.

    Args:
        curves: The lines of one row: seed, stage, step, value.
        stages: Name and heading of each stage, in order.
    """
    lines_of = _by_stage_and_seed(curves)
    logged = {stage for stage, _ in lines_of}
    seeds = sorted({seed for _, seed in lines_of if seed is not pd.NA})
    panels: list[Drawing] = []
    for stage, words in stages:
        if stage in logged:
            lines = [thinned(lines_of.get((stage, seed), _NO_LINES), _CURVE_POINTS) for seed in seeds]
            panels.append(_panel(f"loss, {words}", lines))
    if not panels:
        return None
    keys = tuple(line_key(index, f"seed {seed}") for index, seed in enumerate(seeds)) if len(seeds) > 1 else ()
    return Sketch(tuple(panels), keys)


def _by_stage_and_seed(curves: pd.DataFrame) -> dict[tuple[str, int], Lines]:
    places: dict[tuple[str, int], list[int]] = {}
    for place, key in enumerate(zip(curves["stage"].tolist(), curves["seed"].tolist(), strict=True)):
        places.setdefault(key, []).append(place)
    numbers = curves[["step", "value"]].to_numpy(dtype=float)
    return {key: numbers[of_key] for key, of_key in places.items()}


def thinned(lines: Lines, most: int) -> Curve:
    """Return steps and values of a curve, two columns; above `most` points, means of about equally long runs."""
    lines = lines[lines[:, 0].argsort(kind="stable")]
    if not len(lines):
        return [], []
    starts = np.linspace(0, len(lines), min(most, len(lines)), endpoint=False).astype(int)
    means = np.add.reduceat(lines, starts) / np.diff(starts, append=len(lines))[:, None]
    return means[:, 0].tolist(), means[:, 1].tolist()


def _panel(words: str, lines: Sequence[Curve]) -> Drawing:
    area = panel_area(_PANEL_HEIGHT)
    points = [[(step, loss) for step, loss in zip(*line, strict=True) if math.isfinite(loss)] for line in lines]
    x = spanning([step for line in points for step, _ in line], area.left, area.right, pad=0.03)
    y = spanning([loss for line in points for _, loss in line], area.bottom, area.top)
    marks = [heading(area, words), across(area, x, "step", most=4, whole=True), up(area, y, most=4)]
    marks += [
        svg.curve([(x.position(step), y.position(loss)) for step, loss in line], f"curve {svg.series(index)}")
        for index, line in enumerate(points)
    ]
    return Drawing(PANEL_WIDTH, panel_height(area), "".join(marks))
