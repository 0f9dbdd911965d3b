"""The plan of an experiment: rows x seeds as chains of stages with keys, so that equal stages are trained once.

A stage is a pure function of the inputs that its key hashes: a row that drops the last stage trains nothing of its own,
and a row that changes the last stage trains that stage alone.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from benchmark.experiment.load import Experiment, Row
from benchmark.experiment.resolve import Recipe
from benchmark.experiment.schema import SPLITS, AnyGate, ResolvedModel, SourceSpec
from benchmark.experiment.stage import Precision, Stage
from benchmark.registry import Registry
from reports.metrics import IMAGE_METRICS
from reports.schema import PHOTOGRAPHS


@dataclass(frozen=True)
class Environment:
    """What besides the recipe decides the numbers, and what `auto` in the settings of a stage means on this device."""

    engine: int
    """`ENGINE_VERSION` of the training code."""
    device: str
    """Type of the device: cpu or cuda."""
    torch: str
    """Version of torch."""
    precision: Precision = "float32"
    compile: bool = False


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a row, with its key."""

    name: str
    key: str
    parent: str | None
    """Key of the stage whose weights it starts from; None: the initial weights of the model."""
    settings: Stage

    @property
    def steps(self) -> int:
        """Optimiser steps of the stage."""
        return self.settings.steps


@dataclass(frozen=True)
class PlannedRow:
    """One row with one seed."""

    row: str
    table: str | None
    seed: int
    recipe: Recipe
    stages: tuple[PlannedStage, ...]
    config_hash: str
    """Identifies everything that its record depends on."""
    network: str
    """Identifies its network, its gates and what else decides what they measure, but for the machine."""
    teacher: "PlannedRow | None" = None
    """The row whose network its own is trained against, too."""
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """What its keys and hashes depend on beside the recipe -> digest: images and the code of components."""

    @property
    def folder(self) -> str:
        """Folder of the record, relative to that of the run."""
        return f"{self.row}/seed{self.seed}"

    @property
    def config(self) -> dict[str, Any]:
        """The recipe as plain data, for the record."""
        return self.recipe.config

    @property
    def stages_with_teacher(self) -> tuple[PlannedStage, ...]:
        """All stages that it needs, in an order in which they can be trained."""
        return (*(self.teacher.stages if self.teacher else ()), *self.stages)

    def trainee_of(self, key: str) -> "PlannedRow":
        """Return the row whose network a stage trains: this one, or its teacher under the name of this one."""
        is_own = any(stage.key == key for stage in self.stages)
        return self if is_own or self.teacher is None else replace(self.teacher, row=self.row, table=self.table)

    @property
    def last_key(self) -> str | None:
        """Key of the final weights; None where the row trains nothing and is tested with its initial weights."""
        return self.stages[-1].key if self.stages else None


@dataclass(frozen=True)
class PlannedBaseline:
    """A method without training: no model, stage or seed."""

    row: str
    data: Mapping[str, SourceSpec]
    more_tests: Mapping[str, SourceSpec]
    config: dict[str, Any]
    config_hash: str
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """As of a `PlannedRow`."""

    @property
    def folder(self) -> str:
        """Folder of the record, relative to that of the run."""
        return self.row


@dataclass(frozen=True)
class Plan:
    """Rows and baselines of an experiment on one kind of device."""

    experiment: Experiment
    environment: Environment
    rows: tuple[PlannedRow, ...]
    """Seed by seed: after the first seed of every row there is something to compare."""
    baselines: tuple[PlannedBaseline, ...]
    stopped_at: Mapping[str, int] = field(default_factory=dict[str, int])
    """Rows that an interim analysis stopped -> the seeds that they have."""

    @cached_property
    def stages(self) -> dict[str, PlannedStage]:
        """Every stage to be trained, once, by key."""
        return {stage.key: stage for row in self.rows for stage in row.stages_with_teacher}

    @property
    def steps_trained(self) -> int:
        """Steps of all stages, shared stages counted once."""
        return sum(stage.steps for stage in self.stages.values())

    @property
    def steps_without_sharing(self) -> int:
        """Steps of all stages, shared stages counted for each row."""
        return sum(stage.steps for row in self.rows for stage in row.stages)


def make_plan(
    experiment: Experiment, fingerprints: Mapping[str, str], environment: Environment, registry: Registry
) -> Plan:
    """Return the plan of an experiment.

    Args:
        experiment: rows and seeds.
        fingerprints: of each source of data, by `source_id`.
        environment: what keys hold besides the recipe.
        registry: gives the digests of the components' source code.
    """
    recipes = {**experiment.teachers, **{row.name: row.recipe for row in experiment.rows}}
    planner = new_planner(fingerprints, environment, registry, experiment.metrics, recipes)
    chains = [planner.chain(row) for row in experiment.rows]
    rows = tuple(planner.with_seed(chain, seed) for seed in experiment.seeds for chain in chains)
    baselines = tuple(planner.baseline(name, experiment.rows[0].recipe) for name in experiment.baselines)
    return Plan(experiment, environment, rows, baselines)


def new_planner(
    fingerprints: Mapping[str, str],
    environment: Environment,
    registry: Registry,
    metrics: Sequence[str],
    recipes: Mapping[str, Recipe],
) -> "Planner":
    """Return a planner, which reads the source of each component once; see `make_plan`. `recipes`: of rows by name."""
    return Planner(fingerprints, environment, cache(registry.digest), metric_digests(registry, metrics), recipes)


def select(plan: Plan, rows: Sequence[str], seeds: Sequence[int]) -> Plan:
    """Return the part of a plan with these rows and seeds (no seeds: all of them); it keeps the baselines."""
    return replace(plan, rows=tuple(row for row in plan.rows if row.row in rows and (row.seed in seeds or not seeds)))


def source_id(spec: SourceSpec) -> str:
    """Return the settings of a source as a dictionary key."""
    return spec.model_dump_json()


def fit_id(source: str) -> str:
    """Return the key of the pairs that baselines are fitted to, where these are a part of a source; see `source_id`."""
    return f"{source} fitted"


def network_id(model: ResolvedModel, gates: Mapping[str, AnyGate]) -> str:
    """Return what identifies a network and its gates: rows that agree in both are measured once."""
    shipped = {name: value for name, value in model.as_config().get("compress", {}).items() if name != "distil"}
    compression = [shipped] if shipped else []
    settings = {name: gate.model_dump(mode="json") for name, gate in gates.items()}
    return json.dumps([model.identity(), settings, *compression])


def id_of_test(folder: str, config_hash: str) -> str:
    """Return the id of the job that tests a row or baseline: of all that its record depends on, and of its name."""
    return hash_of([folder, config_hash])


def metric_digests(registry: Registry, named: Sequence[str]) -> dict[str, str]:
    """Return the metrics that an experiment names and those of plugins, with the digests of their sources."""
    names = sorted({*registry.added("metric"), *named} - IMAGE_METRICS.keys())
    return {name: registry.digest("metric", name) for name in names}


def hash_of(data: Any) -> str:
    """Return the SHA-256 of plain data, in hex, cut to 128 bits. The order of keys counts: augmentations have one."""
    return hashlib.sha256(json.dumps(data, allow_nan=False).encode()).hexdigest()[:32]


def _is_packaged(spec: SourceSpec) -> bool:
    """Return whether a source is the packaged portraits, which records do not depend on.

    They are no choice of the experiment, and which of them are there differs between machines. So records from before
    they were tested on stay finished.
    """
    return spec.source == PHOTOGRAPHS and spec.options["folder"] is None


@dataclass(frozen=True)
class Chain:
    """A row without a seed: what its keys depend on beside that."""

    row: Row
    recipe: Recipe
    """With what `auto` means on this device."""
    model: Sequence[Any]
    """Facts of the network."""
    stages: Mapping[str, Sequence[Any]]
    """Facts of each stage."""
    record: Sequence[Any]
    """Facts of the record."""
    network: str
    inputs: Mapping[str, str]
    """See `PlannedRow`."""


@dataclass(frozen=True)
class Planner:
    """Plans rows and baselines of an experiment one by one; see `make_plan`."""

    fingerprints: Mapping[str, str]
    environment: Environment
    digest: Callable[[str, str], str]
    metrics: Mapping[str, str]
    """Digests of the metrics that not every row has."""
    recipes: Mapping[str, Recipe]
    """Of the rows that others may learn from, by name."""

    def row(self, row: Row, seed: int) -> PlannedRow:
        """Return a row with one seed as a chain of stages with keys."""
        return self.with_seed(self.chain(row), seed)

    def chain(self, row: Row) -> Chain:
        """Return what is the same for all seeds of a row."""
        env = self.environment
        # The record and the key hold what was really used: `auto` is replaced by what this device makes of it.
        auto = {"precision": env.precision, "compile": env.compile}
        settings = {
            name: stage.model_copy(update={key: value for key, value in auto.items() if getattr(stage, key) == "auto"})
            for name, stage in row.recipe.stages.items()
        }
        recipe = replace(row.recipe, stages=settings)
        model = recipe.model
        digests = [self.digest("backbone", model.backbone.name), self.digest("head", model.head.name)]
        return Chain(
            row,
            recipe,
            model=[model.identity(), digests],
            stages={name: self._stage_facts(name, stage, recipe) for name, stage in settings.items()},
            record=self._record_facts(
                recipe, {name: gate.model_dump(mode="json") for name, gate in recipe.gates.items()}
            ),
            network=hash_of([network_id(model, recipe.gates), digests, env.engine, env.torch, env.device]),
            inputs=self._inputs_of_row(recipe),
        )

    def with_seed(self, chain: Chain, seed: int) -> PlannedRow:
        """Return a row with one seed."""
        row, recipe, env = chain.row, chain.recipe, self.environment
        # Initial weights are drawn on the CPU, so the device is not part of the model's key.
        model_key = hash_of([*chain.model, seed, env.engine, env.torch])
        distil, stages = recipe.model.compression.teacher, list[PlannedStage]()
        teacher = self.row(Row(distil.row, None, self.recipes[distil.row]), seed) if distil else None
        for name, stage in recipe.stages.items():
            parent = stages[-1].key if stages else None
            start = parent or model_key
            if distil and teacher:
                start = hash_of([start, "distil", teacher.last_key or teacher.config_hash, distil.weight])
            if pruning := recipe.pruning_before(name):
                start = hash_of([start, "prune", pruning.channels])
            stages.append(PlannedStage(name, hash_of([start, *chain.stages[name]]), parent, stage))
        # A row without stages has no stage key that would hold the device it was tested on.
        keys = [model_key, [stage.key for stage in stages] or env.device]
        keys += [recipe.config["model"]["compress"]] if recipe.model.compress else []
        config_hash = hash_of([keys, *chain.record])
        inputs = dict(chain.inputs)
        if teacher:
            inputs |= {f"{teacher.row}: {name}": digest for name, digest in teacher.inputs.items()}
        return PlannedRow(row.name, row.table, seed, recipe, tuple(stages), config_hash, chain.network, teacher, inputs)

    def baseline(self, name: str, base: Recipe) -> PlannedBaseline:
        """Return a baseline on the data of the base row."""
        train = source_id(base.data["train"])
        keys = [name, self.fingerprints.get(fit_id(train), self.fingerprints[train])]
        config_hash = hash_of([keys, *self._record_facts(base, {})])
        inputs = self._inputs(base)
        return PlannedBaseline(name, base.data, base.more_tests, base.data_config, config_hash, inputs)

    def _inputs(self, recipe: Recipe) -> dict[str, str]:
        """Return the images and metrics that a record depends on."""
        more = {f"data.more_tests.{name}": spec for name, spec in recipe.more_tests.items() if not _is_packaged(spec)}
        sources = {**{f"data.{split}": recipe.data[split] for split in SPLITS}, **more}
        images = {name: hash_of(self.fingerprints[source_id(spec)]) for name, spec in sources.items()}
        return {**images, **{f"metric {name}": digest for name, digest in self.metrics.items()}}

    def _inputs_of_row(self, recipe: Recipe) -> dict[str, str]:
        model, stages = recipe.model, recipe.stages.values()
        used = {
            ("backbone", model.backbone.name),
            ("head", model.head.name),
            *(("loss", name) for stage in stages for name in stage.loss),
            *(("augmentation", name) for stage in stages for name in stage.augment),
        }
        return {**self._inputs(recipe), **{f"{kind} {name}": self.digest(kind, name) for kind, name in sorted(used)}}

    def _stage_facts(self, name: str, stage: Stage, recipe: Recipe) -> list[Any]:
        digests = {
            **{f"loss {loss}": self.digest("loss", loss) for loss in stage.loss},
            **{f"augment {name}": self.digest("augmentation", name) for name in stage.augment},
        }
        env = self.environment
        # The validation images are an input only where they decide which weights are kept.
        splits = ["train", "val"] if stage.output == "best" else ["train"]
        images = [self.fingerprints[source_id(recipe.data[split])] for split in splits]
        return [name, stage.model_dump(mode="json"), digests, images, env.engine, env.device, env.torch]

    def _record_facts(self, recipe: Recipe, gates: Mapping[str, Any]) -> list[Any]:
        images = [self.fingerprints[source_id(recipe.data[split])] for split in ("val", "test")]
        more_tests = {
            name: self.fingerprints[source_id(spec)]
            for name, spec in sorted(recipe.more_tests.items())
            if not _is_packaged(spec)
        }
        facts = [dict(sorted(gates.items())), self.metrics, self.environment.engine]
        facts += [more_tests] if more_tests else []
        return [images, *facts]
