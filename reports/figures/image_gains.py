"""Gains of the leading row image by image: sorted bars, and the images with the least and the most gain in words."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from reports import text
from reports.figures import svg
from reports.figures.axes import Area, heading, label_below, up
from reports.figures.drawing import WIDTH, Drawing, RenderedFigure, Sketch, bracketed
from reports.figures.scales import spanning
from reports.metrics import Metric
from reports.results import Results
from reports.results.summary import BASE, IDENTITY, Summary, image_gains, image_scores, seed_pairs

_NAMED_IMAGES = 3


def image_differences(
    leader: Summary | None, rows: Mapping[str, Summary], results: Results, primary: Metric
) -> list[tuple[RenderedFigure, str]]:
    """Draw the leader's gains over base and over identity, image by image, each with a few sentences."""
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
    rendered = RenderedFigure(
        f"images_{row.row}_{reference.row}",
        f"Reading: bars below 0 are images that {name} makes worse than {other}. Gain in {primary.label}, image by "
        "image, sorted; mean over seeds.",
        f"Sorted bars: {name} is better than {other} on {better} of {text.count(len(order), 'image')}.",
        Sketch((_bars([gains[image] for image in order], primary),)),
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


def _bars(gains: Sequence[float], primary: Metric) -> Drawing:
    """Draw gains in their order, those below 0 in another colour."""
    area = Area(56, 26, WIDTH - 12, 186)
    y = spanning([0.0, *gains], area.bottom, area.top)
    width = (area.right - area.left) / len(gains)
    edges = [area.left + index * width for index in range(len(gains) + 1)]
    zero = y.position(0)
    better = [y.position(max(gain, 0.0)) for gain in gains]
    worse = [y.position(min(gain, 0.0)) for gain in gains]
    marks = [
        heading(area, bracketed("gain", primary.unit)),
        up(area, y),
        svg.bars(edges, better, zero, "bar s0"),
        svg.bars(edges, worse, zero, "bar s1"),
        svg.line((area.left, zero), (area.right, zero), "zero"),
        label_below(
            Area(area.left, area.top, area.right, area.bottom - 14),
            f"{text.count(len(gains), 'test image')}, least gain first",
        ),
    ]
    return Drawing(WIDTH, round(area.bottom) + 32, "".join(marks))
