"""Limits by name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import ExperimentError
from benchmark.experiment.gate_presets import GATE_PRESETS
from benchmark.experiment.load import load
from benchmark.experiment.schema import LatencyGate
from benchmark.registry import Registry

GATES = "gates:\n  size: {limit_bytes: 10_000_000}\n  latency: {limit_ms: 50, device: V100, image: [64, 64]}\n"


@pytest.mark.parametrize("preset", GATE_PRESETS)
def test_a_preset_stands_for_its_gates(edited: Callable[[str, str], Path], preset: str) -> None:
    """Every row has them, as if they were written out."""
    named = load(edited(GATES, f"gates: {{preset: {preset}}}\n"), Registry())
    assert [row.recipe.gates.keys() for row in named.rows] == [GATE_PRESETS[preset].keys()] * 3


def test_gates_beside_a_preset_change_those_of_it(edited: Callable[[str, str], Path]) -> None:
    """A setting replaces that of the preset, null takes a gate out, others are added; a row may name another preset."""
    gates = "{preset: retouching_contest, latency: {image: [64, 64]}, ram: null, macs: {limit: 5}}"
    file = edited(GATES, f"gates: {gates}\n")
    file.write_text(file.read_text() + "  limits:\n    phone: {gates.preset: mobile, gates.latency: null}\n")
    rows = {row.name: row.recipe.gates for row in load(file, Registry()).rows}
    latency = rows["base"]["latency"]
    assert isinstance(latency, LatencyGate)
    assert (latency.limit_ms, latency.device, latency.image) == (50, "V100", (64, 64))
    assert rows["base"].keys() == {"size", "latency", "gpu_memory", "macs"}
    assert rows["limits.phone"].keys() == {"size", "parameters", "macs"}


def test_an_unknown_preset_is_named_with_the_nearest(edited: Callable[[str, str], Path]) -> None:
    """One line with the place."""
    with pytest.raises(ExperimentError, match=r"small.yaml:\d+: gates.preset: no preset 'mobil'; .*'mobile'"):
        load(edited(GATES, "gates: {preset: mobil}\n"), Registry())
