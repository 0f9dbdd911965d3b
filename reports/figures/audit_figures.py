"""Figures of a data audit: how strong the damage is, how it is spread over pairs, and its global part."""

from collections.abc import Sequence

import numpy as np

from reports.figures import svg
from reports.figures.axes import Area, across, heading, label_below, panel_area, panel_height, ticks_below, up
from reports.figures.drawing import PANEL_WIDTH, WIDTH, Drawing, RenderedFigure, Sketch
from reports.figures.scales import Rule, Scale, spanning
from reports.results.audit import CHANNELS, THRESHOLD_LEVELS, AuditedPair

_HALF = 316
"""Width of one of two panels, px."""
_CHANNEL_SERIES = ("s1", "s2", "s0")
_MOST_DOTS = 400
_PANEL_HEIGHT = 130


def audit_figures(pairs: Sequence[AuditedPair]) -> tuple[RenderedFigure, ...]:
    """Draw all figures of at least one pair."""
    return (
        RenderedFigure(
            "histogram",
            "Reading: pixels right of the dashed line count as severe. How many pixels differ by how much: the largest "
            "difference of a channel between degraded and target, all pairs together, on a logarithmic scale.",
            "Histogram of the difference between degraded and target in 8-bit levels.",
            Sketch((_histogram(pairs),)),
        ),
        RenderedFigure(
            "spreads",
            "Reading: if few pixels hold most of the error, a network has to find spots; if they hold little of it, a "
            "global correction matters more. Number of pairs by PSNR of the degraded image, by share of severe pixels, "
            "and by the share of the squared error in those pixels. The thin line is the median.",
            "Three histograms of pairs; their quartiles are in the table above.",
            Sketch(_spreads(pairs)),
        ),
        RenderedFigure(
            "gain_offset",
            "Reading: dots far from the thin line are pairs whose colours were changed as a whole. Gain and offset of "
            "each channel on the pixels that are not severe. A dot is a pair, the bar is the median. In target = "
            "K × degraded + D + degraded, K is the gain minus 1.",
            "Dot plots of gain and offset for red, green and blue; the numbers are in the table above.",
            Sketch(
                (
                    _global_change([pair.gain for pair in pairs], "gain", 1.0),
                    _global_change([pair.offset for pair in pairs], "offset, levels", 0.0),
                )
            ),
        ),
        RenderedFigure(
            "regions",
            "Reading: regions far to the right of the left panel are large spots. Number of severe regions by area, "
            "all pairs together, and number of pairs by their regions.",
            "Histogram of the areas of severe regions, and of their number in each pair.",
            Sketch(
                (
                    _areas(pairs),
                    _pair_histogram([sum(pair.regions) for pair in pairs], "regions in a pair", _HALF),
                )
            ),
        ),
    )


def _histogram(pairs: Sequence[AuditedPair]) -> Drawing:
    counts = np.array([pair.histogram for pair in pairs], dtype=np.float64).sum(0)
    shares = 100 * counts / counts.sum()
    present = np.flatnonzero(counts)
    area = Area(56, 26, WIDTH - 12, 216)
    x = Scale(-1.0, float(max(present.max() + 2, THRESHOLD_LEVELS + 10)), area.left, area.right)
    lowest = float(shares[present].min())
    y = Scale(lowest / 2, max(2 * float(shares.max()), 10 * lowest), area.bottom, area.top, is_log=True)
    marks = [heading(area, "pixels, %"), up(area, y), across(area, x, "largest difference of a channel, 8-bit levels")]
    marks += [
        svg.rectangle(
            x.position(level - 0.5), y.position(float(shares[level])), x.position(level + 0.5), area.bottom, "bar s0"
        )
        for level in present.tolist()
    ]
    limit = x.position(THRESHOLD_LEVELS + 0.5)
    marks.append(svg.line((limit, area.top), (limit, area.bottom), "limit s1"))
    return Drawing(WIDTH, panel_height(area), "".join(marks))


def _spreads(pairs: Sequence[AuditedPair]) -> tuple[Drawing, ...]:
    psnr = [pair.psnr_db for pair in pairs if pair.psnr_db is not None]
    energy = [pair.percent_severe_energy for pair in pairs if pair.percent_severe_energy is not None]
    return (
        _pair_histogram(psnr, "PSNR of degraded, dB", PANEL_WIDTH),
        _pair_histogram([100 * pair.severe_share for pair in pairs], "pixels over 30 levels, %", PANEL_WIDTH),
        _pair_histogram(energy, "their squared error, %", PANEL_WIDTH),
    )


def _pair_histogram(values: Sequence[float], label: str, width: int) -> Drawing:
    area = panel_area(_PANEL_HEIGHT, width=width)
    marks = [heading(area, "pairs")]
    if values:
        bins = min(24, max(6, round(len(values) ** 0.5)))
        counts, edges = np.histogram(values, bins=bins)
        x = Scale(float(edges[0]), float(edges[-1]), area.left, area.right)
        y = Scale(0.0, 1.08 * float(counts.max()), area.bottom, area.top)
        marks += [up(area, y, most=4, whole=True), across(area, x, label, most=3 if width < _HALF else 5)]
        marks += [
            svg.rectangle(x.position(left), y.position(count), x.position(right) - 1, area.bottom, "bar s0")
            for left, right, count in zip(edges.tolist(), edges[1:].tolist(), counts.tolist(), strict=False)
            if count
        ]
        median = x.position(float(np.median(values)))
        marks.append(svg.line((median, area.top), (median, area.bottom), "curve ink"))
    else:
        marks.append(label_below(area, label))
    return Drawing(width, panel_height(area), "".join(marks))


def _global_change(values: Sequence[tuple[float, float, float]], label: str, neutral: float) -> Drawing:
    """Draw one line a channel: a dot for each pair, evenly spread without random numbers, and the median."""
    shown = values[:: -(-len(values) // _MOST_DOTS)]
    area = panel_area(_PANEL_HEIGHT, width=_HALF)
    x = spanning([neutral, *(value for pair in shown for value in pair)], area.left, area.right)
    step = (area.bottom - area.top) / len(CHANNELS)
    marks = [across(area, x, label, most=5)]
    marks.append(svg.line((x.position(neutral), area.top), (x.position(neutral), area.bottom), "zero"))
    for line, (name, kind) in enumerate(zip(CHANNELS, _CHANNEL_SERIES, strict=True)):
        middle = area.top + (line + 0.5) * step
        of_channel = [pair[line] for pair in shown]
        marks.append(svg.label(name, (area.left - 6, middle + 4), "tick", "end"))
        marks += [
            svg.marker(
                0, (x.position(value), middle + step * (0.5 * (place * 0.618 % 1) - 0.25)), 2, f"bar faint {kind}"
            )
            for place, value in enumerate(of_channel)
        ]
        median = x.position(float(np.median(of_channel)))
        marks.append(svg.rectangle(median - 1.2, middle - 0.35 * step, median + 1.2, middle + 0.35 * step, "bar ink"))
    return Drawing(_HALF, panel_height(area), "".join(marks))


def _areas(pairs: Sequence[AuditedPair]) -> Drawing:
    kinds = max((len(pair.regions) for pair in pairs), default=0)
    totals = [sum(pair.regions[kind] for pair in pairs if kind < len(pair.regions)) for kind in range(kinds)]
    area = panel_area(_PANEL_HEIGHT, width=_HALF)
    x = Scale(-0.6, max(kinds, 1) - 0.4, area.left, area.right)
    y = Scale(0.0, 1.08 * max(*totals, 1) if totals else 1.0, area.bottom, area.top)
    step = max(1, -(-kinds // 6))
    ticks = [Rule(x.position(kind), f"{2**kind:,}") for kind in range(0, kinds, step)]
    marks = [
        heading(area, "regions"),
        up(area, y, most=4, whole=True),
        ticks_below(area, ticks),
        label_below(area, "area from, pixels (each bar twice the last)"),
    ]
    marks += [
        svg.rectangle(x.position(kind - 0.45), y.position(total), x.position(kind + 0.45), area.bottom, "bar s0")
        for kind, total in enumerate(totals)
        if total
    ]
    return Drawing(_HALF, panel_height(area), "".join(marks))
