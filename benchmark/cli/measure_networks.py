"""Count costs of networks, check their gates, and measure their latencies under every condition by a protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmark.cli.networks import Network
from benchmark.errors import BenchmarkError, suggestion
from benchmark.gates.cost import macs
from benchmark.gates.latency import Conditions, Latency
from benchmark.gates.latency_full import Budget, TimedModel, WorkerJob, WorkerSamples, measure, summarise_job
from benchmark.gates.latency_quick import TooSlowError, quick_latency
from benchmark.inference.device_setup import Machine
from benchmark.inference.runtimes import runtime_names, unavailable
from benchmark.model.weight_files import write_weights
from benchmark.registry import Registry
from benchmark.runner.events import MeasuredModel
from benchmark.runner.jobs import measure_restorer
from reports.schema import Dtype

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
        return Counted(network, measured, {image: macs(restorer, image) for image in images})
    except BenchmarkError as error:
        if is_only:
            raise
        return Counted(network, error=str(error))
    except Exception as error:  # somebody's network: whatever is wrong with it must not hide the others
        return Counted(network, error=f"{type(error).__name__}: {error}")


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
    except TooSlowError as error:
        return Cell(conditions, None, f"{error}; over {MOST_MS / 1000:g} s")
    except Exception as error:
        kind = "" if isinstance(error, BenchmarkError) else f"{type(error).__name__}: "
        return Cell(conditions, None, f"{kind}{str(error).splitlines()[0]}")


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
            for samples in measure(job):
                processes.append(samples)
                click.echo(f"{conditions.runtime}: process {len(processes)} of {job.budget.processes} done", err=True)
            return [Cell(conditions, latency) for latency in summarise_job(job, processes)]
    except BenchmarkError as error:
        return [Cell(conditions, None, str(error)) for _ in networks]
