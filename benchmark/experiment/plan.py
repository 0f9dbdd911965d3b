"""Rows x seeds laid out as chains of stages with keys: what is trained, and what is shared.

A stage is a pure function of what its key is made of, so equal keys are trained once: a row that drops the last stage
costs nothing, a row that changes the last stage trains that stage alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.experiment.load import Experiment, Row
from benchmark.experiment.resolve import Resolved
from benchmark.experiment.stage import Precision
from benchmark.experiment.weights import without_file
from benchmark.registry import Registry
from reports.schema import BASELINES


@dataclass(frozen=True)
class Environment:
    """What besides the recipe decides the numbers: engine version, device type and torch version.

    And what `auto` in a stage's settings means on this device.
    """

    engine: int
    device: str
    torch: str
    precision: Precision = "float32"
    compile: bool = False


@dataclass(frozen=True)
class PlannedStage:
    name: str
    key: str
    settings: Resolved

    @property
    def steps(self) -> int:
        return int(self.settings["steps"])


@dataclass(frozen=True)
class Run:
    """One row with one seed. `config_hash` stands for all that its record holds."""

    row: str
    table: str | None
    seed: int
    config: Resolved
    stages: tuple[PlannedStage, ...]
    config_hash: str

    @property
    def folder(self) -> str:
        return f"{self.row}/seed{self.seed}"

    @property
    def last_key(self) -> str | None:
        """Key of the weights the row ends with; None where it trains nothing and ends with those it begins with."""
        return self.stages[-1].key if self.stages else None


@dataclass(frozen=True)
class Floor:
    """A floor row: no head, stage or seed."""

    row: str
    config: Resolved
    config_hash: str

    @property
    def folder(self) -> str:
        return self.row


@dataclass(frozen=True)
class Plan:
    experiment: Experiment
    environment: Environment
    runs: tuple[Run, ...]
    floors: tuple[Floor, ...]

    @property
    def stages(self) -> dict[str, PlannedStage]:
        """Every stage to be trained, once, by key."""
        return {stage.key: stage for run in self.runs for stage in run.stages}

    @property
    def steps_trained(self) -> int:
        return sum(stage.steps for stage in self.stages.values())

    @property
    def steps_without_sharing(self) -> int:
        return sum(stage.steps for run in self.runs for stage in run.stages)


def make_plan(
    experiment: Experiment, fingerprints: Mapping[str, str], environment: Environment, registry: Registry
) -> Plan:
    """The plan of an experiment. `fingerprints`: of each source, by its resolved settings (see `settings_id`)."""
    planner = _Planner(fingerprints, environment, registry)
    # Seeds outside: after the first seed of every row there is something to compare.
    runs = tuple(planner.run(row, seed) for seed in experiment.seeds for row in experiment.rows)
    floors = tuple(planner.floor(name, experiment.rows[0]) for name in BASELINES)
    return Plan(experiment, environment, runs, floors)


def select(plan: Plan, rows: Sequence[str], seeds: Sequence[int]) -> Plan:
    """The part of a plan with these rows and these seeds (all if none are named); floor rows always belong to it."""
    runs = tuple(run for run in plan.runs if run.row in rows and (run.seed in seeds or not seeds))
    return Plan(plan.experiment, plan.environment, runs, plan.floors)


def settings_id(settings: Any) -> str:
    """Resolved settings, e.g. of a source, as a dictionary key."""
    return json.dumps(settings)


def network_id(config: Mapping[str, Any]) -> str:
    """The network of a resolved row and the gates it is judged by: rows that agree in them are measured once."""
    return settings_id([without_file(config["model"]), config["gates"]])


def hash_of(data: Any) -> str:
    """SHA-256 of plain data, in hex, shortened to 128 bits. The order of keys counts: augmentations have one."""
    return hashlib.sha256(json.dumps(data, allow_nan=False).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class _Planner:
    fingerprints: Mapping[str, str]
    environment: Environment
    registry: Registry

    def run(self, row: Row, seed: int) -> Run:
        config, model = self._without_auto(row.config), row.config["model"]
        digests = {kind: self.registry.digest(kind, model[kind]["name"]) for kind in ("backbone", "head")}
        # Initial weights are drawn on the CPU, so the device is no part of the model's key.
        model_key = hash_of([without_file(model), digests, seed, self.environment.engine, self.environment.torch])
        stages: list[PlannedStage] = []
        for name in config["protocol"]["order"]:
            parent = stages[-1].key if stages else model_key
            stages.append(self._stage(parent, name, config))
        # Of a row that trains nothing, no stage tells the device it was tested on.
        keys = [model_key, [stage.key for stage in stages] or self.environment.device]
        return Run(row.name, row.table, seed, config, tuple(stages), self._config_hash(keys, config))

    def floor(self, name: str, base: Row) -> Floor:
        config = {"data": base.config["data"]}
        train = self._fingerprint(config, "train")
        return Floor(name, config, self._config_hash([name, train], {**config, "gates": {}}))

    def _without_auto(self, config: Resolved) -> Resolved:
        """The settings with what this device makes of `auto`: the record and the key have what was really used."""
        chosen = {"precision": self.environment.precision, "compile": self.environment.compile}
        order: list[str] = config["protocol"]["order"]
        stages = {name: config["protocol"][name] for name in order}
        resolved = {
            name: stage | {key: value for key, value in chosen.items() if stage[key] == "auto"}
            for name, stage in stages.items()
        }
        return {**config, "protocol": {"order": order, **resolved}}

    def _stage(self, parent: str, name: str, config: Resolved) -> PlannedStage:
        settings = config["protocol"][name]
        digests = {
            **{f"loss {loss}": self.registry.digest("loss", loss) for loss in settings["loss"]},
            **{f"augment {name}": self.registry.digest("augmentation", name) for name in settings["augment"]},
        }
        env = self.environment
        train = self._fingerprint(config, "train")
        parts = [parent, name, settings, digests, train, env.engine, env.device, env.torch]
        # Only where val decides which weights are kept is it among what the weights depend on.
        seen = [self._fingerprint(config, "val")] if settings["output"] == "best" else []
        key = hash_of([*parts, *seen])
        return PlannedStage(name, key, settings)

    def _config_hash(self, keys: Any, config: Resolved) -> str:
        splits = [self._fingerprint(config, split) for split in ("val", "test")]
        return hash_of([keys, splits, dict(sorted(config["gates"].items())), self.environment.engine])

    def _fingerprint(self, config: Resolved, split: str) -> str:
        return self.fingerprints[settings_id(config["data"][split])]
