"""Figures of rows, training, latency and search: stage gains, curves, latencies, trials, differences, gains by image.

Call all functions within `figure_output.style()`.
"""

# pandas comes without types, matplotlib with partial ones.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from reports import text
from reports.figures.figure_output import (
    BAND,
    COLOURS,
    INK,
    PAPER,
    QUIET,
    TRACE,
    RenderedFigure,
    axis_label,
    bracketed,
    canvas,
    dots,
    logarithmic_x,
    panel,
    render,
    row_axis,
)
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import BASE, IDENTITY, Difference, Summary, image_gains, image_scores, seed_pairs
from reports.results.trials import Trial
from reports.statistics.verdicts import Comparison
from reports.text import printable

_CURVE_POINTS = 120
_MOST_PANELS = 8
_LOG_BEYOND = 20.0
"""An axis is logarithmic where its values differ by more than this factor."""


def stage_gains(rows: Sequence[Summary], primary: Metric) -> Figure | None:
    """Draw the validation metric after each stage, mean over seeds; None where no stage was validated."""
    traces = {row.row: trace for row in rows if (trace := _stage_trace(row, primary.name))}
    if not traces:
        return None
    names = list(dict.fromkeys(name for trace in traces.values() for name in trace))
    figure, axes = panel(1.35 + 0.42 * len(traces))
    for line, trace in enumerate(traces.values()):
        axes.plot(list(trace.values()), [line] * len(trace), color=TRACE, linewidth=1.6, zorder=2)
    for index, name in enumerate(names):
        dots(
            axes,
            [(trace[name], line) for line, trace in enumerate(traces.values()) if name in trace],
            index,
            f"after {name}",
        )
    row_axis(axes, list(traces))
    axes.set_xlabel(f"validation {axis_label(primary)}")
    figure.legend(loc="outside upper left", ncols=min(len(names), 4))
    return figure


def loss_curves(curves: pd.DataFrame, stages: Sequence[tuple[str, str]]) -> Figure | None:
    """Draw the loss over the steps, one panel a stage, one line a seed; None where nothing was logged.

    Args:
        curves: The lines of one row: seed, stage, step, value.
        stages: Name and heading of each stage, in order.
    """
    logged = set(curves["stage"].tolist())
    present = [(name, heading) for name, heading in stages if name in logged]
    if not present:
        return None
    columns = min(len(present), 4)
    lines = -(-len(present) // columns)
    height = 0.45 + 2.05 * lines
    figure = canvas(8.2, height, layout=None)  # every row has this figure, and an automatic layout is slow
    figure.subplots_adjust(left=0.085, right=0.985, bottom=0.5 / height, top=1 - 0.6 / height, wspace=0.32, hspace=0.55)
    seeds = sorted(curves["seed"].dropna().unique().tolist())
    for index, (name, heading) in enumerate(present):
        axes = figure.add_subplot(lines, columns, index + 1)
        axes.set_title(printable(heading))
        of_stage = curves.loc[curves["stage"] == name]
        for place, seed in enumerate(seeds):
            steps, values = thinned(of_stage.loc[of_stage["seed"] == seed], _CURVE_POINTS)
            axes.plot(steps, values, color=COLOURS[place % len(COLOURS)], linewidth=1.2, label=f"seed {seed}")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel("step")
    figure.axes[0].set_ylabel("loss")
    if len(seeds) > 1:
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="upper right", ncols=min(len(seeds), 6))
    return figure


def thinned(curve: pd.DataFrame, most: int) -> tuple[list[float], list[float]]:
    """Return steps and values of a curve; above `most` points, means of about equally long runs of neighbours."""
    lines = curve[["step", "value"]].to_numpy(dtype=float)
    lines = lines[lines[:, 0].argsort(kind="stable")]
    if not len(lines):
        return [], []
    starts = np.linspace(0, len(lines), min(most, len(lines)), endpoint=False).astype(int)
    means = np.add.reduceat(lines, starts) / np.diff(starts, append=len(lines))[:, None]
    return means[:, 0].tolist(), means[:, 1].tolist()


def latency_dots(timings: Sequence[tuple[str, str, float | None]]) -> Figure:
    """Draw median latencies, one line a network, one kind of dot a runtime.

    Args:
        timings: Network, runtime and median in ms; a network without any median has an empty line.
    """
    names = list(dict.fromkeys(name for name, _, _ in timings))
    runtimes = list(dict.fromkeys(runtime for _, runtime, _ in timings))
    figure, axes = panel(1.35 + 0.36 * len(names))
    for index, runtime in enumerate(runtimes):
        spots = [(ms, names.index(name)) for name, used, ms in timings if used == runtime and ms is not None]
        dots(axes, spots, index, runtime)
    medians = [ms for *_, ms in timings if ms]
    if medians and max(medians) > _LOG_BEYOND * min(medians):
        logarithmic_x(axes)
    else:
        axes.set_xlim(left=0)
    row_axis(axes, names)
    axes.set_xlabel("median time of one image, ms (less is better)")
    figure.legend(loc="outside upper left", ncols=min(len(runtimes), 5))
    return figure


def search_course(trials: Sequence[Trial], metric: Metric) -> Figure:
    """Draw the metric of each trial, and the best so far; all `trials` have a value."""
    values = [trial.value for trial in trials if trial.value is not None]
    figure, axes = panel(3.4)
    numbers = [trial.number for trial in trials]
    best = [min(values[: end + 1], key=metric.sort_key) for end in range(len(values))]
    axes.plot(numbers, values, linestyle="none", marker="o", color=COLOURS[0], markeredgecolor=PAPER, label="trial")
    axes.step(numbers, best, where="post", color=COLOURS[1], linewidth=1.6, label="best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(bracketed(f"val {metric.label}", metric.unit))
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def parameter_slices(trials: Sequence[Trial], parameters: Sequence[str], metric: Metric, best: Trial) -> Figure | None:
    """Draw the metric over each parameter, the best trial in another colour; None where there is no parameter."""
    shown = parameters[:_MOST_PANELS]
    if not shown:
        return None
    columns = min(len(shown), 4)
    lines = -(-len(shown) // columns)
    figure = canvas(8.2, 0.3 + 2.3 * lines)
    for place, parameter in enumerate(shown):
        axes = figure.add_subplot(lines, columns, place + 1)
        having = [trial for trial in trials if parameter in trial.values]
        axes.set_title(printable(parameter.removeprefix("protocol.")), fontsize=8.5)
        positions, names = _positions([trial.values[parameter] for trial in having])
        for position, trial in zip(positions, having, strict=True):
            is_best = trial.number == best.number
            axes.plot(
                [position], [trial.value if trial.value is not None else 0.0], marker="o", markeredgecolor=PAPER,
                color=COLOURS[1] if is_best else COLOURS[0], markersize=8 if is_best else 6, zorder=3 if is_best else 2,
            )  # fmt: skip
        if names:
            axes.set_xticks(range(len(names)), [printable(name) for name in names], rotation=30, fontsize=8, color=INK)
        elif min(positions) > 0 and max(positions) > _LOG_BEYOND * min(positions):
            logarithmic_x(axes)
        else:
            axes.tick_params(axis="x", labelrotation=30, labelsize=8)
    figure.axes[0].set_ylabel(bracketed(f"val {metric.label}", metric.unit))
    return figure


def _stage_trace(row: Summary, metric: str) -> dict[str, float]:
    """Return stage -> validation value, in the order of the stages, mean over the seeds."""
    values: dict[str, list[float]] = {}
    for stage in (stage for record in row.finished for stage in record.stages if metric in stage.val):
        values.setdefault(stage.name, []).append(stage.val[metric])
    return {stage: sum(of_stage) / len(of_stage) for stage, of_stage in values.items()}


def _positions(values: Sequence[object]) -> tuple[list[float], list[str]]:
    """Return positions on an axis, and names where the values are no numbers: those stand side by side."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return [float(value) for value in numbers], []
    words = [value if isinstance(value, str) else json.dumps(value) for value in values]
    names = list(dict.fromkeys(words))
    return [float(names.index(word)) for word in words], [name[:24] for name in names]


_NAMED_IMAGES = 3


def forest(
    differences: Sequence[Difference],
    comparisons: Mapping[str, Comparison],
    primary: Metric,
    equivalence_margin: float,
    reference: str,
) -> Figure:
    """Draw one line a row: the difference with its interval, a dot for each seed, a band for the margin.

    Call within `figure_output.style()`.
    """
    figure, axes = panel(1.15 + 0.42 * len(differences))
    if equivalence_margin:
        axes.axvspan(-equivalence_margin, equivalence_margin, color=BAND, zorder=0)
    axes.axvline(0, color=QUIET, linewidth=1)
    for line, difference in enumerate(differences):
        seeds = list(difference.by_seed.values())
        axes.plot(  # below the interval, so that neither hides the other
            seeds, [line + 0.24] * len(seeds), linestyle="none", marker="o", markersize=4, markerfacecolor=COLOURS[5],
            markeredgecolor=PAPER, markeredgewidth=0.5,
        )  # fmt: skip
        comparison = comparisons.get(difference.row)
        if comparison and comparison.estimate:
            ends = [comparison.estimate.low, comparison.estimate.high]
            axes.plot(ends, [line, line], color=INK, linewidth=1.6, solid_capstyle="butt")
            axes.plot(ends, [line, line], linestyle="none", marker="|", markersize=8, color=INK)
        face = COLOURS[0] if comparison and comparison.verdict else PAPER
        axes.plot([difference.mean], [line], "s", markersize=7, markerfacecolor=face, markeredgecolor=COLOURS[0])
    row_axis(axes, [difference.row for difference in differences])
    axes.set_xlabel(bracketed(f"{primary.label} minus that of {text.printable(reference)}", primary.unit))
    return figure


def image_differences(
    leader: Summary | None, rows: Mapping[str, Summary], results: Results, primary: Metric
) -> list[tuple[RenderedFigure, str]]:
    """Draw the leader's gains over base and over identity, image by image, each with a few sentences.

    Call within `figure_output.style()`.
    """
    if leader is None:
        return []
    references = [rows[name] for name in (BASE, IDENTITY) if name in rows and name != leader.row]
    return [
        _image_figure(leader, reference, gains, primary)
        for reference in references
        if (gains := mean_gains(leader, reference, results, primary))
    ]


def mean_gains(row: Summary, reference: Summary, results: Results, primary: Metric) -> dict[str, float]:
    """Return image -> how much better `row` is than `reference`, mean over the seeds both have."""
    pairs = seed_pairs(row.by_seed(primary.name), reference.by_seed(primary.name))
    gains: dict[str, list[float]] = {}
    for image, gain in image_gains(row, reference, primary, image_scores(results, primary.name)):
        gains.setdefault(image, []).append(gain)
    return {image: fmean(values) for image, values in gains.items() if len(values) == len(pairs)}


def _image_figure(
    row: Summary, reference: Summary, gains: Mapping[str, float], primary: Metric
) -> tuple[RenderedFigure, str]:
    """Return sorted bars of the gains, and the images with the least and most gain in words."""
    name, other = text.printable(row.row), text.printable(reference.row)
    order = sorted(gains, key=lambda image: (gains[image], image))
    better = sum(gain > 0 for gain in gains.values())
    figure, axes = panel(2.5)
    # One outline for each colour stays small for thousands of images; bars would not.
    for sign, colour in ((1, COLOURS[0]), (-1, COLOURS[1])):
        axes.stairs(
            [gains[image] if sign * gains[image] > 0 else 0.0 for image in order],
            range(len(order) + 1),
            fill=True,
            color=colour,
        )
    axes.axhline(0, color=QUIET, linewidth=1)
    axes.set_xlim(0, len(order))
    axes.set_xticks([])
    axes.set_xlabel(f"{text.count(len(order), 'test image')}, least gain first")
    axes.set_ylabel(bracketed("gain", primary.unit))
    rendered = render(
        figure,
        f"images_{row.row}_{reference.row}",
        f"Reading: bars below 0 are images that {name} makes worse than {other}. Gain in {primary.label}, image by "
        "image, sorted; mean over seeds.",
        f"Sorted bars: {name} is better than {other} on {better} of {text.count(len(order), 'image')}.",
    )

    def listed(images: Sequence[str]) -> str:
        shown = [
            text.with_unit(text.signed(gains[image], primary.difference_decimals), primary.unit) for image in images
        ]
        return text.listing([f"{text.printable(i)} ({gain})" for i, gain in zip(images, shown, strict=True)])

    return rendered, (
        f"{name} is better than {other} on {better} of {text.count(len(order), 'test image')}. "
        f"Least gain: {listed(order[:_NAMED_IMAGES])}. Most gain: {listed(order[::-1][:_NAMED_IMAGES])}."
    )
