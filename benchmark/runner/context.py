"""What every row of a run shares."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.data import Source
from benchmark.data.cache import cache_folder, cached
from benchmark.data.sources import open_source
from benchmark.data.split_leakage import check_contents, shared_subjects
from benchmark.errors import DataError
from benchmark.experiment.load import Experiment
from benchmark.experiment.plan import settings_id
from benchmark.experiment.resolve import Resolved
from benchmark.generators import mapped
from benchmark.processes import usable_cores
from benchmark.registry import Registry
from benchmark.runner.device_setup import Machine
from benchmark.runner.progress_events import DataReady, Event
from benchmark.runner.stage_store import StageStore


@dataclass(frozen=True)
class Context:
    """Where a run writes, what it runs on, and the data it reads. `sources`: by their settings (`settings_id`)."""

    output: Path
    store: StageStore
    machine: Machine
    registry: Registry
    command: str
    sources: Mapping[str, Source]

    def source(self, config: Resolved, split: str) -> Source:
        return self.sources[settings_id(config["data"][split])]


def open_sources(experiment: Experiment, registry: Registry) -> dict[str, Source]:
    """Every source that any row names, by its settings. Raises DataError, also if two splits are the same data."""
    sources: dict[str, Source] = {}
    for row in experiment.rows:
        splits = row.config["data"]
        for settings in splits.values():
            sources.setdefault(settings_id(settings), open_source(settings, registry))
        _check_apart(row.name, {split: sources[settings_id(settings)] for split, settings in splits.items()})
    return sources


def _check_apart(row: str, splits: Mapping[str, Source]) -> None:
    """Train, val and test must not be the same images, nor show the same subjects where that is known."""
    for first, second in (("train", "test"), ("val", "test"), ("train", "val")):
        if splits[first].fingerprint == splits[second].fingerprint:
            raise DataError(f"row {row}: data.{first} and data.{second} are the same images; give each its own")
    for (first, second), shared in shared_subjects(splits).items():
        raise DataError(
            f"row {row}: data.{first} and data.{second} share {len(shared)} subjects, e.g. {min(shared)!r}; "
            "give them different seeds, splits or folders"
        )


def cache_sources(
    experiment: Experiment,
    sources: Mapping[str, Source],
    registry: Registry,
    splits: Sequence[str] = ("train", "val", "test"),
) -> Generator[Event, None, dict[str, Source]]:
    """The sources of these splits, decoded or rendered; yields how far each is.

    Raises DataError if two splits of a row share an image.
    """
    ready: dict[str, Source] = {}
    for row in experiment.rows:
        for split in splits:
            settings = row.config["data"][split]
            identity = settings_id(settings)
            if identity not in ready:
                ready[identity] = yield from _cache(split, sources[identity], registry)
    _check_contents(experiment, ready, splits)
    return ready


def _check_contents(experiment: Experiment, ready: Mapping[str, Source], splits: Sequence[str]) -> None:
    """Once for all rows on the same data, in the name of the first of them."""
    rows = {tuple(settings_id(row.config["data"][split]) for split in splits): row for row in reversed(experiment.rows)}
    for identities, row in rows.items():
        check_contents(row.name, {split: ready[identity] for split, identity in zip(splits, identities, strict=True)})


def _cache(split: str, source: Source, registry: Registry) -> Generator[Event, None, Source]:
    building = cached(source, cache_folder(), usable_cores(), registry.plugins)
    return mapped(building, lambda count: DataReady(split, count, len(source)))
