"""Make the figure and the table of docs/why_seeds_matter.md from a published study.

    python tools/why_seeds_matter.py            # write both
    python tools/why_seeds_matter.py --check    # exit with 1 where the table is not what the records say

For each seed: the mean difference of two rows over the test faces with the 95 % interval that counts the chance of the
faces alone (Student's t). Below: the interval of this suite over all seeds.
"""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from reports import text
from reports.figures import svg
from reports.figures.axes import across, named_lines
from reports.figures.drawing import WIDTH, Drawing, RenderedFigure, Sketch, bracketed
from reports.figures.scales import spanning
from reports.file_access import write_bytes
from reports.metrics import Metric
from reports.results.load import load
from reports.results.summary import BASE, image_scores, summaries
from reports.statistics.verdicts import compare_with_base

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/why_seeds_matter.md"
FIGURE = ROOT / "docs/why_seeds_matter.svg"
STUDY, ROW = "seed_claims_contest", "improvements.one_input_scale"

_BETTER, _WORSE = "better than base", "worse than base"
_TABLE = re.compile(r"(<!-- seeds -->\n)(.*?)(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Measured:
    """A difference with its interval, and what one would conclude from it."""

    label: str
    mean: float
    low: float
    high: float

    @property
    def conclusion(self) -> str:
        """What the interval says of the row."""
        return _BETTER if self.low > 0 else _WORSE if self.high < 0 else "cannot tell"


def measured() -> tuple[list[Measured], Metric, str]:
    """Return the row minus base for each seed alone, then over all seeds; the metric; and how common it is."""
    results = load(ROOT / "reports/published" / STUDY)
    metric = results.metric(results.plan.primary)
    scores = image_scores(results, metric.name)
    alone = {
        row.row: [_of_seed(seed, scores[row.row, seed], scores[BASE, seed]) for seed in results.plan.seeds]
        for row in results.plan.rows
        if row.kind == "trained" and row.row != BASE
    }
    contradicted = [row for row, lines in alone.items() if {_BETTER, _WORSE} <= {line.conclusion for line in lines}]
    estimate = compare_with_base(results, summaries(results), metric)[ROW].estimate
    assert estimate is not None  # the study finished all seeds
    together = Measured(f"{estimate.seeds} seeds, this suite", estimate.difference, estimate.low, estimate.high)
    common = (
        f'In this study, {len(contradicted)} of {len(alone)} rows have both: a seed that "proves" them better than\n'
        'base and one that "proves" them worse. The figure shows the row where this is clearest.\n'
    )
    return [*alone[ROW], together], metric, common


def _of_seed(seed: int, of_row: Mapping[str, float], of_base: Mapping[str, float]) -> Measured:
    """Return the difference of one seed with Student's interval over the faces."""
    gains = np.array([value - of_base[image] for image, value in of_row.items()])
    interval = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
    return Measured(f"seed {seed} alone", float(gains.mean()), float(interval.low), float(interval.high))


def markdown(lines: Sequence[Measured], metric: Metric, common: str) -> str:
    """Return the table of the page, and how common it is."""
    rows = [
        f"| {line.label} | {text.signed(line.mean, 3)} | [{text.signed(line.low, 3)}, {text.signed(line.high, 3)}] | "
        f"{line.conclusion} |\n"
        for line in lines
    ]
    heads = f"| | {bracketed(f'difference in {metric.label}', metric.unit)} | 95 % interval | conclusion |\n"
    return f"{heads}| --- | --: | --- | --- |\n{''.join(rows)}\n{common}"


def figure(lines: Sequence[Measured], metric: Metric) -> RenderedFigure:
    """Draw one line a seed and one for all."""
    named = named_lines([line.label for line in lines], 34)
    values = [0.0, *(value for line in lines for value in (line.low, line.high))]
    x = spanning(values, named.area.left, named.area.right)
    label = bracketed(f"{metric.label} with the input at one scale minus that at three", metric.unit)
    marks = [named.labels, across(named.area, x, label)]
    marks.append(svg.line((x.position(0), named.area.top), (x.position(0), named.area.bottom), "zero"))
    for place, line in enumerate(lines):
        kind = "s0" if place == len(lines) - 1 else "s1" if line.low > 0 or line.high < 0 else "ink"
        y = named.y(place)
        marks.append(svg.line((x.position(line.low), y), (x.position(line.high), y), f"curve {kind}"))
        marks.append(svg.marker(1, (x.position(line.mean), y), 4.5, f"dot {kind}"))
    alt = "For each seed, the difference with its interval over the faces, and below that over all seeds"
    return RenderedFigure(FIGURE.stem, "", alt, Sketch((Drawing(WIDTH, named.height, "".join(marks)),)))


def main(arguments: Sequence[str]) -> int:
    """Write figure and table, or check the table. Returns the exit status."""
    lines, metric, common = measured()
    before = PAGE.read_text(encoding="utf-8")
    after = _TABLE.sub(lambda match: f"{match[1]}{markdown(lines, metric, common)}{match[3]}", before)
    if "--check" in arguments:
        return int(after != before)
    write_bytes(PAGE, after.encode())
    write_bytes(FIGURE, figure(lines, metric).svg)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
