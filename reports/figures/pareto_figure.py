"""The Pareto plot as a figure without links, for the Markdown page."""

from reports.figures import svg
from reports.figures.axes import Area, label_below, ticks_below
from reports.figures.drawing import Drawing, Key, Sketch
from reports.figures.pareto_plot import ParetoPlot

_SERIES = ("ink", "s1", "s2", "s3", "s7", "s0")
"""The colour of each table, as on the page."""


def pareto_figure(plot: ParetoPlot) -> Sketch:
    """Draw the plot; each table has a colour and a shape."""
    area = Area(*plot.plane)
    marks = [ticks_below(area, plot.x_ticks)]
    for tick in plot.y_ticks:
        marks.append(svg.line((area.left, tick.at), (area.right, tick.at), "grid"))
        marks.append(svg.label(tick.label, (area.left - 8, tick.at + 4), "tick", "end"))
    for place, rule in enumerate(plot.baselines):
        marks.append(svg.line((area.left, rule.at), (area.right, rule.at), "baseline"))
        marks.append(svg.label(rule.label, (area.left + 6 + 130 * place, rule.at - 4), "tick"))
    for rule in plot.limits:
        marks.append(svg.line((rule.at, area.top), (rule.at, area.bottom), "limit s1"))
        marks.append(svg.label(rule.label, (rule.at - 5, area.top + 12), "limit-label s1", "end"))
    marks.append(label_below(area, plot.x_label))
    marks.append(svg.label(plot.y_label, (4, area.top - 8)))
    for marker in plot.markers:
        look = f"{'hollow' if marker.fails else 'dot'} {_SERIES[marker.colour]}"
        marks.append(svg.marker(marker.colour, (marker.x, marker.y), marker.radius, look, marker.description))
        if label := marker.label:
            if label.is_far:
                marks.append(svg.line((marker.x, marker.y), (label.x, label.y - 4), "leader"))
            marks.append(svg.label(label.text, (label.x, label.y), "name", label.anchor))
    keys = tuple(
        Key(svg.marker(colour, (0, 0), 4.5, f"dot {_SERIES[colour]}"), table)
        for colour, table in (plot.tables if len(plot.tables) > 1 else ())
    )
    return Sketch((Drawing(plot.width, plot.height, "".join(marks)),), keys)
