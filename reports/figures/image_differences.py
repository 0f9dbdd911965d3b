"""One row against another image by image: sorted bars, and the images it helped and hurt most."""

# pandas comes without types, matplotlib with partial ones.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from matplotlib.figure import Figure

from reports import text
from reports.figures.figure_output import COLOURS, QUIET, Drawing, canvas, render
from reports.figures.run_figures import with_bracketed_unit
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import BASE, IDENTITY, Summary, by_image, image_scores, seed_pairs

_NAMED = 3


@dataclass(frozen=True)
class ImageDifferences:
    """A figure, and its ends in words."""

    drawing: Drawing
    sentences: tuple[str, ...]


def image_differences(
    leader: Summary | None, rows: Mapping[str, Summary], results: Results, primary: Metric
) -> tuple[ImageDifferences, ...]:
    """The leader against base and against doing nothing, where both were scored. Call within `drawing.style()`."""
    if leader is None:
        return ()
    references = [rows[name] for name in (BASE, IDENTITY) if name in rows and name != leader.row]
    gains = [(reference, mean_gains(leader, reference, results, primary)) for reference in references]
    return tuple(_shown(leader, reference, found, primary) for reference, found in gains if found)


def mean_gains(row: Summary, reference: Summary, results: Results, primary: Metric) -> dict[str, float]:
    """Image -> how much better `row` is than `reference`, mean over the seeds both have, in the metric's unit."""
    scores = image_scores(results, primary.name)
    pairs = seed_pairs(row.by_seed(primary.name), reference.by_seed(primary.name))
    found: dict[str, list[float]] = {}
    for own, other in pairs.values():
        before = by_image(scores, reference.row, other)
        for image, value in by_image(scores, row.row, own).items():
            if image in before:
                found.setdefault(image, []).append(primary.gain(value, before[image]))
    return {image: fmean(values) for image, values in found.items() if len(values) == len(pairs)}


def _shown(row: Summary, reference: Summary, gains: Mapping[str, float], primary: Metric) -> ImageDifferences:
    one, other = text.printable(row.row), text.printable(reference.row)
    order = sorted(gains, key=lambda image: (gains[image], image))
    better = sum(gain > 0 for gain in gains.values())
    drawing = render(
        _bars([gains[image] for image in order], primary),
        f"images_{row.row}_{reference.row}",
        f"Gain in {primary.label} of {one} over {other}, image by image, sorted; mean over seeds.",
        f"Sorted bars: {one} is better than {other} on {better} of {text.count(len(order), 'image')}.",
    )
    sentences = (
        f"{one} is better than {other} on {better} of {text.count(len(order), 'test image')}.",
        f"Least gain: {_named(order[:_NAMED], gains, primary)}.",
        f"Most: {_named(order[::-1][:_NAMED], gains, primary)}.",
    )
    return ImageDifferences(drawing, sentences)


def _bars(gains: Sequence[float], primary: Metric) -> Figure:
    figure = canvas(8.2, 2.5)
    axes = figure.add_subplot()
    edges = range(len(gains) + 1)
    # One outline a colour stays small for thousands of images, which bars would not.
    for sign, colour in ((1, COLOURS[0]), (-1, COLOURS[1])):
        axes.stairs([gain if sign * gain > 0 else 0.0 for gain in gains], edges, fill=True, color=colour)
    axes.axhline(0, color=QUIET, linewidth=1)
    axes.set_xlim(0, len(gains))
    axes.set_xticks([])
    axes.set_xlabel(f"{text.count(len(gains), 'test image')}, least gain first")
    axes.set_ylabel(with_bracketed_unit("gain", primary.unit))
    return figure


def _named(images: Sequence[str], gains: Mapping[str, float], primary: Metric) -> str:
    return text.listing([f"{text.printable(image)} ({_shown_gain(gains[image], primary)})" for image in images])


def _shown_gain(gain: float, primary: Metric) -> str:
    return text.with_unit(text.signed(gain, primary.difference_decimals), primary.unit)
