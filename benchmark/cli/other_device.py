"""`plan --for`: what an experiment would take on a GPU that is not here, by its data sheet."""

from dataclasses import astuple, dataclass
from typing import Any

import click

from benchmark.cli.experiment_setup import Prepared
from benchmark.cli.terminal import duration, new_table, show_network, show_table
from benchmark.experiment.plan import PlannedRow
from benchmark.experiment.schema import LatencyGate
from benchmark.experiment.stage import Stage
from benchmark.gates.roofline import Gpu, Operator, Range, find_gpu, operators, time_range
from benchmark.model import build
from benchmark.model.restorer import fold
from benchmark.registry import Registry
from benchmark.runner.count_cache import kept

LABEL = "estimate, uncalibrated"
"""Beside every number: no device of the kind was measured, so nothing passes or fails by it."""


@dataclass(frozen=True)
class _Ranges:
    """Ranges of one GPU; the operators of a network are counted once, and kept for the next command."""

    gpu: Gpu
    registry: Registry

    def step(self, row: PlannedRow, stage: Stage, precision: str) -> Range:
        """Return the seconds of a training step; `precision`: as the experiment file has it."""
        half = precision == "float16" or (precision in ("auto", "bfloat16") and self.gpu.has_bfloat16)
        shape = (stage.batch // stage.accumulate, 3, stage.patch, stage.patch)
        return time_range(self._operators(row, shape, training=True), self.gpu, half=half) * stage.accumulate

    def image(self, row: PlannedRow, gate: LatencyGate) -> Range:
        """Return the seconds of one image under the conditions of a gate, without the way from and to the host."""
        work = self._operators(row, (1, 3, *gate.image), training=False)
        return time_range(work, self.gpu, half=gate.dtype != "float32")

    def _operators(self, row: PlannedRow, shape: tuple[int, int, int, int], *, training: bool) -> list[Operator]:
        """Return the operators of a training step, or of the network folded for inference."""

        def count() -> list[list[Any]]:
            restorer = build(row.recipe.model.architecture, row.seed, self.registry)
            counted = operators(restorer if training else fold(restorer), shape, training=training)
            return [list(astuple(operator)) for operator in counted]

        what = ["operators", list(shape), training]
        return [Operator(*values) for values in kept(what, row.recipe.model, self.registry, count)]


def show_other_device(prepared: Prepared, name: str) -> None:
    """Print the range of seconds that training and images would take on a GPU. Raises BenchmarkError."""
    plan, ranges = prepared.plan, _Ranges(find_gpu(name), prepared.context.registry)
    precisions = {
        (row.name, stage): settings.precision
        for row in prepared.written.rows
        for stage, settings in row.recipe.stages.items()
    }
    by_network: dict[str, list[PlannedRow]] = {}
    for row in plan.rows:
        by_network.setdefault(row.network, []).append(row)
    table = new_table("network of", "a training step, ms", "an image of its latency gates, ms")
    for number, (first, *others) in enumerate(by_network.values(), 1):
        show_network(number, len(by_network))
        steps = [
            f"{stage.name} {_ms(ranges.step(first, stage.settings, precisions[first.row, stage.name]))}"
            for stage in first.stages
        ]
        gates = {gate: limit for gate, limit in first.recipe.gates.items() if isinstance(limit, LatencyGate)}
        images = [f"{gate} {_ms(ranges.image(first, limit))}" for gate, limit in gates.items()]
        names = dict.fromkeys([first.row, *(row.row for row in others)])
        table.add_row(", ".join(names), "; ".join(steps), "; ".join(images))
    show_table(table)
    total = Range(0.0, 0.0)
    stages = {stage.key: (row, stage) for row in plan.rows for stage in row.stages}
    for row, stage in stages.values():
        if prepared.context.store.finished(stage.key) is None:
            total += ranges.step(row, stage.settings, precisions[row.row, stage.name]) * stage.steps
    span = f"{duration(total.low)} to {duration(total.high)} of training"
    click.echo(f"on one {name} ({LABEL}): {span}; without losses, reading and evaluation")


def _ms(seconds: Range) -> str:
    return f"{1000 * seconds.low:.3g} to {1000 * seconds.high:.3g}"
