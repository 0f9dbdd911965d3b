"""What all jobs of a run share: where it writes, the machine it runs on, and the data it reads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch

from benchmark.data import Source
from benchmark.data.partial_cache import cached_as_needed
from benchmark.data.sampling import fitted_indices, indices_read
from benchmark.data.sources import open_source
from benchmark.data.split_leakage import check_contents, disjoint_pairs, shared_subjects
from benchmark.errors import DataError, counted
from benchmark.experiment.load import Experiment
from benchmark.experiment.plan import Environment, Plan, fit_id, hash_of, make_plan, source_id
from benchmark.experiment.schema import SPLITS, SourceSpec
from benchmark.inference.device_setup import Machine
from benchmark.kept_values import cache_folder
from benchmark.processes import usable_cores
from benchmark.registry import Registry
from benchmark.runner.events import DataReady
from benchmark.runner.stage_store import StageStore
from benchmark.runner.threads import with_threads
from benchmark.training import ENGINE_VERSION

_BFLOAT16_CAPABILITY = 8
"""Compute capability from which on a GPU has bfloat16 in hardware."""


DataOfRows = Mapping[str, Mapping[str, SourceSpec]]
"""The sources of each row, by its name and the split."""


@dataclass(frozen=True)
class Context:
    """What all jobs of a run share."""

    experiment: str
    """Name of the experiment, for records."""
    output: Path
    store: StageStore
    machine: Machine
    registry: Registry
    command: str
    """The command line, for records."""
    sources: Mapping[str, Source]
    """By `source_id`."""
    metrics: tuple[str, ...] = ()
    """Metrics that the experiment names, beside those of every row."""
    quiet_ms: float | None = None
    """What the reference network takes while nothing else runs; latencies are scaled by it. None: as measured."""

    def source(self, spec: SourceSpec) -> Source:
        """Return the opened source of some settings."""
        return self.sources[source_id(spec)]


def open_sources(data: DataOfRows, registry: Registry) -> dict[str, Source]:
    """Return every source that any row names, by `source_id`.

    Raises:
        DataError: files are missing, or two splits of a row are the same images or show the same subjects.
    """
    sources: dict[str, Source] = {}
    checked: set[tuple[tuple[str, str], ...]] = set()
    """Pairs of split and `source_id` of the rows so far: most rows share all of them."""
    for row, specs in data.items():
        identities = tuple((split, source_id(spec)) for split, spec in specs.items())
        if identities in checked:
            continue
        checked.add(identities)
        for (_, identity), spec in zip(identities, specs.values(), strict=True):
            if identity not in sources:
                sources[identity] = open_source(spec.model_dump(mode="json"), registry)
        _check_disjoint(row, {split: sources[identity] for split, identity in identities})
    return sources


def with_cached_sources(
    data: DataOfRows,
    context: Context,
    on_event: Callable[[DataReady], None],
    splits: Sequence[str] = SPLITS,
    needed: Mapping[str, frozenset[int]] = MappingProxyType({}),
) -> Context:
    """Return the context with the sources of these splits decoded or rendered, and read from the cache.

    With test come the further test sets.

    Args:
        data: The sources of each row.
        context: Has the sources as they were opened.
        on_event: Called with the progress.
        splits: Those to be read.
        needed: Which pairs are needed of drawn sources, by `source_id`, where not all of them; see `needed_pairs`.

    Raises:
        DataError: an image cannot be read, or two splits of a row share an image.
    """
    ready: dict[str, Source] = {}
    rows: dict[tuple[tuple[str, str], ...], str] = {}
    """The first row on the same data, by pairs of split and `source_id`."""
    for row, specs in data.items():
        read = {name for name in specs if name in splits or ("test" in splits and name not in SPLITS)}
        identities = tuple((split, source_id(spec)) for split, spec in specs.items() if split in read)
        for split, identity in identities:
            if identity not in ready:
                source = context.sources[identity]
                pairs = needed.get(identity, frozenset(range(len(source))))
                ready[identity] = _cached(split, source, pairs, context.registry, on_event)
        rows.setdefault(identities, row)
    for identities, name in rows.items():
        check_contents(name, {split: ready[identity] for split, identity in identities})
    return replace(context, sources={**context.sources, **ready})


def needed_pairs(plan: Plan, context: Context) -> dict[str, frozenset[int]]:
    """Return which training pairs the baselines and the stages that are not stored read, by `source_id`.

    A pair that an augmentation mixes in is not among them.
    """
    needed: dict[str, set[int]] = {}
    for baseline in plan.baselines:
        identity = source_id(baseline.data["train"])
        needed[identity] = set(fitted_indices(len(context.sources[identity])))
    streams: set[tuple[str, int, str, int]] = set()
    for row in plan.rows:
        identity = source_id(row.recipe.data["train"])
        read = needed.setdefault(identity, set())
        for stage in row.stages:
            patches = stage.steps * stage.settings.batch
            stream = (identity, row.seed, stage.name, patches)
            if stream not in streams and context.store.finished(stage.key) is None:
                streams.add(stream)
                read |= indices_read(patches, len(context.sources[identity]), row.seed, stage.name)
    return {identity: frozenset(read) for identity, read in needed.items()}


def environment(device: torch.device) -> Environment:
    """Return what a device adds to the keys of stages."""
    if device.type == "cpu":
        return Environment(ENGINE_VERSION, device.type, torch.__version__)
    precision = "bfloat16" if torch.cuda.get_device_capability(device)[0] >= _BFLOAT16_CAPABILITY else "float32"
    return Environment(ENGINE_VERSION, device.type, torch.__version__, precision, compile=True)


def plan_of(experiment: Experiment, context: Context) -> Plan:
    """Return the plan of an experiment with the data, components and machine of a context."""
    rows = tuple(replace(row, recipe=with_threads(row.recipe, context.registry)) for row in experiment.rows)
    teachers = {name: with_threads(recipe, context.registry) for name, recipe in experiment.teachers.items()}
    return make_plan(
        replace(experiment, rows=rows, teachers=teachers),
        fingerprints_of(context),
        environment(context.machine.device),
        context.registry,
    )


def fingerprints_of(context: Context) -> dict[str, str]:
    """Return the fingerprint of each source, and of what baselines are fitted to where that is a part of it."""
    fingerprints: dict[str, str] = {}
    for identity, source in context.sources.items():
        fingerprints[identity] = source.fingerprint
        fitted = fitted_indices(len(source))
        if len(fitted) < len(source):
            fingerprints[fit_id(identity)] = hash_of([source.fingerprint, fitted.step])
    return fingerprints


def _check_disjoint(row: str, splits: Mapping[str, Source]) -> None:
    """Check that train, val and tests are not the same images and, where that is known, show different subjects."""
    for first, second in disjoint_pairs(splits):
        if splits[first].fingerprint == splits[second].fingerprint:
            raise DataError(f"row {row}: data.{first} and data.{second} are the same images; give each its own")
    for (first, second), shared in shared_subjects(splits).items():
        raise DataError(
            f"row {row}: data.{first} and data.{second} share {counted(len(shared), 'subject')}, e.g. {min(shared)!r}; "
            "give them different seeds, splits or folders"
        )


def _cached(
    split: str, source: Source, needed: frozenset[int], registry: Registry, on_event: Callable[[DataReady], None]
) -> Source:
    return cached_as_needed(
        source,
        needed,
        cache_folder(),
        usable_cores(),
        registry.plugins,
        lambda count, total: on_event(DataReady(split, count, total)),
    )
