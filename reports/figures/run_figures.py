"""The figures: quality against latency, differences to base, the gain of each stage, loss curves.

All functions return a matplotlib figure and are to be called within `drawing.style()`.
"""

# pandas comes without types, matplotlib with partial ones.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from reports.figures.figure_output import COLOURS, INK, MARKERS, QUIET, canvas, label_points, logarithmic_x
from reports.metrics import Metric
from reports.results.summary import BASE, Summary, latency
from reports.text import megabytes, printable, with_unit

_CURVE_POINTS = 120
_MOST_LABELS = 12
_LARGEST_MARKER = 420.0
"""Area of the marker of the largest file, in square points."""


@dataclass(frozen=True)
class Point:
    """A row in the plane of latency and quality."""

    row: Summary
    latency_ms: float
    quality: float
    weight_bytes: float


def points(rows: Sequence[Summary], primary: Metric) -> list[Point]:
    """The rows with a finished seed, a latency measured on this machine and a file size."""
    found: list[Point] = []
    for row in rows:
        here, quality = latency(row), row.mean(primary.name)
        if row.is_baseline or here is None or here.measured is None or quality is None or row.model is None:
            continue
        found.append(Point(row, here.measured, quality, row.model.weight_bytes.get("float32", 0)))
    return found


def quality_latency(found: Sequence[Point], floors: Sequence[Summary], primary: Metric) -> Figure:
    """Quality against latency; marker area is file size, dashed lines are limits, dotted lines are floor rows."""
    figure = canvas(8.2, 4.9)
    axes = figure.add_subplot()
    axes.set_xlabel("latency of one image on this machine, ms (less is better)")
    axes.set_ylabel(_axis_label(primary))
    _limits_of_axes(axes, found)
    outside = _floor_lines(axes, floors, primary)
    outside += _latency_limits(axes, found)
    largest = max(point.weight_bytes for point in found)
    areas = [max(_LARGEST_MARKER * point.weight_bytes / largest, 20.0) if largest else 60.0 for point in found]
    _markers(axes, found, areas)
    if outside:
        axes.set_title("\n".join(outside), fontsize=8.5, color=QUIET, pad=8)
    named = labelled(found, primary)
    label_points(
        axes,
        [
            (point.latency_ms, point.quality, 0.65 * area**0.5, _point_label(point))
            for point, area in zip(found, areas, strict=True)
            if point in named
        ],
    )
    return figure


def labelled(found: Sequence[Point], primary: Metric) -> list[Point]:
    """The points that carry their name: all if there is room, else base and those that no other beats in both."""
    if len(found) <= _MOST_LABELS:
        return list(found)
    return [point for point in found if point.row.row == BASE or not _is_beaten(point, found, primary)]


def _is_beaten(point: Point, found: Sequence[Point], primary: Metric) -> bool:
    return any(
        other.latency_ms <= point.latency_ms and primary.gain(other.quality, point.quality) > 0 for other in found
    )


def stage_gains(rows: Sequence[Summary], primary: Metric) -> Figure | None:
    """Validation metric after each stage, one line a row, mean over seeds; None where no stage was validated."""
    traces = {row.row: trace for row in rows if (trace := _stage_trace(row, primary.name))}
    if not traces:
        return None
    names = list(dict.fromkeys(name for trace in traces.values() for name, _ in trace))
    figure = canvas(8.2, 1.35 + 0.42 * len(traces))
    axes = figure.add_subplot()
    for line, trace in enumerate(traces.values()):
        axes.plot([value for _, value in trace], [line] * len(trace), color="#b4bdc8", linewidth=1.6, zorder=2)
    for index, name in enumerate(names):
        spots = [(value, line) for line, trace in enumerate(traces.values()) for stage, value in trace if stage == name]
        axes.plot(
            [value for value, _ in spots],
            [line for _, line in spots],
            linestyle="none",
            marker=MARKERS[index % len(MARKERS)],
            markersize=7.5,
            color=COLOURS[index % len(COLOURS)],
            markeredgecolor="white",
            markeredgewidth=0.8,
            label=f"after {printable(name)}",
            zorder=3,
        )
    _row_axis(axes, list(traces))
    axes.set_xlabel(f"validation {_axis_label(primary)}")
    figure.legend(loc="outside upper left", ncols=min(len(names), 4))
    return figure


def loss_curves(curves: pd.DataFrame, stages: Sequence[tuple[str, str]]) -> Figure | None:
    """The loss over the steps, one panel a stage, one line a seed; None where nothing was logged.

    Args: curves: the lines of one row. stages: name and heading of each stage, in order.
    """
    logged = set(curves["stage"].tolist())
    present = [(name, heading) for name, heading in stages if name in logged]
    if not present:
        return None
    columns = min(len(present), 4)
    lines = -(-len(present) // columns)
    height = 0.45 + 2.05 * lines
    figure = canvas(8.2, height, layout=None)  # every row has this figure, and finding a layout takes long
    figure.subplots_adjust(left=0.085, right=0.985, bottom=0.5 / height, top=1 - 0.6 / height, wspace=0.32, hspace=0.55)
    seeds = sorted(curves["seed"].dropna().unique().tolist())
    for index, (name, heading) in enumerate(present):
        axes = figure.add_subplot(lines, columns, index + 1)
        axes.set_title(printable(heading))
        of_stage = curves.loc[curves["stage"] == name]
        for place, seed in enumerate(seeds):
            steps, values = thinned(of_stage.loc[of_stage["seed"] == seed], _CURVE_POINTS)
            colour = COLOURS[place % len(COLOURS)]
            axes.plot(steps, values, color=colour, linewidth=1.2, label=f"seed {seed}")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("step")
    figure.axes[0].set_ylabel("loss")
    if len(seeds) > 1:
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="upper right", ncols=min(len(seeds), 6))
    return figure


def thinned(curve: pd.DataFrame, most: int) -> tuple[list[float], list[float]]:
    """Step and value of a curve; above `most` points, the means of `most` runs of neighbours, about equally long."""
    lines = curve[["step", "value"]].to_numpy(dtype=float)
    lines = lines[lines[:, 0].argsort(kind="stable")]
    if not len(lines):
        return [], []
    starts = np.linspace(0, len(lines), min(most, len(lines)), endpoint=False).astype(int)
    means = np.add.reduceat(lines, starts) / np.diff(starts, append=len(lines))[:, None]
    return means[:, 0].tolist(), means[:, 1].tolist()


def with_bracketed_unit(label: str, unit: str) -> str:
    """`PSNR (dB)`."""
    return f"{label} ({unit})" if unit else label


def _axis_label(primary: Metric) -> str:
    direction = {"higher": "more is better", "lower": "less is better", "near 1": "best at 1"}[primary.direction]
    return f"{primary.label}{f', {primary.unit}' if primary.unit else ''} ({direction})"


def _limits_of_axes(axes: Axes, found: Sequence[Point]) -> None:
    """Room around the rows for labels; a logarithmic axis where latencies differ by more than 20 times."""
    times, qualities = [point.latency_ms for point in found], [point.quality for point in found]
    if max(times) > 20 * min(times) > 0:
        logarithmic_x(axes)
        axes.set_xlim(min(times) / 1.6, max(times) * 2.2)
    else:
        axes.set_xlim(0, max(times) * 1.22)
    height = max(max(qualities) - min(qualities), 1e-3 * max(abs(max(qualities)), 1e-6))
    axes.set_ylim(min(qualities) - 0.25 * height, max(qualities) + 0.25 * height)


def _floor_lines(axes: Axes, floors: Sequence[Summary], primary: Metric) -> list[str]:
    """Lines for the floor rows that lie near the rows; words for those far off, which would flatten the rest."""
    low, high = axes.get_ylim()
    height, far = high - low, list[str]()
    for place, floor in enumerate(floors):  # side by side, as their lines may all but touch
        value = floor.mean(primary.name)
        if value is None:
            continue
        name = f"{printable(floor.row)} {value:.{primary.decimals}f}"
        if not low - 2 * height <= value <= high + 2 * height:
            far.append(f"{with_unit(name, primary.unit)}: {'below' if value < low else 'above'} this picture")
            continue
        low, high = min(low, value - 0.06 * height), max(high, value + 0.1 * height)
        axes.axhline(value, color=QUIET, linestyle=":", linewidth=1.2)
        axes.annotate(
            name, (0.01 + 0.19 * place, value), xycoords=("axes fraction", "data"), xytext=(0, 2),
            textcoords="offset points", va="bottom", fontsize=8.5, color=QUIET,
        )  # fmt: skip
    axes.set_ylim(low, high)
    return far


def _latency_limits(axes: Axes, found: Sequence[Point]) -> list[str]:
    """Lines for the limits of latency gates that were measured here."""
    limits = sorted({(gate.limit, gate.name) for point in found if (gate := latency(point.row)) and gate.limit})
    right = axes.get_xlim()[1]
    far = list[str]()
    for limit, name in limits:
        if limit > 2.5 * right:
            far.append(f"limit of gate {printable(name)}, {limit:g} ms: right of this picture")
            continue
        right = max(right, 1.08 * limit)
        axes.axvline(limit, color=COLOURS[1], linestyle="--", linewidth=1.2)
        axes.annotate(
            f"{printable(name)}: at most {limit:g} ms", (limit, 1), xycoords=("data", "axes fraction"),
            xytext=(-4, -4), textcoords="offset points", ha="right", va="top", rotation=90, fontsize=8.5,
            color=COLOURS[1],
        )  # fmt: skip
    axes.set_xlim(right=right)
    return far


def _markers(axes: Axes, found: Sequence[Point], areas: Sequence[float]) -> None:
    """One colour and form a table; rows that fail a gate are hollow."""
    tables = list(dict.fromkeys(sorted((_table(point) for point in found), key=bool)))
    for index, table in enumerate(tables):
        chosen = [(point, area) for point, area in zip(found, areas, strict=True) if _table(point) == table]
        colour = COLOURS[index % len(COLOURS)] if table else INK
        axes.scatter(
            [point.latency_ms for point, _ in chosen],
            [point.quality for point, _ in chosen],
            s=[area for _, area in chosen],
            facecolors=["#ffffff" if point.row.failed_gates else colour for point, _ in chosen],
            edgecolors=colour,
            marker=MARKERS[index % len(MARKERS)],
            alpha=0.85,
            linewidths=1.2,
            zorder=3,
        )
    if len(tables) > 1:
        _table_legend(axes, tables)


def _table_legend(axes: Axes, tables: Sequence[str]) -> None:
    handles = [
        Line2D(
            [], [], linestyle="none", marker=MARKERS[index % len(MARKERS)], markersize=6,
            color=COLOURS[index % len(COLOURS)] if table else INK, label=printable(table) or BASE,
        )
        for index, table in enumerate(tables)
    ]  # fmt: skip
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes always stand in a figure
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 6))


def _table(point: Point) -> str:
    return point.row.tables[0] if point.row.tables else ""


def _point_label(point: Point) -> str:
    size = f" · {megabytes(point.weight_bytes)} MB" if point.weight_bytes else ""
    return f"{printable(point.row.row)}{size}"


def _row_axis(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [printable(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _stage_trace(row: Summary, name: str) -> list[tuple[str, float]]:
    """Stage and validation value, in the order of the stages, mean over the seeds."""
    values: dict[str, list[float]] = {}
    for record in row.finished:
        for stage in record.stages:
            if name in stage.val:
                values.setdefault(stage.name, []).append(stage.val[name])
    return [(stage, sum(found) / len(found)) for stage, found in values.items()]
