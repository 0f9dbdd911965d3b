"""An experiment file, read and checked: the base row and the rows of its tables, each resolved."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import ExperimentError
from benchmark.experiment.claims import check_claims
from benchmark.experiment.document import Document, Path_
from benchmark.experiment.overrides import override_all, override_from_text, read_with_parents
from benchmark.experiment.resolve import Resolved, resolve, validate
from benchmark.experiment.schema import ExperimentFile
from benchmark.experiment.search_space import Search, read_search
from benchmark.experiment.settings import check_metrics
from benchmark.experiment.tuning import Tuning, read_tuning
from benchmark.experiment.weights import with_absolute_weights
from benchmark.registry import Registry
from reports.schema import BASELINES, AnyClaim

BASE = "base"


@dataclass(frozen=True)
class Row:
    """A model and a chain of stages: `name` is `base` or `<table>.<row>`; `config` is fully resolved."""

    name: str
    table: str | None
    config: Resolved


@dataclass(frozen=True)
class Experiment:
    """All that was asked for. `document` is the merged file as written, with `extends` and `--set` applied."""

    name: str
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    primary: str
    equivalence_margin: float
    short_form: str | None
    claims: tuple[AnyClaim, ...]
    search: Search | None
    document: Document
    tuning: Tuning | None = None
    notices: tuple[str, ...] = ()
    """What the user should know but need not mend."""

    @property
    def settings(self) -> dict[str, Any]:
        return self.document.data


def load(file: Path, registry: Registry, sets: Sequence[str] = ()) -> Experiment:
    """The experiment in `file` with `--set` overrides applied. Raises ExperimentError, one line for each mistake."""
    document = read_with_parents(file)
    notices: list[str] = []
    for item in sets:
        changed = override_from_text(document, item)
        if _canonical(changed.data) == _canonical(document.data):
            notices.append(f"--set {item}: changes nothing; the experiment already says so")
        document = changed
    document = with_absolute_weights(document)
    checked = validate(ExperimentFile, document)
    if len(set(checked.seeds)) < len(checked.seeds):
        raise ExperimentError(f"{document.place(('seeds',))}: seeds: a seed is given twice")
    base = Row(BASE, None, resolve(document, registry))
    rows = (base, *_table_rows(document, base, registry))
    _check_distinct(rows, document)
    check_metrics(document, _named_metrics(checked), registry)
    check_claims(document, checked.claims, _configs(rows), checked.report)
    return Experiment(
        name=checked.name,
        rows=rows,
        seeds=tuple(checked.seeds),
        primary=checked.report.primary,
        equivalence_margin=checked.report.equivalence_margin,
        short_form=checked.short_form,
        claims=tuple(checked.claims),
        search=read_search(document, checked, base.config, registry),
        document=document,
        tuning=read_tuning(document, checked, [row.name for row in rows], registry),
        notices=tuple(notices),
    )


def _configs(rows: Sequence[Row]) -> dict[str, Resolved]:
    """Return the configuration of each row, baselines included."""
    return {**{row.name: row.config for row in rows}, **{baseline: {} for baseline in BASELINES}}


def _named_metrics(checked: ExperimentFile) -> list[tuple[Path_, str | None]]:
    """Return every metric that the file names, with its place."""
    named: list[tuple[Path_, str | None]] = [(("report", "primary"), checked.report.primary)]
    for name in ("search", "tuning"):
        settings = getattr(checked, name)
        named += [((name, "metric"), settings.metric)] if settings else []
    return named + [
        (("claims", at, "metric"), getattr(claim, "metric", None)) for at, claim in enumerate(checked.claims)
    ]


def _table_rows(document: Document, base: Row, registry: Registry) -> list[Row]:
    tables: dict[str, dict[str, dict[str, Any]]] = document.data.get("tables", {})
    return [
        _row(document, base, table, name, overrides, registry)
        for table, rows in tables.items()
        for name, overrides in rows.items()
    ]


def _row(document: Document, base: Row, table: str, name: str, overrides: dict[str, Any], registry: Registry) -> Row:
    path: Path_ = ("tables", table, name)
    full = f"{table}.{name}"
    if not all(part.replace("_", "").replace("-", "").isalnum() for part in (table, name)):
        raise ExperimentError(f"{document.place(path)}: {full}: names of tables and rows are letters, digits, - and _")
    if not overrides:
        raise ExperimentError(f"{document.place(path)}: {full}: overrides nothing, so it would be the base row again")
    changed = override_all(document, path, overrides)
    config = resolve(changed, registry)
    if _canonical(config) == _canonical(base.config):
        raise ExperimentError(f"{document.place(path)}: {full}: its overrides change nothing against the base row")
    for idle in (
        key
        for key in overrides
        if len(overrides) > 1 and _changes_nothing(document, path, overrides, key, config, registry)
    ):
        raise ExperimentError(f"{document.place((*path, idle))}: {full}: override {idle!r} changes nothing")
    return Row(full, table, config)


def _changes_nothing(
    document: Document, path: Path_, overrides: dict[str, Any], key: str, config: Resolved, registry: Registry
) -> bool:
    others = {name: value for name, value in overrides.items() if name != key}
    try:
        return _canonical(resolve(override_all(document, path, others), registry)) == _canonical(config)
    except ExperimentError:  # the others need this one to make sense
        return False


def _check_distinct(rows: Sequence[Row], document: Document) -> None:
    seen: dict[str, str] = {}
    for row in rows:
        first = seen.setdefault(_canonical(row.config), row.name)
        if first != row.name and row.table == first.rpartition(".")[0]:
            place = document.place(("tables", *row.name.split(".", 1)))
            raise ExperimentError(f"{place}: {row.name} is {first} in another spelling; keep one of them")


def _canonical(data: Any) -> str:
    return json.dumps(data)  # the order of keys counts: augmentations have one
