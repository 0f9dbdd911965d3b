"""Rows of several experiments on every test set that these share."""

from collections.abc import Callable, Mapping

from reports import text
from reports.comparison.scored_images import mismatch, scored_images
from reports.metrics import TEST, Metric
from reports.results import Results
from reports.results.summary import Summary
from reports.statistics.ranks import Order
from reports.statistics.verdicts import Comparison
from reports.tables.differences import table_against
from reports.tables.test_sets import OnTestSet, on_test_set, sets_of

MakeOrder = Callable[[Results, Metric, Mapping[str, Comparison]], Order]
"""From the results with their primary metric on a test set, this metric and the comparisons with the reference."""


def shared_test_sets(
    experiments: Mapping[str, Results],
    results: Results,
    rows: Mapping[str, Summary],
    reference: Summary,
    make_order: MakeOrder,
) -> tuple[tuple[OnTestSet, ...], list[str]]:
    """Return the rows on `test` and on each further test set that is the same in all experiments that have it.

    Args:
        experiments: The experiments by name; their images of `test` are the same.
        results: All of them in one.
        rows: Its rows.
        reference: The row that all others are compared with.
        make_order: Says which rows are surely better than which.

    Returns:
        The test sets, and a note for each one that is left out.
    """
    sets: list[OnTestSet] = []
    notes: list[str] = []
    for test_set in sets_of(results):
        reason = "" if test_set == TEST else _mismatch(experiments, test_set)
        if reason:
            notes.append(f"Test set {text.printable(test_set)} is left out: {reason}.")
            continue
        own = on_test_set(results, test_set)
        metric = own.metric(own.plan.primary)
        if reference.by_seed(metric.name):
            compared = table_against(rows, reference, own, metric).comparisons
            sets.append(OnTestSet(metric, make_order(own, metric, compared), compared))
    return tuple(sets), notes


def _mismatch(experiments: Mapping[str, Results], test_set: str) -> str:
    """Return why the images of a test set differ between the experiments that have it; empty where they agree."""
    scored = (scored_images(name, results, test_set) for name, results in experiments.items())
    first, *others = (images for images in scored if images.images)
    return next(filter(None, (mismatch(first, other) for other in others)), "")
