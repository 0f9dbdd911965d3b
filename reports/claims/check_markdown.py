"""Numbers quoted in a Markdown file, compared with the records they come from.

Marks are HTML comments, which readers do not see. `numbers: FOLDER` names the run folder, relative to the file, that
the marks below it quote. A mark after a number says what it is:

    <!-- numbers: reports/published/quickstart -->
    The head is worth 1.04 dB<!-- = base - heads.direct_rgb psnr -->, at 0.31 MB<!-- = base MB -->.

`base psnr in FOLDER` quotes another run than the one
named above. A whole table is quoted by naming its columns after the folder, the row being the first `code` of a line;
`-` is a column that is not quoted:

    <!-- numbers: reports/published/quickstart | row psnr - seconds -->
    | row | PSNR, dB | | training, s |

What may be quoted: a metric (mean over seeds) and `ROW - ROW METRIC` (a difference), both also with `lowest` or
`highest` seed or the `spread` between these; a difference also with `low` or `high`, the ends of its 95 % interval as a
gain of the first row; a fact of `FACTS`; `claims holds|refuted|unresolved` (how many); `rows`, `seeds` and `images`. A
number is right if the record's, rounded to the decimals that are written, is what is written. Fenced code is not read.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from reports import ReportError, metrics
from reports.claims.evaluate_claims import SIGNS, judge
from reports.results import load
from reports.results.records import Results
from reports.results.summary import Summary, difference, image_count, summaries
from reports.statistics.gains import Unknown, gains_of
from reports.tables.costs import cost

_NUMBER = r"(?:(?<![\d.])[+\-−])?\d[\d,]*(?:\.\d+)?"
_MARK = re.compile(rf"(?P<number>{_NUMBER})?(?P<unit>[^\d|<>]{{0,24}})<!-- = (?P<what>[^>]*?) -->")
_SCOPE = re.compile(r"<!-- numbers: (?P<folder>[^|>]+?)(?: \| (?P<columns>[^>]*?))? -->")
_HALF = 0.5 + 1e-9

Value = TypeVar("Value")


@dataclass(frozen=True)
class Quote:
    """A number in a text and what it says it is."""

    line: int
    written: str
    """Empty where no number stands before the mark."""
    folder: str
    """The run it is from; empty where the text names none."""
    what: str


@dataclass(frozen=True)
class Mistake:
    """A quote that the records do not bear out."""

    quote: Quote
    message: str


def _of_model(fact: str) -> Callable[[Summary], float | None]:
    def read(row: Summary) -> float | None:
        model = row.model
        if model is None:
            return None
        return model.weight_bytes.get("float32") if fact == "bytes" else getattr(model, fact)

    return read


def _scaled(read: Callable[[Summary], float | None], unit: float) -> Callable[[Summary], float | None]:
    def scaled(row: Summary) -> float | None:
        value = read(row)
        return None if value is None else value / unit

    return scaled


FACTS: Mapping[str, Callable[[Summary], float | None]] = {
    "params": _of_model("params"),
    "macs": _of_model("macs"),
    "GMACs": _scaled(_of_model("macs"), 1e9),
    "bytes": _of_model("bytes"),
    "MB": _scaled(_of_model("bytes"), 1e6),
    "seconds": lambda row: cost(row).trained_seconds,
    "steps": lambda row: cost(row).trained_steps,
}
"""What may be quoted of a row besides metrics; bytes are those of the float32 file, seconds those of training."""


def check(file: Path) -> tuple[int, tuple[Mistake, ...]]:
    """How many numbers of a Markdown file are quoted from records, and which of them are wrong.

    Raises: `ReportError` where the file cannot be read. A folder that is no run is a mistake of the quote.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"{file}: cannot be read as text: {error}") from None
    quotes = list(find(text))
    runs: dict[str, _Run | str] = {}
    for folder in dict.fromkeys(quote.folder for quote in quotes):
        runs[folder] = _open(file.parent, folder)
    found = [(quote, _mistake(quote, runs[quote.folder])) for quote in quotes]
    return len(quotes), tuple(Mistake(quote, message) for quote, message in found if message)


def find(text: str) -> Iterator[Quote]:
    """The quotes of a Markdown text, in order."""
    folder, columns, is_code, was_table = "", (), False, False
    for number, line in enumerate(text.splitlines(), 1):
        is_code ^= line.lstrip().startswith("```")
        is_table = line.lstrip().startswith("|")
        scope = None if is_code else _SCOPE.search(line)
        if scope:
            folder, columns = scope["folder"].strip(), tuple((scope["columns"] or "").split())
        elif was_table and not is_table:
            columns = ()
        was_table = is_table
        if is_table and not is_code:
            yield from _of_table(number, line, folder, columns)
        for mark in () if is_code else _MARK.finditer(line):
            what, _, elsewhere = mark["what"].partition(" in ")
            yield Quote(number, mark["number"] or "", elsewhere.strip() or folder, what)


def _of_table(number: int, line: str, folder: str, columns: tuple[str, ...]) -> Iterator[Quote]:
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    named = re.search(r"`([^`]+)`", cells[0])
    if named:
        for cell, column in zip(cells[1:], columns[1:], strict=False):
            written = re.search(_NUMBER, cell)
            if column != "-":
                yield Quote(number, written[0] if written else "", folder, f"{named[1]} {column}")


@dataclass(frozen=True)
class _Run:
    results: Results
    rows: Mapping[str, Summary]


def _open(beside: Path, folder: str) -> _Run | str:
    if not folder:
        return "no `<!-- numbers: FOLDER -->` above says which run it is from"
    try:
        results = load.load(beside / folder)
    except ReportError as error:
        return str(error)
    return _Run(results, summaries(results))


def _mistake(quote: Quote, run: _Run | str) -> str:
    """What is wrong with a quote; empty where it is right."""
    if isinstance(run, str):
        return run
    if not quote.written:
        return "no number stands before the mark"
    try:
        value = _value(quote.what.split(), run)
    except _UnknownError as error:
        return str(error)
    decimals = len(quote.written.partition(".")[2])
    written = float(quote.written.replace(",", "").replace("−", "-"))
    return "" if abs(value - written) <= _HALF * 10**-decimals else f"the records say {value:.{decimals + 2}f}"


class _UnknownError(Exception):
    """What a mark names is not in the records; the message says which."""


def _value(words: list[str], run: _Run) -> float:
    match words:
        case ["rows"]:
            return len(run.rows)
        case ["seeds"]:
            return len(run.results.plan.seeds)
        case ["images"]:
            return image_count(run.results)
        case ["claims", result]:
            wanted = result.replace("unresolved", "not resolved")
            if wanted not in SIGNS:
                raise _UnknownError(f"claims {result!r}: write claims holds, refuted or unresolved")
            return sum(one.result == wanted for one in judge(run.results, run.rows))
        case [row, "-", other, metric, "low" | "high" as end]:
            return _interval_end(row, other, metric, end, run)
        case [row, "-", other, metric, *end]:
            return _over_seeds(_differences(row, other, metric, run), end, f"{row} - {other} {metric}")
        case [row, fact] if fact in FACTS:
            return _known(FACTS[fact](_row(row, run)), f"{row} has no {fact}")
        case [row, metric, *end]:
            return _over_seeds(list(_row(row, run).by_seed(metric).values()), end, f"{row} {metric}")
        case _:
            raise _UnknownError(f"{' '.join(words)!r}: write ROW METRIC, ROW - ROW METRIC or ROW {'|'.join(FACTS)}")


def _interval_end(row: str, other: str, metric: str, end: str, run: _Run) -> float:
    _pair(row, other, run)  # an unknown one is told
    gain = gains_of(run.results, run.rows, comparisons=1)(row, other, metrics.metric(metric))
    if isinstance(gain, Unknown):
        raise _UnknownError(f"{row} - {other} {metric} has no interval: {gain.reason}")
    return gain.low if end == "low" else gain.high


def _differences(row: str, other: str, metric: str, run: _Run) -> list[float]:
    found = difference(*_pair(row, other, run), metrics.metric(metric), None)
    return list(found.by_seed.values()) if found else []


def _pair(row: str, other: str, run: _Run) -> tuple[Summary, Summary]:
    if row == other:
        raise _UnknownError(f"{row} - {other}: a row has no difference to itself")
    return _row(row, run), _row(other, run)


def _over_seeds(values: list[float], end: list[str], what: str) -> float:
    if not values:
        raise _UnknownError(f"{what}: no finished seed has it")
    match end:
        case []:
            return fmean(values)
        case ["lowest"]:
            return min(values)
        case ["highest"]:
            return max(values)
        case ["spread"]:
            return max(values) - min(values)
        case _:
            raise _UnknownError(f"{' '.join(end)!r}: after a metric only lowest, highest or spread may stand")


def _row(name: str, run: _Run) -> Summary:
    return _known(run.rows.get(name), f"no row {name!r} in {run.results.folder}; known: {', '.join(run.rows)}")


def _known(value: Value | None, message: str) -> Value:
    if value is None:
        raise _UnknownError(message)
    return value
