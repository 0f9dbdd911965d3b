"""What would change the verdict: how many more seeds, or which other means, would settle what is open."""

from collections.abc import Sequence

from reports import text
from reports.metrics import Metric
from reports.statistics.verdicts import Verdict
from reports.tables.differences import Compared


def outlook(found: Sequence[Compared], primary: Metric, margin: float) -> tuple[str, ...]:
    """A sentence for each remedy in each table; empty where every row has a word other than inconclusive."""
    return tuple(sentence for one in found for sentence in _of_table(one, primary, margin))


def _of_table(one: Compared, primary: Metric, margin: float) -> list[str]:
    rows: dict[str, list[str]] = {}
    for difference in one.found:
        verdict = one.verdicts.get(difference.row)
        remedy = _remedy(verdict, primary, margin) if verdict else ""
        if remedy:
            rows.setdefault(remedy, []).append(text.printable(difference.row))
    table = text.printable(one.table)
    return [f"Table {table}: {remedy} ({text.listing(names)})." for remedy, names in rows.items()]


def _remedy(verdict: Verdict, primary: Metric, margin: float) -> str:
    if verdict.word is None:
        return f"no word, as {verdict.reason}" if verdict.reason else ""
    estimate = verdict.estimate
    if verdict.word != "inconclusive" or estimate is None:
        return ""
    now = _amount(estimate.resolution, primary)
    if not margin:
        return f"undecided at a resolution of {now}; the experiment names no smallest difference that matters"
    wanted = text.with_unit(f"{margin:g}", primary.unit)
    if estimate.seeds_needed is None:
        return f"more test images, not seeds, would resolve {wanted}"
    more = max(estimate.seeds_needed - estimate.seeds, 1)
    return f"{text.count(more, 'more seed')} would resolve {wanted}"


def _amount(value: float, primary: Metric) -> str:
    return text.with_unit(text.number(value, primary.difference_decimals), primary.unit)
