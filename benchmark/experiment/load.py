"""An experiment file, read and checked: the base row, the rows of its tables, each resolved, and its claims."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.document import Document, KeyPath, override_all, override_from_text, read_with_parents
from benchmark.experiment.resolve import Recipe, resolve, validate
from benchmark.experiment.schema import ExperimentFile, Report
from benchmark.experiment.search_space import Search, Tuning, read_search, read_tuning
from benchmark.experiment.weights import with_absolute_weights
from benchmark.registry import Registry
from reports.metrics import IMAGE_METRICS
from reports.schema import BASELINES, AnyClaim, BetterClaim, EquivalentClaim, FrontClaim, WithinClaim, rows_of

BASE = "base"


@dataclass(frozen=True)
class Row:
    """A model and a chain of stages. `name` is `base` or `<table>.<row>`."""

    name: str
    table: str | None
    recipe: Recipe

    @property
    def config(self) -> dict[str, Any]:
        """The recipe as plain data."""
        return self.recipe.config


@dataclass(frozen=True)
class Experiment:
    """An experiment file with every setting checked and filled in."""

    name: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    report: Report
    short_form: str | None
    claims: tuple[AnyClaim, ...]
    search: Search | None
    document: Document
    """The merged file as written, with `extends` and `--set` applied."""
    tuning: Tuning | None = None
    notices: tuple[str, ...] = ()
    """One line for each `--set` that changes nothing."""


def load(file: Path, registry: Registry, sets: Sequence[str] = (), patterns: Sequence[str] = ()) -> Experiment:
    """Return the experiment in `file` with `--set` overrides applied.

    Args:
        file: the experiment file.
        registry: knows the components that it may name.
        sets: overrides, each `PATH=VALUE`.
        patterns: of the rows that are chosen; the others need not make sense together with `sets`. None: all are.

    Raises:
        ExperimentError: with one line for each mistake.
    """
    document, notices = read_with_parents(file), list[str]()
    for item in sets:
        changed = override_from_text(document, item)
        if _canonical(changed.data) == _canonical(document.data):
            notices.append(f"--set {item}: changes nothing; the experiment already says so")
        document = changed
    document = with_absolute_weights(document)
    checked = validate(ExperimentFile, document)
    if len(set(checked.seeds)) < len(checked.seeds):
        raise ExperimentError(f"{document.place(('seeds',))}: seeds: a seed is given twice")

    def is_checked(row: str) -> bool:
        return not (sets and patterns) or any(fnmatchcase(row, pattern) for pattern in patterns)

    base = Row(BASE, None, resolve(document, registry))
    rows = (base, *_table_rows(document, base, registry, is_checked))
    _check_distinct([row for row in rows if is_checked(row.name)], document)
    _check_metrics(document, checked, registry)
    names = {row.name for row in rows}
    unresolved = {f"{table}.{row}" for table, section in checked.tables.items() for row in section} - names
    if not unresolved:
        configs = {**{row.name: row.config for row in rows}, **{baseline: {} for baseline in BASELINES}}
        check_claims(document, checked.claims, configs, checked.report)
    return Experiment(
        name=checked.name,
        rows=rows,
        seeds=tuple(checked.seeds),
        report=checked.report,
        short_form=checked.short_form,
        claims=tuple(claim for claim in checked.claims if not unresolved & set(rows_of(claim))),
        search=read_search(document, checked, base.recipe, registry),
        document=document,
        tuning=read_tuning(document, checked, [row.name for row in rows], registry),
        notices=tuple(notices),
    )


def _check_metrics(document: Document, file: ExperimentFile, registry: Registry) -> None:
    """Raise ExperimentError where the file names a metric that is neither built in nor a plugin's."""
    names = [*IMAGE_METRICS, *registry.names("metric")]
    sections: list[tuple[KeyPath, Any]] = [(("search",), file.search), (("tuning",), file.tuning)]
    sections += [(("claims", index), claim) for index, claim in enumerate(file.claims)]
    metrics = [((*path, "metric"), getattr(section, "metric", None)) for path, section in sections]
    for path, metric in [(("report", "primary"), file.report.primary), *metrics]:
        if metric is not None and metric not in names:
            message = f"{'.'.join(map(str, path))}: no metric {metric!r}; {suggestion(metric, names)}"
            raise ExperimentError(f"{document.place(path)}: {message}")


def _table_rows(document: Document, base: Row, registry: Registry, is_checked: Callable[[str], bool]) -> list[Row]:
    """Return the rows of all tables. A row that is not checked is left out where its settings cannot be resolved."""
    rows: list[Row] = []
    for table, section in document.data.get("tables", {}).items():
        for name, overrides in section.items():
            row, path = f"{table}.{name}", ("tables", table, name)
            try:
                recipe = resolve(override_all(document, path, overrides), registry)
            except ExperimentError:
                if is_checked(row):
                    raise
                continue
            if is_checked(row):
                _check_row(document, row, base.recipe, recipe, registry)
            rows.append(Row(row, table, recipe))
    return rows


def _check_row(document: Document, row: str, base: Recipe, recipe: Recipe, registry: Registry) -> None:
    """Raise ExperimentError where the name is malformed or an override of the row changes nothing."""
    path: KeyPath = ("tables", *row.split(".", 1))
    overrides: Mapping[str, Any] = document.data["tables"][path[1]][path[2]]
    if not all(part.replace("_", "").replace("-", "").isalnum() for part in map(str, path[1:])):
        raise ExperimentError(f"{document.place(path)}: {row}: names of tables and rows are letters, digits, - and _")
    if not overrides:
        raise ExperimentError(f"{document.place(path)}: {row}: overrides nothing, so it would be the base row again")
    if _canonical(recipe.config) == _canonical(base.config):
        raise ExperimentError(f"{document.place(path)}: {row}: its overrides change nothing against the base row")
    for key in overrides if len(overrides) > 1 else ():
        others = {name: value for name, value in overrides.items() if name != key}
        try:
            without = resolve(override_all(document, path, others), registry)
        except ExperimentError:  # the others need this one to make sense
            continue
        if _canonical(without.config) == _canonical(recipe.config):
            raise ExperimentError(f"{document.place((*path, key))}: {row}: override {key!r} changes nothing")


def _check_distinct(rows: Sequence[Row], document: Document) -> None:
    """Raise ExperimentError where two rows of a table resolve to the same recipe."""
    first_names: dict[str, str] = {}
    for row in rows:
        first = first_names.setdefault(_canonical(row.config), row.name)
        if first != row.name and row.table == first.rpartition(".")[0]:
            place = document.place(("tables", *row.name.split(".", 1)))
            raise ExperimentError(f"{place}: {row.name} is {first} in another spelling; keep one of them")


def _canonical(data: Any) -> str:
    return json.dumps(data)  # the order of keys counts: augmentations have one


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
        check = _Check(document, ("claims", index), rows)
        if claim.id in [earlier.id for earlier in claims[:index]]:
            check.fail(("id",), f"two claims have the id {claim.id!r}")
        metric = None if isinstance(claim, WithinClaim) else claim.metric or report.primary
        if metric is not None and metric not in IMAGE_METRICS:
            check.fail(
                ("metric",), f"a claim needs a built-in metric, not {metric!r}; {suggestion(metric, IMAGE_METRICS)}"
            )
        match claim:
            case BetterClaim():
                check.rows({("better",): [claim.better], ("worse",): claim.rivals})
                check.is_distinct(("worse",), claim.better, claim.rivals)
            case EquivalentClaim():
                row, other = claim.equivalent
                check.rows({("equivalent",): (row, other)})
                check.is_distinct(("equivalent",), row, [other])
                check.margin(claim, report)
            case WithinClaim(within=within):
                check.rows({("within", "row"): [within.row]})
                check.check_name(("within", "gate"), "gate", within.gate, rows[within.row].get("gates", {}))
            case FrontClaim(front=front):
                check.rows({("front", "row"): [front.row]})
                tables = {row.partition(".")[0] for row in rows if "." in row}
                check.check_name(("front", "among"), "table", front.among, tables)
                gates = rows[front.row].get("gates", {})
                costs = ["macs", *(name for name, gate in gates.items() if gate["quantity"] == "latency")]
                check.check_name(("front", "cost"), "cost", front.cost, costs)


@dataclass(frozen=True)
class _Check:
    """Checks of one claim; each raises ExperimentError with the place of the mistake."""

    document: Document
    path: KeyPath
    configs: Mapping[str, Mapping[str, Any]]

    def rows(self, named: Mapping[KeyPath, Collection[str]]) -> None:
        for at, rows in named.items():
            for row in rows:
                self.check_name(at, "row", row, self.configs)

    def check_name(self, at: KeyPath, kind: str, name: str, names: Collection[str]) -> None:
        if name not in names:
            self.fail(at, f"no {kind} {name!r} in this experiment; {suggestion(name, names)}")

    def is_distinct(self, at: KeyPath, row: str, others: Collection[str]) -> None:
        if row in others:
            self.fail(at, f"{row} is compared with itself")

    def margin(self, claim: EquivalentClaim, report: Report) -> None:
        is_of_primary = claim.metric in (None, report.primary)
        if claim.equivalence_margin is None and not (is_of_primary and report.equivalence_margin):
            default = f"report.equivalence_margin is of {report.primary}, at {report.equivalence_margin:g}"
            self.fail((), f"give an equivalence_margin: {default}")

    def fail(self, at: KeyPath, message: str) -> None:
        path: KeyPath = (*self.path, *at)
        raise ExperimentError(f"{self.document.place(path)}: {'.'.join(map(str, path))}: {message}")
