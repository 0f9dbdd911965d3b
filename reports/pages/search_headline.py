"""The headline of a search: a proven winner, none, no single best, or a best by one seed that is not confirmed."""

from collections.abc import Sequence

from reports import text
from reports.metrics import Metric
from reports.results.search import StoredSearch
from reports.results.trials import Trial
from reports.schema import ConfirmFile
from reports.tables.search import shown_gain


def headline(search: StoredSearch, finished: Sequence[Trial], metric: Metric) -> tuple[str, ...]:
    """Return what a search says of its trials, in a few sentences; `finished`: the best by one seed first."""
    if not finished:
        return (_nothing_finished(search.trials.trials),)
    if search.objectives:
        return (_no_single_best(search),)
    if search.confirmed:
        return (_confirmed(search.confirmed, metric), _best_by_one_seed(finished, metric))
    return (
        f"{_best_by_one_seed(finished, metric)} "
        "Whether it is also better on test, over all seeds, is yet to be confirmed.",
    )


def _nothing_finished(trials: Sequence[Trial]) -> str:
    if trials and all(trial.status == "rejected" for trial in trials):
        reason = next((f", the first since {trial.message}" for trial in trials if trial.message), "")
        return (
            f"All trials so far ({len(trials)}) are rejected{text.printable(reason)}. There is no best trial: "
            "raise the limit, or search smaller networks."
        )
    return "No trial has finished training yet."


def _no_single_best(search: StoredSearch) -> str:
    settings = search.settings
    names = text.listing([objective.label for objective in search.objectives])
    if settings is None or not settings.front:
        return f"No trial has all of {names} yet."
    picked = (
        f" {text.printable('best.yaml')} is trial {settings.picked}, picked by {text.printable(settings.pick)}."
        if settings.picked is not None
        else " No trial keeps what --pick asks for."
    )
    if len(settings.front) == 1:
        return f"Trial {settings.front[0]} is at least as good as every other in all of {names}.{picked}"
    return (
        f"There is no single best trial: {text.count(len(settings.front), 'trial')} form the front of {names}. Each of "
        "them is better than each other one of the front in one objective and worse in another; which to take depends "
        f"on what a budget allows, not on the search.{picked} All were compared on val with one seed."
    )


def _confirmed(confirmed: ConfirmFile, metric: Metric) -> str:
    seeds = text.listing([str(seed) for seed in confirmed.seeds])
    if confirmed.winner is None:
        return (
            f"No trial is proven better than the base row by {text.with_unit(f'{confirmed.margin:g}', metric.unit)}: "
            f"with seeds {seeds}, which no trial had, no interval on val is above it. Test was not read."
        )
    gain = next((trial.gain for trial in confirmed.trials if trial.trial == confirmed.winner), None)
    on_val = f"gains {shown_gain(gain, metric)} in {metric.label} on val" if gain else "wins on val"
    on_test = f"on test {shown_gain(confirmed.test, metric)}" if confirmed.test else "on test it has no result"
    return (
        f"Trial {confirmed.winner} is the proven winner: with seeds {seeds}, which no trial had, it {on_val} over the "
        f"base row; {on_test}. Test was read once, for these two."
    )


def _best_by_one_seed(finished: Sequence[Trial], metric: Metric) -> str:
    best = finished[0]
    value = text.with_unit(text.number(best.value, metric.decimals), metric.unit)
    first = next((trial.value for trial in finished[1:] if trial.number == 0), None)
    gain = None if first is None or best.value is None else best.value - first
    against = "" if gain is None else f", {text.signed(gain, metric.difference_decimals)} against trial 0"
    return f"Trial {best.number} is the best: val {metric.label} {value}{against}. It was chosen on val with one seed."
