"""Checks of an experiment across its sections: the metrics that it names, and what its claims are about."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.document import Document
from benchmark.experiment.resolve import Recipe
from benchmark.experiment.schema import ExperimentFile, Report
from benchmark.experiment.yaml_text import KeyPath
from benchmark.registry import Registry
from reports.metrics import COSTS, IMAGE_METRICS, split_of
from reports.schema import CLASSICAL_BASELINES, AnyClaim, BetterClaim, EquivalentClaim, FrontClaim, WithinClaim


def check_named_metrics(
    document: Document, file: ExperimentFile, rows: Mapping[str, Recipe], registry: Registry
) -> None:
    """Check that every metric exists, and can be computed on the images that it is computed on.

    Args:
        document: The experiment file, for the places in messages.
        file: The experiment file as settings.
        rows: Recipes by row.
        registry: Knows the metrics.

    Raises:
        ExperimentError: There is no such metric, or it needs larger images than a source makes; or a claim is about a
            test set that no row has.
    """
    names = registry.names("metric")
    tests = dict.fromkeys(["test", *(name for recipe in rows.values() for name in recipe.more_tests)])
    for index, claim in enumerate(file.claims):
        name = getattr(claim, "metric", None) or ""
        place = document.place(("claims", index, "metric"))
        if name.endswith("@"):
            hint = suggestion("", tests)
            raise ExperimentError(f"{place}: claims.{index}.metric: {name!r} names no test set; {hint}")
        _, test = split_of(name)
        if test not in tests:
            raise ExperimentError(f"{place}: claims.{index}.metric: no test set {test!r}; {suggestion(test, tests)}")
    for path, metric, split in _settings_with_metrics(file):
        place, dotted = document.place(path), ".".join(map(str, path))
        if path[0] != "claims" and "@" in metric:
            hint = "claims may name other test sets"
            raise ExperimentError(f"{place}: {dotted}: {metric!r}: give a metric without @; {hint}")
        if metric not in names:
            raise ExperimentError(f"{place}: {dotted}: no metric {metric!r}; {suggestion(metric, names)}")
        least = registry.find("metric", metric).min_side
        for row, recipe in rows.items():
            side = _largest_side(recipe, split, registry)
            if side is not None and side < least:
                raise ExperimentError(
                    f"{place}: {dotted}: {metric} needs images of at least {least} pixels, those of data.{split} have "
                    f"{side} in row {row}; name another metric, or make them larger"
                )


def named_metrics(file: ExperimentFile) -> tuple[str, ...]:
    """Return the metrics that an experiment names anywhere, without those of every row, sorted."""
    return tuple(sorted({metric for _, metric, _ in _settings_with_metrics(file)} - IMAGE_METRICS.keys()))


def _settings_with_metrics(file: ExperimentFile) -> list[tuple[KeyPath, str, str]]:
    """Return path, metric and the split that is scored, for each setting that names a metric."""
    in_sections: list[tuple[KeyPath, Any, str]] = [(("search",), file.search, "val"), (("tuning",), file.tuning, "val")]
    named = [((*path, "metric"), getattr(section, "metric", None), split) for path, section, split in in_sections]
    for index, claim in enumerate(file.claims):
        metric, test = split_of(getattr(claim, "metric", None) or "")
        named.append((("claims", index, "metric"), metric or None, test))
    objectives = (file.search.objectives if file.search else None) or ()
    named += [(("search", "objectives", i), name, "val") for i, name in enumerate(objectives) if name not in COSTS]
    named += [(("metrics", index), name, "test") for index, name in enumerate(file.metrics)]
    settings = [(path, metric, split) for path, metric, split in named if metric is not None]
    return [(("report", "primary"), file.report.primary, "test"), *settings]


def _largest_side(recipe: Recipe, split: str, registry: Registry) -> int | None:
    """Return the pixels that no side of an image of a split exceeds; None where only the images tell."""
    spec = recipe.splits.get(split)
    option = registry.find("source", spec.source).side_option if spec else None
    return spec.options.get(option) if spec and option else None


def check_claims(
    document: Document, claims: Sequence[AnyClaim], rows: Mapping[str, Mapping[str, Any]], report: Report
) -> None:
    """Check that every claim is about what the experiment has.

    Args:
        document: The experiment file, for the places in messages.
        claims: The claims in the order of the file.
        rows: Resolved configuration by row, baselines included.
        report: The settings that fill in what a claim leaves open.

    Raises:
        ExperimentError: A claim names a row, table, gate or cost that the experiment lacks, lacks a margin, or
            compares a row with itself; or two claims have one id.
    """
    for index, claim in enumerate(claims):
        for at, message in _claim_mistakes(claim, claims[:index], rows, report):
            path: KeyPath = ("claims", index, *at)
            raise ExperimentError(f"{document.place(path)}: {'.'.join(map(str, path))}: {message}")


def _claim_mistakes(
    claim: AnyClaim, earlier: Sequence[AnyClaim], rows: Mapping[str, Mapping[str, Any]], report: Report
) -> Iterator[tuple[KeyPath, str]]:
    """Yield the mistakes of a claim, each with its path below the claim; each may follow from the one before."""
    if claim.id in [other.id for other in earlier]:
        yield ("id",), f"two claims have the id {claim.id!r}"
    match claim:
        case BetterClaim():
            yield from _unknown(("better",), "row", [claim.better], rows)
            yield from _unknown(("worse",), "row", claim.rivals, rows)
            if claim.better in claim.rivals:
                yield ("worse",), f"{claim.better} is compared with itself"
        case EquivalentClaim():
            yield from _unknown(("equivalent",), "row", claim.equivalent, rows)
            if len(set(claim.equivalent)) == 1:
                yield ("equivalent",), f"{claim.equivalent[0]} is compared with itself"
            is_of_primary = claim.metric in (None, report.primary)
            if claim.equivalence_margin is None and not (is_of_primary and report.equivalence_margin):
                default = f"report.equivalence_margin is of {report.primary}, at {report.equivalence_margin:g}"
                yield (), f"give an equivalence_margin: {default}"
        case WithinClaim(within=within):
            yield from _unknown(("within", "row"), "row", [within.row], rows)
            yield from _unknown(("within", "gate"), "gate", [within.gate], rows[within.row].get("gates", {}))
        case FrontClaim(front=front):
            yield from _unknown(("front", "row"), "row", [front.row], rows)
            tables = {row.partition(".")[0] for row in rows if "." in row}
            yield from _unknown(("front", "among"), "table", [front.among], tables)
            gates = rows[front.row].get("gates", {})
            costs = ["macs", *(name for name, gate in gates.items() if gate["quantity"] == "latency")]
            yield from _unknown(("front", "cost"), "cost", [front.cost], costs)


def _unknown(at: KeyPath, kind: str, named: Iterable[str], names: Collection[str]) -> Iterator[tuple[KeyPath, str]]:
    for name in named:
        if name not in names:
            is_classical = kind == "row" and name in CLASSICAL_BASELINES
            hint = "add it to `baselines`" if is_classical else suggestion(name, names)
            yield at, f"no {kind} {name!r} in this experiment; {hint}"
