"""What a run leaves on disk, as frozen values. The functions here read parsed JSON and touch no files.

Each `*_from` raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` on data of another form; `load` turns
that into the reason why a record is left out.
"""

# pandas comes without types.
# pyright: reportMissingTypeStubs=false

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from reports.results.claims import Claim, claims_from

SCHEMA = 1

Json = Mapping[str, Any]


@dataclass(frozen=True)
class PlannedStage:
    """A stage as it was planned; `keys` is by seed, as text, where the plan tells."""

    name: str
    keys: Mapping[str, str]


@dataclass(frozen=True)
class PlanRow:
    """A row as it was planned; `config_hashes` is by seed, where the plan tells."""

    row: str
    table: str | None
    kind: str
    """`trained`, or `floor` for rows that need no training and have the one seed `None`."""
    seeds: tuple[int | None, ...]
    config_hashes: Mapping[str, str]
    stages: tuple[PlannedStage, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What the run meant to do."""

    experiment: str
    primary: str
    margin: float
    """Smallest difference of the primary metric that matters, in its unit."""
    seeds: tuple[int, ...]
    rows: tuple[PlanRow, ...]
    command: str
    claims: tuple[Claim, ...] = ()
    """What the experiment says of its rows."""


@dataclass(frozen=True)
class Stage:
    """One finished stage of one row and seed; `val` is metric -> mean over the validation images."""

    name: str
    key: str
    reused: bool
    steps: int
    seconds: float | None
    images_per_second: float | None
    peak_memory_bytes: float | None
    val: Mapping[str, float]
    late_gain_psnr: float | None = None
    """dB that the last fifth of its steps added on val."""
    identity_psnr: float | None = None
    """Of the degraded val images as they are."""


@dataclass(frozen=True)
class Gate:
    """One limit and what was found; `result` is passed, failed, inconclusive or not_measured."""

    name: str
    quantity: str
    limit: float | None
    measured: float | None
    unit: str
    result: str
    protocol: Json
    estimate: Any
    interval: tuple[float, float] | None = None
    """Of what was measured, 95 %; None where it was measured once or is exact."""


@dataclass(frozen=True)
class Model:
    """What the network costs."""

    params: int | None
    macs: int | None
    macs_shape: tuple[int, ...]
    weight_bytes: Mapping[str, int]
    citations: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """Mean, standard deviation and number of images of one metric on one split."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Record:
    """One row and seed."""

    row: str
    tables: tuple[str, ...]
    seed: int | None
    status: str
    reason: str
    """Why it failed or was rejected; empty where it is done."""
    config_hash: str
    model: Model | None
    gates: tuple[Gate, ...]
    stages: tuple[Stage, ...]
    scores: Mapping[str, Mapping[str, Score]]
    """split -> metric -> score"""
    provenance: Json


@dataclass(frozen=True)
class Problem:
    """A row and seed without a result, and why."""

    row: str
    seed: int | None
    kind: str
    """`failed`, `rejected`, `missing`, `unreadable` or `not of this plan`"""
    reason: str


@dataclass(frozen=True, eq=False)
class Results:
    """Everything a report is made from."""

    folder: Path
    plan: Plan
    records: tuple[Record, ...]
    """All readable records of the plan, whatever their status, in the plan's order."""
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    """What is odd about files beside the records (a cut scores.csv, ...)."""
    scores: pd.DataFrame
    """Finished rows only: row, seed (Int64, <NA> for floor rows), split, image, metric, value."""
    curves: pd.DataFrame
    """row, seed, stage, step, name, value; of the names, only `loss` is kept."""
    experiment_yaml: str
    """The text of the resolved experiment; empty where there is none."""

    @property
    def finished(self) -> tuple[Record, ...]:
        """The records whose status is `done`."""
        return tuple(record for record in self.records if record.status == "done")


def plan_from(data: Json) -> Plan:
    """The plan in a parsed plan.json."""
    rows = tuple(_plan_row(row) for row in data["rows"])
    return Plan(
        experiment=str(data["experiment"]),
        primary=str(data["primary"]),
        margin=float(data.get("margin") or 0.0),
        seeds=tuple(int(seed) for seed in data["seeds"]),
        rows=rows,
        command=str(data.get("command") or ""),
        claims=claims_from(data.get("claims") or (), [row.row for row in rows]),
    )


def record_from(data: Json) -> Record:
    """The record in a parsed record.json."""
    model = data.get("model")
    return Record(
        row=str(data["row"]),
        tables=tuple(str(table) for table in data.get("tables") or ()),
        seed=None if data["seed"] is None else int(data["seed"]),
        status=_status(data["status"]),
        reason=_reason(data.get("error")),
        config_hash=str(data.get("config_hash") or ""),
        model=None if model is None else _model(model),
        gates=tuple(gate_from(gate) for gate in data.get("gates") or ()),
        stages=tuple(_stage(stage) for stage in data.get("stages") or ()),
        scores={str(split): _scores(scores) for split, scores in _mapping(data.get("scores")).items()},
        provenance=dict(_mapping(data.get("provenance"))),
    )


def _plan_row(data: Json) -> PlanRow:
    table = data.get("table")
    return PlanRow(
        row=str(data["row"]),
        table=None if table is None else str(table),
        kind=str(data["kind"]),
        seeds=tuple(None if seed is None else int(seed) for seed in data["seeds"]),
        config_hashes={str(seed): str(value) for seed, value in _mapping(data.get("config_hashes")).items()},
        stages=tuple(_planned_stage(stage) for stage in data.get("stages") or ()),
    )


def _planned_stage(data: Json) -> PlannedStage:
    return PlannedStage(
        name=str(data["name"]), keys={str(seed): str(key) for seed, key in _mapping(data.get("keys")).items()}
    )


def _status(value: Any) -> str:
    if value not in ("done", "rejected", "failed"):
        raise ValueError(f"status is {value!r}, not done, rejected or failed")
    return value


def _reason(error: Any) -> str:
    if isinstance(error, str):
        return error
    return str(_mapping(error).get("message") or "")


def _model(data: Json) -> Model:
    return Model(
        params=_integer(data.get("params")),
        macs=_integer(data.get("macs")),
        macs_shape=tuple(int(side) for side in data.get("macs_shape") or ()),
        weight_bytes={str(dtype): int(size) for dtype, size in _mapping(data.get("weight_bytes")).items()},
        citations=tuple(str(citation) for citation in data.get("citations") or ()),
    )


def gate_from(data: Json) -> Gate:
    """The gate in one entry of `gates`."""
    return Gate(
        name=str(data["name"]),
        quantity=str(data.get("quantity") or data["name"]),
        limit=_real(data.get("limit")),
        measured=_real(data.get("measured")),
        unit=str(data.get("unit") or ""),
        result=str(data["result"]),
        protocol=dict(_mapping(data.get("protocol"))),
        estimate=data.get("estimate"),
        interval=_interval(data.get("interval")),
    )


def _interval(value: Any) -> tuple[float, float] | None:
    ends = (
        [end for item in cast(list[Any], value) if (end := _real(item)) is not None] if isinstance(value, list) else []
    )
    return (ends[0], ends[1]) if len(ends) == 2 else None


def _stage(data: Json) -> Stage:
    return Stage(
        name=str(data["name"]),
        key=str(data.get("key") or ""),
        reused=bool(data["reused"]),
        steps=int(data["steps"]),
        seconds=_real(data.get("seconds")),
        images_per_second=_real(data.get("images_per_second")),
        peak_memory_bytes=_real(data.get("peak_memory_bytes")),
        val=_numbers(_mapping(data.get("val"))),
        late_gain_psnr=_real(data.get("late_gain_psnr")),
        identity_psnr=_real(data.get("identity_psnr")),
    )


def _scores(data: Json) -> dict[str, Score]:
    present = {metric: score for metric, score in data.items() if score is not None and score["mean"] is not None}
    return {
        str(metric): Score(_finite(score["mean"]), _real(score.get("std")), int(score["n"]))
        for metric, score in present.items()
    }


def _mapping(value: Any) -> Json:
    """An object of JSON; absent and null count as empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no JSON object")
    return cast(Json, value)


def _numbers(data: Json) -> dict[str, float]:
    return {str(name): _finite(value) for name, value in data.items() if value is not None}


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _real(value: Any) -> float | None:
    return None if value is None else _finite(value)


def _integer(value: Any) -> int | None:
    return None if value is None else int(value)
