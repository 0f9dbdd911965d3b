"""The cards on the first screen: the best row under the limits, and the fastest with about the same mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports import text
from reports.metrics import Metric
from reports.pages import Card
from reports.pages.card_facts import costs, limits, on_photographs
from reports.pages.commands import shipping_commands
from reports.results import Results
from reports.results.further_tests import FurtherTest
from reports.results.summary import BASE, IDENTITY, Summary, about_as_good, complete, difference, fastest, ranked
from reports.statistics.intervals import FEWEST_SEEDS
from reports.statistics.ranks import Order, family_of_pair
from reports.statistics.verdicts import MEANINGS, Comparison, compare_pair
from reports.tables.interval_text import interval_text, not_available, scale

_BEST = "Best under your limits"
_FASTEST = "Fastest with about the same mean"
_MOST_NAMES = 4
_LEADS = "leads, not proven"
"""With one or two seeds all that a run has is leads."""
_HIGHEST = "highest mean, not proven"


@dataclass(frozen=True)
class Candidates:
    """The rows that a reader may choose from."""

    peers: tuple[Summary, ...]
    """Rows with as many finished seeds as any other, best first."""
    passing: tuple[Summary, ...]
    """Those of them that fail no gate."""

    @property
    def best(self) -> Summary | None:
        """The best row under the limits."""
        return self.passing[0] if self.passing else None


def candidates(rows: Mapping[str, Summary], primary: Metric) -> Candidates:
    """Return the rows to choose from."""
    order = ranked([row for row in rows.values() if not row.is_baseline], primary)
    peers = tuple(row for row in complete(order) if row.mean(primary.name) is not None)
    return Candidates(peers, tuple(row for row in peers if not row.failed_gates))


def choice_cards(
    rows: Mapping[str, Summary],
    results: Results,
    primary: Metric,
    order: Order,
    tests: Sequence[FurtherTest],
) -> tuple[Card, ...]:
    """Return the cards of the best row and of the fastest row with about the same mean; none before a row finished.

    Args:
        rows: All rows by name.
        results: The run.
        primary: The metric that rows are ranked by.
        order: Which rows are surely better than which others.
        tests: The test sets beside `test`.
    """
    choice = candidates(rows, primary)
    best = choice.best
    if best is None:
        if not choice.peers:
            return ()
        nearest = text.printable(choice.peers[0].row)
        limits = f"Every finished row fails a limit. The best of them is {nearest}; the table says which limit."
        return (Card(_BEST, "", "no row keeps the limits", (), (limits,), ()),)
    return (
        _best_card(best, choice, rows, results, primary, order, tests),
        *_fastest_cards(best, choice, rows, results, primary, tests),
    )


def _best_card(
    best: Summary,
    choice: Candidates,
    rows: Mapping[str, Summary],
    results: Results,
    primary: Metric,
    order: Order,
    tests: Sequence[FurtherTest],
) -> Card:
    rival = rows.get(BASE) if best.row != BASE else next((row for row in choice.passing if row.row != BASE), None)
    facts = [_quality(best, primary)]
    comparison = None
    others = (
        (rival, "base" if best.row != BASE else "the next row"),
        (rows.get(IDENTITY), "doing nothing"),
        (_better_baseline(best, rows, primary), "a better baseline"),
    )
    for other, name in others:
        if other is None or difference(best, other, primary, scores=None) is None:
            continue
        against = _compared(best, other, rows, results, primary)
        comparison = against if other is rival else comparison
        label = f"{name} ({text.printable(other.row)})" if name != other.row else name
        facts.append((f"against {label}", _difference(best, other, against, rows, primary)))
    certainty = _certainty(comparison, best, "the next row" if best.row == BASE else "base")
    worse = _worse_than_nothing(best, rows, primary)
    return Card(
        _BEST,
        text.printable(best.row),
        certainty,
        (*facts, *on_photographs(best, tests), *costs(best), *limits(best)),
        (*worse, *_over_limits(choice), *_rows_that_may_be_best(choice, order)),
        () if worse else shipping_commands(best, results),
        is_proven=certainty.startswith("proven"),
    )


def _worse_than_nothing(row: Summary, rows: Mapping[str, Summary], primary: Metric) -> tuple[str, ...]:
    """Return the sentence that a row spoils images; nothing where it does not, or where that is not known."""
    nothing = rows[IDENTITY].mean(primary.name) if IDENTITY in rows else None
    own = row.mean(primary.name)
    if nothing is None or own is None or primary.gain(own, nothing) >= 0:
        return ()
    return ("Its images are worse than if nothing had been done, so there is nothing to ship yet.",)


def _rows_that_may_be_best(choice: Candidates, order: Order) -> tuple[str, ...]:
    """Return how many rows may be best, where more than one may."""
    names = order.may_be_best([row.row for row in choice.passing])
    if len(names) < 2:
        return ()
    named = f": {text.listing(list(map(text.printable, names)))}" if len(names) <= _MOST_NAMES else ""
    return (f"{len(names)} rows may be best{named}.",)


def _over_limits(choice: Candidates) -> tuple[str, ...]:
    """Return the rows that are better than the best under the limits, but fail one."""
    better = [row for row in choice.peers[: choice.peers.index(choice.passing[0])] if row.failed_gates]
    names = text.listing([text.printable(row.row) for row in better[:_MOST_NAMES]])
    return (f"Better, but over a limit: {names}.",) if better else ()


def _better_baseline(best: Summary, rows: Mapping[str, Summary], primary: Metric) -> Summary | None:
    """Return the best baseline, other than doing nothing, where it is at least as good as the best row."""
    top = best.mean(primary.name)
    baselines = ranked([row for row in rows.values() if row.is_baseline and row.row != IDENTITY], primary)
    mean = baselines[0].mean(primary.name) if baselines else None
    return baselines[0] if top is not None and mean is not None and primary.gain(top, mean) <= 0 else None


def _fastest_cards(
    best: Summary,
    choice: Candidates,
    rows: Mapping[str, Summary],
    results: Results,
    primary: Metric,
    tests: Sequence[FurtherTest],
) -> tuple[Card, ...]:
    margin = results.plan.equivalence_margin
    within = text.with_unit(f"{margin:g}", primary.unit)
    near = about_as_good(choice.passing, best, primary, margin)
    measured = fastest(near)
    if measured is None:
        return (Card(_FASTEST, "", "not measured", (), ("No latency was measured on this machine.",), ()),)
    _, row = measured
    if row.row == best.row:
        reason = f"No faster row is within {within} of its mean." if margin else "The experiment has no margin."
        return (Card(_FASTEST, text.printable(best.row), "the same row", costs(best), (reason,), ()),)
    comparison = _compared(row, best, rows, results, primary)
    is_proven = _is_not_worse(comparison, margin)
    certainty = f"proven not worse by more than {within}" if is_proven else _unproven(comparison, row, "not proven")
    facts = (
        _quality(row, primary),
        ("against the best row", _difference(row, best, comparison, rows, primary)),
        *on_photographs(row, tests),
        *costs(row),
        *limits(row),
    )
    notes = (
        *_worse_than_nothing(row, rows, primary),
        f"{text.count(len(near), 'row')} within {within} of the best mean; this one is the fastest of them.",
    )
    commands = () if _worse_than_nothing(row, rows, primary) else shipping_commands(row, results)
    return (Card(_FASTEST, text.printable(row.row), certainty, facts, notes, commands, is_proven=is_proven),)


def _compared(
    row: Summary, reference: Summary, rows: Mapping[str, Summary], results: Results, primary: Metric
) -> Comparison | None:
    if len(row.finished) < 2:
        return None
    family = family_of_pair(results, rows, row.row, reference.row, primary)
    return compare_pair(results, rows, row.row, reference.row, primary, family)


def _is_not_worse(comparison: Comparison | None, margin: float) -> bool:
    return bool(comparison and comparison.verdict and comparison.gain and comparison.gain.low > -margin)


def _certainty(comparison: Comparison | None, row: Summary, rival: str) -> str:
    """Return whether the best row is proven better than its rival."""
    if comparison and comparison.verdict in ("gain", "negligible gain"):
        return f"proven better than {rival}"
    return _unproven(comparison, row, _LEADS if len(row.finished) < FEWEST_SEEDS else _HIGHEST)


def _unproven(comparison: Comparison | None, row: Summary, label: str) -> str:
    """Return a label with the reason why nothing is proven."""
    seeds = len(row.finished)
    if seeds < FEWEST_SEEDS:
        return f"{label}: {text.count(seeds, 'seed')}, needs at least {FEWEST_SEEDS}"
    if comparison and comparison.verdict:
        return f"{label}: {comparison.verdict}, {MEANINGS[comparison.verdict]}"
    return f"{label}: {comparison.reason}" if comparison and comparison.reason else label


def _quality(row: Summary, primary: Metric) -> tuple[str, str]:
    value = text.with_unit(text.number(row.mean(primary.name), primary.decimals), primary.unit)
    return primary.label, f"{value}, mean of {text.count(len(row.finished), 'seed')}"


def _difference(
    row: Summary, other: Summary, comparison: Comparison | None, rows: Mapping[str, Summary], primary: Metric
) -> str:
    """Return the difference with its interval, or why there is none."""
    gain = difference(row, other, primary, scores=None)
    shown = text.with_unit(text.signed(gain.mean if gain else None, primary.difference_decimals), primary.unit)
    if comparison and comparison.estimate:
        interval = interval_text(comparison.estimate, primary, scale(list(rows.values()), primary))
        return f"{shown}, {'95 % ' if interval.startswith('[') else ''}interval {interval}"
    return f"{shown}, interval {not_available(len(row.finished))}"
