"""Fill the generated tables of Markdown documents from published studies.

    python tools/generate_tables.py            # rewrite the tables
    python tools/generate_tables.py --check    # exit with 1 where a table is not what the records say

A table stands between two comments, which readers do not see:

    <!-- table: STUDY [KIND [METRIC...]] -->
    <!-- end -->

STUDY is a folder of reports/published. KIND is one of

    rows          all rows, best first: metrics (mean over seeds), file size, latency, seconds of training; the default
    differences   every row minus the base row: the primary metric with its 95 % interval and verdict, other metrics
    claims        what the experiment claims, and what the records say of it

METRIC: the metrics to show, in this order; without any, the primary metric, psnr_spots and harm.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean

from reports import text
from reports.claims.evaluate_claims import SIGNS, evaluate
from reports.errors import ReportError
from reports.file_access import write_bytes
from reports.metrics import Metric
from reports.results import Results
from reports.results.load import load
from reports.results.summary import BASE, Summary, difference, latency, ranked, summaries
from reports.statistics.verdicts import compare_with_base

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "reports/published"
DOCUMENTS = ("README.md", "docs/*.md", "reports/published/README.md")
METRICS = ("psnr_spots", "harm")
"""Shown beside the primary metric where a marker names none."""

_TABLE = re.compile(r"(<!-- table: ([^>]+?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

_NUMBER = re.compile(r"[+−]?\d")

Line = Sequence[str]


def rows_table(results: Results, names: Sequence[str]) -> list[Line]:
    """Return all rows, the best first, with their baselines below."""
    rows = summaries(results)
    primary = results.metric(names[0])
    trained = ranked([row for row in rows.values() if not row.is_baseline], primary)
    baselines = ranked([row for row in rows.values() if row.is_baseline], primary)
    heads = [
        "row",
        *(_heading(results.metric(name)) for name in names),
        "file, MB",
        "latency, ms",
        "training a seed, s",
    ]

    def line(row: Summary) -> Line:
        timed = latency(row)
        return [
            f"`{row.row}`",
            *(text.number(row.mean(name), results.metric(name).decimals) for name in names),
            text.number((row.model.file_bytes or 0) / 1e6 if row.model else None, 2),
            text.number(timed.measured if timed else None, 0),
            text.number(_training_seconds(row), 0),
        ]

    return [heads, *(line(row) for row in (*trained, *baselines))]


def differences_table(results: Results, names: Sequence[str]) -> list[Line]:
    """Return every row of a table minus the base row, the best first."""
    rows, primary = summaries(results), results.metric(results.plan.primary)
    others = [name for name in names if name != primary.name]
    heads = [
        "row minus `base`",
        f"{_heading(primary)} [95 %]",
        "verdict",
        *(_heading(results.metric(name)) for name in others),
    ]
    comparisons = compare_with_base(results, rows, primary)
    shown = ranked([rows[name] for name in comparisons if rows[name].tables], primary)

    def change(row: Summary, name: str) -> str:
        estimate = difference(row, rows[BASE], results.metric(name), None)
        return text.signed(estimate.mean if estimate else None, results.metric(name).difference_decimals)

    def interval(row: Summary) -> str:
        estimate = comparisons[row.row].estimate
        if estimate is None:
            return change(row, primary.name)
        low, high = (text.signed(end, 2) for end in (estimate.low, estimate.high))
        return f"{text.signed(estimate.difference, 2)} [{low}, {high}]"

    return [
        heads,
        *(
            [f"`{row.row}`", interval(row), comparisons[row.row].verdict or text.ABSENT]
            + [change(row, name) for name in others]
            for row in shown
        ),
    ]


def claims_table(results: Results, names: Sequence[str]) -> list[Line]:
    """Return the claims of a study with what came of them. `names` is not used: claims name their metrics."""
    lines = [
        [f"`{item.claim.id}`: {_cell(item.claim.text)}", f"{SIGNS[item.result]} {item.result}", _cell(item.numbers)]
        for item in evaluate(results, summaries(results))
    ]
    return [["claim", "result", "numbers"], *lines]


KINDS: Mapping[str, Callable[[Results, Sequence[str]], list[Line]]] = {
    "rows": rows_table,
    "differences": differences_table,
    "claims": claims_table,
}


def table(marker: str) -> str:
    """Return the table that a marker such as `quickstart rows psnr harm` asks for.

    Raises:
        ReportError: There is no such study or kind of table.
    """
    study, *words = marker.split()
    kind, *names = words or ["rows"]
    if kind not in KINDS:
        raise ReportError(f"<!-- table: {marker} -->: no kind {kind!r}; known: {', '.join(KINDS)}")
    results = _study(study)
    heads, *lines = KINDS[kind](results, names or list(dict.fromkeys((results.plan.primary, *METRICS))))
    is_number = [any(_NUMBER.match(line[at]) for line in lines) for at in range(len(heads))]
    rules = ["--:" if number else "---" for number in is_number]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (heads, rules, *lines))


def filled(document: str) -> str:
    """Return the text of a document with its tables made anew."""
    return _TABLE.sub(lambda match: f"{match[1]}{table(match[2])}{match[4]}", document)


def main(arguments: Sequence[str]) -> int:
    """Rewrite the tables of all documents, or say which are not up to date. Returns the exit status."""
    stale: list[str] = []
    for file in (file for pattern in DOCUMENTS for file in sorted(ROOT.glob(pattern))):
        before = file.read_text(encoding="utf-8")
        after = filled(before)
        if after == before:
            continue
        stale.append(file.relative_to(ROOT).as_posix())
        if "--check" not in arguments:
            write_bytes(file, after.encode())
    for name in stale:
        print(f"{name}: tables {'differ from the records' if '--check' in arguments else 'written'}")
    return 1 if stale and "--check" in arguments else 0


def _training_seconds(row: Summary) -> float | None:
    """Return how long the stages of one seed took, wherever they were trained; the mean over seeds."""
    seconds = [sum(stage.seconds or 0.0 for stage in record.stages) for record in row.finished if record.stages]
    return fmean(seconds) if seconds else None


@cache
def _study(name: str) -> Results:
    return load(PUBLISHED / name)


def _heading(shown: Metric) -> str:
    return f"{shown.label}, {shown.unit}" if shown.unit else shown.label


def _cell(words: str) -> str:
    return " ".join(words.replace("|", "\\|").split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
