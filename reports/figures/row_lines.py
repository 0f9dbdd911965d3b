"""Figures with one line a row: differences with their intervals, stage gains, latencies."""

from collections.abc import Mapping, Sequence

from reports import text
from reports.figures import svg
from reports.figures.axes import across, named_lines
from reports.figures.drawing import WIDTH, Drawing, Sketch, axis_label, bracketed, marker_key
from reports.figures.scales import Scale, is_wide, spanning
from reports.metrics import Metric
from reports.results.summary import Difference, Summary
from reports.statistics.verdicts import Comparison

_DOT = 4.5
"""Radius of a dot, px."""


def forest(
    differences: Sequence[Difference],
    comparisons: Mapping[str, Comparison],
    primary: Metric,
    equivalence_margin: float,
    reference: str,
) -> Sketch:
    """Draw one line a row: the difference with its interval, a dot for each seed, a band for the margin."""
    lines = named_lines([difference.row for difference in differences], 36)
    area = lines.area
    intervals = {row: shown.estimate for row, shown in comparisons.items() if shown.estimate}
    values = [0.0, -equivalence_margin, equivalence_margin]
    for difference in differences:
        values += [difference.mean, *difference.by_seed.values()]
        if estimate := intervals.get(difference.row):
            values += [estimate.low, estimate.high]
    scale = spanning(values, area.left, area.right, pad=0.04)
    marks = [lines.labels]
    if equivalence_margin:
        ends = [scale.position(sign * equivalence_margin) for sign in (-1, 1)]
        marks.append(svg.rectangle(ends[0], area.top, ends[1], area.bottom, "band"))
    label = bracketed(f"{primary.label} minus that of {text.printable(reference)}", primary.unit)
    marks.append(across(area, scale, label))
    marks.append(svg.line((scale.position(0), area.top), (scale.position(0), area.bottom), "zero"))
    for index, difference in enumerate(differences):
        y = lines.y(index)
        marks += [  # below the interval, so that neither hides the other
            svg.marker(0, (scale.position(value), y + 9), 2.6, "dot s5", f"{text.seed_name(seed)}: {value:+.3g}")
            for seed, value in difference.by_seed.items()
        ]
        if estimate := intervals.get(difference.row):
            low, high = scale.position(estimate.low), scale.position(estimate.high)
            marks.append(svg.line((low, y), (high, y), "curve ink"))
            marks += [svg.line((end, y - 4), (end, y + 4), "curve ink") for end in (low, high)]
        comparison = comparisons.get(difference.row)
        look = "dot s0" if comparison and comparison.verdict else "hollow s0"
        shown = text.signed(difference.mean, primary.difference_decimals)
        hint = f"{difference.row}: {text.with_unit(shown, primary.unit)}"
        marks.append(svg.marker(1, (scale.position(difference.mean), y), _DOT, look, hint))
    return Sketch((Drawing(WIDTH, lines.height, "".join(marks)),))


def stage_gains(rows: Sequence[Summary], primary: Metric) -> Sketch | None:
    """Draw the validation metric after each stage, mean over seeds; None where no stage was validated."""
    traces = {row.row: trace for row in rows if (trace := _stage_trace(row, primary.name))}
    if not traces:
        return None
    stages = list(dict.fromkeys(name for trace in traces.values() for name in trace))
    lines = named_lines(list(traces), 28)
    scale = spanning(
        [value for trace in traces.values() for value in trace.values()], lines.area.left, lines.area.right
    )
    marks = [lines.labels, across(lines.area, scale, f"validation {axis_label(primary)}")]
    for index, (row, trace) in enumerate(traces.items()):
        y = lines.y(index)
        marks.append(svg.curve([(scale.position(value), y) for value in trace.values()], "trace"))
        marks += [
            _dot(stages.index(stage), scale.position(value), y, f"{row} after {stage}: {value:.4g}")
            for stage, value in trace.items()
        ]
    keys = tuple(marker_key(index, f"after {stage}") for index, stage in enumerate(stages))
    return Sketch((Drawing(WIDTH, lines.height, "".join(marks)),), keys)


def latency_dots(timings: Sequence[tuple[str, str, float | None]]) -> Sketch:
    """Draw median latencies, one line a network, one kind of dot a runtime.

    Args:
        timings: Network, runtime and median in ms; a network without any median has an empty line.
    """
    names = list(dict.fromkeys(name for name, _, _ in timings))
    runtimes = list(dict.fromkeys(runtime for _, runtime, _ in timings))
    medians = [ms for *_, ms in timings if ms is not None]
    lines = named_lines(names, 28)
    area = lines.area
    scale = (
        spanning(medians, area.left, area.right, is_log=True)
        if is_wide(medians)
        else Scale(0.0, 1.05 * max(medians, default=0.0) or 1.0, area.left, area.right)
    )
    marks = [lines.labels, across(area, scale, "median time of one image, ms (less is better)")]
    marks += [
        _dot(runtimes.index(runtime), scale.position(ms), lines.y(names.index(name)), f"{name}, {runtime}: {ms:.3g} ms")
        for name, runtime, ms in timings
        if ms is not None
    ]
    keys = tuple(marker_key(index, runtime) for index, runtime in enumerate(runtimes))
    return Sketch((Drawing(WIDTH, lines.height, "".join(marks)),), keys)


def _dot(index: int, x: float, y: float, hint: str) -> str:
    """Return a dot in the colour and shape of series `index`."""
    return svg.marker(index, (x, y), _DOT, f"dot {svg.series(index)}", hint)


def _stage_trace(row: Summary, metric: str) -> dict[str, float]:
    """Return stage -> validation value, in the order of the stages, mean over the seeds."""
    values: dict[str, list[float]] = {}
    for stage in (stage for record in row.finished for stage in record.stages if metric in stage.val):
        values.setdefault(stage.name, []).append(stage.val[metric])
    return {stage: sum(of_stage) / len(of_stage) for stage, of_stage in values.items()}
