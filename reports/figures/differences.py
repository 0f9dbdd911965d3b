"""Figures of differences between rows: the forest plot, and one row against another image by image."""

# pandas comes without types, matplotlib with partial ones.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping, Sequence
from statistics import fmean

from matplotlib.figure import Figure

from reports import text
from reports.figures.figure_output import (
    BAND,
    COLOURS,
    INK,
    PAPER,
    QUIET,
    RenderedFigure,
    bracketed,
    canvas,
    render,
    row_axis,
)
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import BASE, IDENTITY, Difference, Summary, by_image, image_scores, seed_pairs
from reports.statistics.verdicts import Comparison

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
    figure = canvas(8.2, 1.15 + 0.42 * len(differences))
    axes = figure.add_subplot()
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
    gains = [(reference, mean_gains(leader, reference, results, primary)) for reference in references]
    return [_image_figure(leader, reference, by_image, primary) for reference, by_image in gains if by_image]


def mean_gains(row: Summary, reference: Summary, results: Results, primary: Metric) -> dict[str, float]:
    """Return image -> how much better `row` is than `reference`, mean over the seeds both have."""
    scores = image_scores(results, primary.name)
    pairs = seed_pairs(row.by_seed(primary.name), reference.by_seed(primary.name))
    gains: dict[str, list[float]] = {}
    for seed, reference_seed in pairs.values():
        before = by_image(scores, reference.row, reference_seed)
        for image, value in by_image(scores, row.row, seed).items():
            if image in before:
                gains.setdefault(image, []).append(primary.gain(value, before[image]))
    return {image: fmean(values) for image, values in gains.items() if len(values) == len(pairs)}


def _image_figure(
    row: Summary, reference: Summary, gains: Mapping[str, float], primary: Metric
) -> tuple[RenderedFigure, str]:
    """Return sorted bars of the gains, and the images with the least and most gain in words."""
    name, other = text.printable(row.row), text.printable(reference.row)
    order = sorted(gains, key=lambda image: (gains[image], image))
    better = sum(gain > 0 for gain in gains.values())
    figure = canvas(8.2, 2.5)
    axes = figure.add_subplot()
    # One outline for each colour stays small for thousands of images; bars would not.
    for sign, colour in ((1, COLOURS[0]), (-1, COLOURS[1])):
        heights = [gains[image] if sign * gains[image] > 0 else 0.0 for image in order]
        axes.stairs(heights, range(len(order) + 1), fill=True, color=colour)
    axes.axhline(0, color=QUIET, linewidth=1)
    axes.set_xlim(0, len(order))
    axes.set_xticks([])
    axes.set_xlabel(f"{text.count(len(order), 'test image')}, least gain first")
    axes.set_ylabel(bracketed("gain", primary.unit))
    rendered = render(
        figure,
        f"images_{row.row}_{reference.row}",
        f"Gain in {primary.label} of {name} over {other}, image by image, sorted; mean over seeds.",
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
