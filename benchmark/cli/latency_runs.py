"""The latencies that `measure` was asked for: every network under every condition, by one of the protocols."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmark.cli.targets import Network
from benchmark.errors import BenchmarkError, suggestion
from benchmark.gates.latency import Conditions, Latency, latency_record
from benchmark.gates.latency_full import Budget, TimedModel, WorkerJob, WorkerSamples, measure, summarise_job
from benchmark.gates.latency_quick import TooSlowError, quick_latency
from benchmark.inference.device_setup import Machine
from benchmark.inference.runtimes import runtime_names, unavailable
from benchmark.model.weight_files import write_weights
from benchmark.registry import Registry
from reports.schema import Dtype

MOST_MS = 2000.0
"""Images that take longer are not measured by the quick protocol, which would be no longer quick."""
_SIDE_BY_SIDE = 4
"""Networks in one job of the full protocol."""


@dataclass(frozen=True)
class Cell:
    """A latency, or why there is none: `skipped`."""

    conditions: Conditions
    latency: Latency | None
    machine: Machine
    skipped: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the latency as plain values, or why there is none."""
        if self.latency is not None:
            return latency_record(self.latency, self.machine)
        conditions = self.conditions
        return {"runtime": conditions.runtime, "image": list(conditions.image), "skipped": self.skipped}


def conditions_asked(
    runtimes: Sequence[str], images: Sequence[tuple[int, int]], dtype: Dtype, folded: bool, machine: Machine
) -> list[Conditions]:
    """Every runtime at every size. Raises BenchmarkError for a runtime that does not exist."""
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
) -> list[list[Cell]]:
    """For each network the cells of all conditions, in their order."""
    if protocol == "quick":
        return [
            [_quick(network, condition, seconds, machine) for condition in _announced(network, conditions)]
            for network in networks
        ]
    measured = {
        (id(network), condition): cell
        for condition in conditions
        for group in _parts(networks)
        for network, cell in zip(group, _full(group, condition, machine, registry), strict=True)
    }
    return [[measured[id(network), condition] for condition in conditions] for network in networks]


def _announced(network: Network, conditions: Sequence[Conditions]) -> Iterator[Conditions]:
    for condition in conditions:
        click.echo(f"{network.label}: {condition.runtime}, {condition.image[0]} x {condition.image[1]} ...", err=True)
        yield condition


def _quick(network: Network, conditions: Conditions, seconds: float, machine: Machine) -> Cell:
    """Measure one cell; an error of a runtime concerns this cell alone."""
    try:
        restorer = network.make().to(machine.device)
        return Cell(conditions, quick_latency(restorer, conditions, machine.device, seconds, MOST_MS), machine)
    except TooSlowError as error:
        return Cell(conditions, None, machine, f"{error}; over {MOST_MS / 1000:g} s")
    except Exception as error:
        kind = "" if isinstance(error, BenchmarkError) else f"{type(error).__name__}: "
        return Cell(conditions, None, machine, f"{kind}{str(error).splitlines()[0]}")


def _parts(networks: Sequence[Network]) -> Iterator[Sequence[Network]]:
    return (networks[start : start + _SIDE_BY_SIDE] for start in range(0, len(networks), _SIDE_BY_SIDE))


def _full(networks: Sequence[Network], conditions: Conditions, machine: Machine, registry: Registry) -> list[Cell]:
    """Measure cells of several networks, interleaved; an error of one of them empties the cells of all."""
    if (reason := unavailable(conditions.runtime, machine.device)) is not None:
        return [Cell(conditions, None, machine, reason) for _ in networks]
    try:
        latencies = _in_turn(networks, conditions, machine, registry)
    except BenchmarkError as error:
        return [Cell(conditions, None, machine, str(error)) for _ in networks]
    return [Cell(conditions, latency, machine) for latency in latencies]


def _in_turn(
    networks: Sequence[Network], conditions: Conditions, machine: Machine, registry: Registry
) -> list[Latency]:
    with TemporaryDirectory() as folder:
        subjects = [_subject(network, conditions, Path(folder) / str(i)) for i, network in enumerate(networks)]
        job = WorkerJob(subjects, machine, registry.plugins, Budget())
        processes: list[WorkerSamples] = []
        for samples in measure(job):
            processes.append(samples)
            click.echo(f"{conditions.runtime}: process {len(processes)} of {job.budget.processes} done", err=True)
        return summarise_job(job, processes)


def _subject(network: Network, conditions: Conditions, weights: Path) -> TimedModel:
    write_weights(network.make(), weights)
    return TimedModel(network.label, network.model.as_config(), weights, conditions)
