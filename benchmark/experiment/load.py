"""An experiment file, read and checked: the base row, the rows of its tables, each resolved, and its claims."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.adaptive_seeds import AdaptiveSeeds, all_seeds
from benchmark.experiment.checks import check_claims, check_named_metrics, named_metrics
from benchmark.experiment.document import (
    Document,
    KeyPath,
    override_all,
    override_from_text,
    read_with_parents,
    value_at,
)
from benchmark.experiment.gate_presets import with_gate_presets
from benchmark.experiment.read_search import read_search, read_tuning
from benchmark.experiment.resolve import Recipe, resolve, validate
from benchmark.experiment.scales import Promotion, Scale
from benchmark.experiment.schema import ExperimentFile, Report, SourceSpec
from benchmark.experiment.search_checks import check_search
from benchmark.experiment.search_space import Search, Tuning
from benchmark.experiment.weights import with_absolute_paths
from benchmark.registry import Registry
from reports.schema import BASELINES, AnyClaim, rows_of

BASE = "base"


@dataclass(frozen=True)
class Row:
    """A model and a chain of stages. `name` is `base` or `<table>.<row>`."""

    name: str
    table: str | None
    recipe: Recipe


@dataclass(frozen=True)
class Experiment:
    """An experiment file with every setting checked and filled in."""

    name: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    """With interim analyses the most that a row may have."""
    report: Report
    short_form: str | None
    claims: tuple[AnyClaim, ...]
    search: Search | None
    document: Document
    """The merged file as written, with `extends` and `--set` applied."""
    tuning: Tuning | None = None
    metrics: tuple[str, ...] = ()
    """Metrics that it names, beside those of every row."""
    baselines: tuple[str, ...] = BASELINES
    """Rows without training: those of every experiment, then those that it names."""
    notices: tuple[str, ...] = ()
    """One line for each `--set` that changes nothing."""
    scales: tuple[Scale, ...] = ()
    """Rungs, from the smallest; none: it runs as written alone."""
    promote: Promotion = "all"
    """Which rows go on to the next rung."""
    hours: float | None = None
    """What it is made to take, on the machine it is made for."""
    adaptive_seeds: AdaptiveSeeds | None = None
    """Interim analyses; None: all rows have all seeds."""
    teachers: Mapping[str, Recipe] = field(default_factory=dict[str, Recipe])
    """Of the rows that others learn from, by name, as the file has them."""

    @property
    def data(self) -> dict[str, Mapping[str, SourceSpec]]:
        """The sources of each row, by its name and the split."""
        return {row.name: row.recipe.splits for row in self.rows}


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
    document = with_absolute_paths(document)
    checked = validate(ExperimentFile, with_gate_presets(document))
    lists = {"seeds": all_seeds(checked.seeds), "metrics": checked.metrics, "baselines": checked.baselines}
    for name, values in lists.items():
        if len(set(values)) < len(values):
            raise ExperimentError(f"{document.place((name,))}: {name}: a {name[:-1]} is given twice")

    def is_checked(row: str) -> bool:
        return not (sets and patterns) or any(fnmatchcase(row, pattern) for pattern in patterns)

    base = Row(BASE, None, resolve(document, registry))
    rows = (base, *_table_rows(document, base, registry, is_checked))
    teachers = _teachers([row for row in rows if is_checked(row.name)], rows, document)
    _check_distinct([row for row in rows if is_checked(row.name)], document)
    check_named_metrics(document, checked, {row.name: row.recipe for row in rows if is_checked(row.name)}, registry)
    baselines = (*BASELINES, *dict.fromkeys(checked.baselines))
    configs = {row.name: row.recipe.config for row in rows}
    unresolved = {f"{table}.{row}" for table, section in checked.tables.items() for row in section} - set(configs)
    if not unresolved:
        check_claims(document, checked.claims, {**configs, **{name: {} for name in baselines}}, checked.report)
    search = read_search(document, checked, base.recipe, registry)
    if search and checked.search:
        check_search(document, checked.search, search, base.recipe)
    return Experiment(
        name=checked.name,
        rows=rows,
        seeds=all_seeds(checked.seeds),
        report=checked.report,
        short_form=checked.short_form,
        claims=tuple(claim for claim in checked.claims if not unresolved & set(rows_of(claim))),
        search=search,
        document=document,
        tuning=read_tuning(document, checked, [row.name for row in rows], registry),
        metrics=named_metrics(checked),
        baselines=baselines,
        notices=tuple(notices),
        scales=tuple(checked.scales),
        promote=checked.promote,
        hours=checked.hours,
        adaptive_seeds=checked.seeds if isinstance(checked.seeds, AdaptiveSeeds) else None,
        teachers=teachers,
    )


def _table_rows(document: Document, base: Row, registry: Registry, is_checked: Callable[[str], bool]) -> list[Row]:
    """Return the rows of all tables. A row that is not checked is left out where its settings cannot be resolved."""
    rows: list[Row] = []
    for table, name, with_row in _row_documents(document):
        row, path = f"{table}.{name}", ("tables", table, name)
        try:
            recipe = resolve(override_all(with_row, path, value_at(with_row.data, path)), registry)
        except ExperimentError:
            if is_checked(row):
                raise
            continue
        if is_checked(row):
            _check_row(with_row, row, base.recipe, recipe, registry)
        rows.append(Row(row, table, recipe))
    return rows


def _row_documents(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield the table and name of each row, and the document with this row alone.

    An override copies the document; with all rows in it, many rows would take time that is quadratic in their number.
    """
    settings = {name: value for name, value in document.data.items() if name != "tables"}
    places: defaultdict[KeyPath, dict[KeyPath, str]] = defaultdict(dict)
    for path, place in document.places.items():
        places[path[1:3] if path[:1] == ("tables",) else ()][path] = place
    for table, section in document.data.get("tables", {}).items():
        for name, overrides in section.items():
            data = {**settings, "tables": {table: {name: overrides}}}
            yield table, name, Document(data, places[()] | places[table, name])


def _check_row(document: Document, row: str, base: Recipe, recipe: Recipe, registry: Registry) -> None:
    """Raise ExperimentError where the name is malformed or an override of the row changes nothing."""
    path: KeyPath = ("tables", *row.split(".", 1))
    overrides: Mapping[str, Any] = document.data["tables"][path[1]][path[2]]
    mistakes = {
        "names of tables and rows are letters, digits, - and _": not all(
            part.replace("_", "").replace("-", "").isalnum() for part in map(str, path[1:])
        ),
        "overrides nothing, so it would be the base row again": not overrides,
        "its overrides change nothing against the base row": _canonical(recipe.config) == _canonical(base.config),
    }
    for message, is_made in mistakes.items():
        if is_made:
            raise ExperimentError(f"{document.place(path)}: {row}: {message}")
    for key in overrides if len(overrides) > 1 else ():
        others = {name: value for name, value in overrides.items() if name != key}
        try:
            without = resolve(override_all(document, path, others), registry)
        except ExperimentError:  # the others need this one to make sense
            continue
        if _canonical(without.config) == _canonical(recipe.config):
            raise ExperimentError(f"{document.place((*path, key))}: {row}: override {key!r} changes nothing")


def _teachers(chosen: Sequence[Row], rows: Sequence[Row], document: Document) -> dict[str, Recipe]:
    """Return the recipes of the rows that chosen rows learn from, by name.

    Raises:
        ExperimentError: There is no such row, or it learns from another one itself.
    """
    recipes, teachers = {row.name: row.recipe for row in rows}, dict[str, Recipe]()
    for row in chosen:
        teacher = row.recipe.model.compression.teacher
        if teacher is None:
            continue
        place = document.place(("tables", *row.name.split(".", 1)) if row.table else ("model", "compress", "distil"))
        if teacher.row not in recipes:
            reason = f"no row {teacher.row!r} in this experiment; {suggestion(teacher.row, recipes)}"
            raise ExperimentError(f"{place}: {row.name}: model.compress.distil: {reason}")
        if recipes[teacher.row].model.compression.teacher:
            reason = f"{teacher.row} learns from another row itself; name one that does not"
            raise ExperimentError(f"{place}: {row.name}: model.compress.distil: {reason}")
        teachers[teacher.row] = recipes[teacher.row]
    return teachers


def _check_distinct(rows: Sequence[Row], document: Document) -> None:
    """Raise ExperimentError where two rows of a table resolve to the same recipe."""
    first_names: dict[str, str] = {}
    for row in rows:
        first = first_names.setdefault(_canonical(row.recipe.config), row.name)
        if first != row.name and row.table == first.rpartition(".")[0]:
            place = document.place(("tables", *row.name.split(".", 1)))
            raise ExperimentError(f"{place}: {row.name} is {first} in another spelling; keep one of them")


def _canonical(data: Any) -> str:
    return json.dumps(data)  # the order of keys counts: augmentations have one
