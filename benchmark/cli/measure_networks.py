"""Networks that `measure` and `import` name: their costs, gates and latencies under every condition."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from benchmark.cli.options import matching_rows
from benchmark.errors import BenchmarkError, RecordError, shown, suggestion
from benchmark.experiment.document import Document, KeyPath, parse
from benchmark.experiment.load import load as load_experiment
from benchmark.experiment.plan import network_id
from benchmark.experiment.resolve import resolve_model
from benchmark.experiment.schema import AnyGate, ResolvedModel
from benchmark.gates.cost import macs
from benchmark.gates.latency import Conditions, Latency
from benchmark.gates.latency_full import Budget, TimedModel, WorkerJob, WorkerSamples, measure_job, summarise_job
from benchmark.gates.latency_quick import quick_latency
from benchmark.inference.device_setup import Machine
from benchmark.inference.runtimes import runtime_names, unavailable
from benchmark.model import Restorer, build, load
from benchmark.model.build import recorded_config
from benchmark.model.restorer import fold
from benchmark.model.weight_files import write_weights
from benchmark.registry import Registry
from benchmark.runner.compression import build_shipped
from benchmark.runner.events import MeasuredModel
from benchmark.runner.jobs import measure_restorer
from reports.schema import Dtype, explain

_GATES: TypeAdapter[dict[str, AnyGate]] = TypeAdapter(dict[str, AnyGate])


@dataclass(frozen=True)
class Network:
    """A network. `rows`: names of the rows that have it, or its description; `make`: builds it."""

    rows: tuple[str, ...]
    model: ResolvedModel
    gates: Mapping[str, AnyGate]
    make: Callable[[], Restorer]

    @property
    def label(self) -> str:
        """The names, in one line."""
        return ", ".join(self.rows)


def described(
    backbone: str, size: str | None, options: Sequence[str], head: str, head_options: Sequence[str], registry: Registry
) -> Network:
    """Return the network of a backbone and a head, whose options are KEY=VALUE. Raises ExperimentError."""
    places: dict[KeyPath, str] = {(): "--backbone"}
    backbone_data = {"name": backbone, **({"size": size} if size else {})}
    backbone_data |= _options("--option", ("model", "backbone"), options, places)
    head_data = {"name": head, **_options("--head-option", ("model", "head"), head_options, places)}
    model = resolve_model(Document({"model": {"backbone": backbone_data, "head": head_data}}, places), registry)
    label = " ".join([backbone, *([size] if size else []), *options])
    return Network((label,), model, {}, partial(build, model, 0, registry))


def _options(option: str, above: KeyPath, items: Sequence[str], places: dict[KeyPath, str]) -> dict[str, Any]:
    """Return options given as KEY=VALUE, the value in YAML; add where each stands to `places`, for messages."""
    settings: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not (key and equals):
            raise click.UsageError(f"{option} {item}: write KEY=VALUE, e.g. {option} width=16")
        places[(*above, key)] = f"{option} {item}"
        settings[key] = parse(text, f"{option} {item}").data
    return settings


def recorded(folder: Path, registry: Registry) -> Network:
    """Return the trained network of a record folder, with the gates of its record. Raises RecordError."""
    restorer = load(folder, registry)
    config = recorded_config(folder)
    try:
        gates = _GATES.validate_python(config["gates"])
    except (KeyError, ValidationError) as error:
        cause = explain(error) if isinstance(error, ValidationError) else f"has no {error}"
        raise RecordError(f"{folder / 'record.json'}: its gates cannot be read: {cause}") from None
    return Network((str(folder),), ResolvedModel.model_validate(config["model"]), gates, lambda: restorer)


def of_experiment(file: Path, sets: Sequence[str], patterns: tuple[str, ...], registry: Registry) -> list[Network]:
    """Return each different network of the rows that match, with its gates. Raises ExperimentError."""
    rows = load_experiment(file, registry, sets).rows
    chosen = matching_rows(patterns, [row.name for row in rows])
    networks: dict[str, Network] = {}
    for row in (row for row in rows if row.name in chosen):
        model, gates = row.recipe.model, row.recipe.gates
        key = network_id(model, gates)
        names = (*(networks[key].rows if key in networks else ()), row.name)
        networks[key] = Network(names, model, gates, partial(build_shipped, model, 0, registry))
    return list(networks.values())


ImageSize = tuple[int, int]
"""Height and width in pixels."""

MOST_MS = 2000.0
"""Longest time of an image in the quick protocol; slower networks are not measured by it."""
_SIDE_BY_SIDE = 4
"""Networks in one job of the full protocol."""


@dataclass(frozen=True)
class Counted:
    """Costs and gates of a network, and its multiply-adds by image; or why it cannot be measured: `error`."""

    network: Network
    measured: MeasuredModel | None = None
    macs: Mapping[ImageSize, int] = field(default_factory=dict[ImageSize, int])
    error: str = ""


@dataclass(frozen=True)
class Cell:
    """A latency, or why there is none: `skipped`."""

    conditions: Conditions
    latency: Latency | None
    skipped: str | None = None

    @property
    def label(self) -> str:
        """The runtime and the size of the image."""
        return f"{self.conditions.runtime}, {self.conditions.image[0]} x {self.conditions.image[1]}"


def count(
    network: Network, images: Sequence[ImageSize], machine: Machine, registry: Registry, *, is_only: bool
) -> Counted:
    """Return costs and gates of a network. Raises BenchmarkError where the only network cannot be measured."""
    click.echo(f"counting {network.label} ...", err=True)
    try:
        restorer = network.make()
        measured = measure_restorer(restorer, network.model, network.gates, machine, registry.plugins)
        return Counted(network, measured, {image: macs(fold(restorer), image) for image in images})
    except BenchmarkError as error:
        if is_only:
            raise
        return Counted(network, error=str(error))
    except Exception as error:  # somebody's network: whatever is wrong with it must not hide the others
        return Counted(network, error=f"{type(error).__name__}: {shown(str(error))}")


def conditions_asked(
    runtimes: Sequence[str], images: Sequence[ImageSize], dtype: Dtype, folded: bool, machine: Machine
) -> list[Conditions]:
    """Return every runtime at every size. Raises BenchmarkError for a runtime that does not exist."""
    available = runtime_names(machine.device.type)
    chosen = available if "all" in runtimes else tuple(runtimes) or ("eager",)
    for name in chosen:
        if name not in available:
            raise BenchmarkError(f"--runtime {name}: not one for {machine.device.type}; {suggestion(name, available)}")
    return [Conditions(image, name, dtype, folded=folded) for image in images for name in chosen]


def measure_latencies(
    networks: Sequence[Network],
    conditions: Sequence[Conditions],
    protocol: str,
    seconds: float,
    machine: Machine,
    registry: Registry,
) -> list[Sequence[Cell]]:
    """Return for each network the cells of all conditions, in their order."""
    if protocol == "quick":
        return [[_quick(network, condition, seconds, machine) for condition in conditions] for network in networks]
    groups = [networks[start : start + _SIDE_BY_SIDE] for start in range(0, len(networks), _SIDE_BY_SIDE)]
    by_condition = [
        [cell for group in groups for cell in _full(group, condition, machine, registry)] for condition in conditions
    ]
    return list(zip(*by_condition, strict=True))


def _quick(network: Network, conditions: Conditions, seconds: float, machine: Machine) -> Cell:
    """Measure one cell; an error of a runtime concerns this cell alone."""
    click.echo(f"{network.label}: {Cell(conditions, None).label} ...", err=True)
    try:
        restorer = network.make().to(machine.device)
        return Cell(conditions, quick_latency(restorer, conditions, machine.device, seconds, MOST_MS))
    except Exception as error:
        kind = "" if isinstance(error, BenchmarkError) else f"{type(error).__name__}: "
        return Cell(conditions, None, f"{kind}{shown(str(error))}")


def _full(networks: Sequence[Network], conditions: Conditions, machine: Machine, registry: Registry) -> list[Cell]:
    """Measure cells of several networks, interleaved; an error of one of them empties the cells of all."""
    if (reason := unavailable(conditions.runtime, machine.device)) is not None:
        return [Cell(conditions, None, reason) for _ in networks]
    try:
        with TemporaryDirectory() as folder:
            subjects: list[TimedModel] = []
            for network in networks:
                weights = Path(folder, str(len(subjects)))
                write_weights(network.make(), weights)
                subjects.append(TimedModel(network.label, network.model.as_config(), weights, conditions))
            job = WorkerJob(subjects, machine, registry.plugins, Budget())
            processes: list[WorkerSamples] = []
            for samples in measure_job(job):
                processes.append(samples)
                click.echo(f"{conditions.runtime}: process {len(processes)} of {job.budget.processes} done", err=True)
            return [Cell(conditions, latency) for latency in summarise_job(job, processes)]
    except BenchmarkError as error:
        return [Cell(conditions, None, str(error)) for _ in networks]
