"""`measure`: the numbers of networks without training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click import UsageError
from click.testing import CliRunner, Result

from benchmark.cli import cli
from benchmark.errors import BenchmarkError, ComponentError, ExperimentError, RecordError
from benchmark.files import write_json
from benchmark.gates.cost import cost, macs
from benchmark.model import build
from benchmark.model.weights import write_weights

NAFNET = {"backbone": {"name": "nafnet", "width": 4, "depths": (1, 1, 1)}, "head": {"name": "degradation"}}
Edited = Callable[[str, str], Path]


def measure(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["measure", *map(str, arguments)], standalone_mode=False)


def test_a_network_by_its_options(experiment_file: Path, tmp_path: Path) -> None:
    """Size and options reach the network; table and JSON have the numbers of the gates' own counters."""
    options = ["--size", "tiny", "--option", "width=4", "--option", "depths=[1, 1, 1]", "--image", "48", "64"]
    file = tmp_path / "numbers.json"
    result = measure("--backbone", "nafnet", *options, "--gates", experiment_file, "--json", file, "--device", "cpu")
    assert result.return_value == 0, result.output
    network = build(NAFNET)
    expected = cost(network)
    assert f"{expected.params:,}" in result.stdout and f"{expected.float32_bytes:,}" in result.stdout
    assert "size: passed" in result.stdout and "latency: not measured (no V100 here" in result.stdout
    written = json.loads(file.read_text())
    (found,) = written["networks"]
    assert (found["params"], found["macs"], found["macs_of_image"]) == (
        expected.params,
        expected.macs,
        macs(network, (48, 64)),
    )
    assert found["weight_bytes"] == {"float32": expected.float32_bytes, "float16": expected.float16_bytes}
    assert 0 < found["latency"]["median_ms"] <= found["latency"]["p90_ms"] and found["latency"]["net_median_ms"] > 0
    assert [gate["result"] for gate in found["gates"]] == ["passed", "not_measured"]
    assert found["config"]["backbone"]["width"] == 4 and written["image"] == [48, 64]
    assert written["machine"]["device"] == "cpu" and written["machine"]["threads"] >= 1


def test_the_different_networks_of_an_experiment(experiment_file: Path, tmp_path: Path) -> None:
    """Rows that share network and gates are measured once, under all their names; --rows and --set take a part."""
    file = tmp_path / "numbers.json"
    result = measure(experiment_file, "--image", 32, 32, "--json", file)
    assert result.return_value == 0, result.output
    rows = [network["rows"] for network in json.loads(file.read_text())["networks"]]
    assert rows == [["base", "stages.stage_1"], ["heads.direct_rgb"]]
    changed = "gates.size.limit_bytes=100"
    result = measure(experiment_file, "--rows", "heads.*", "--set", changed, "--image", 32, 32)
    assert "direct_rgb" in result.stdout and "base" not in result.stdout and "of 100 bytes" in result.stdout
    assert "size: failed" in result.stdout


def test_a_trained_row(tmp_path: Path) -> None:
    """The network of a record folder is judged by the gates of its record."""
    gates = {"parameters": {"quantity": "parameters", "limit": 10, "reject": False}}
    write_weights(build(NAFNET), tmp_path / "weights.safetensors")
    write_json(tmp_path / "record.json", {"status": "done", "config": {"model": NAFNET, "gates": gates}})
    result = measure(tmp_path, "--image", 32, 32)
    assert result.return_value == 0, result.output
    assert f"parameters: failed ({cost(build(NAFNET)).params:,} of 10 parameters)" in result.stdout


def test_a_broken_network_does_not_hide_the_others(edited: Edited) -> None:
    """A row whose network cannot be built is told, the others are measured, and the exit code is 1."""
    file = edited("direct_rgb: {model.head: {name: rgb}}", "even: {model.head.kernel_size: 4}")
    result = measure(file, "--image", 32, 32)
    assert result.return_value == 1
    assert "heads.even: cannot be measured: head 'degradation': kernel_size must be odd" in result.stdout
    assert f"{cost(build(NAFNET)).params:,}" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], UsageError, "name what to measure"),
        (["small.yaml", "--backbone", "gunet"], UsageError, "name what to measure"),
        (["--backbone", "gunte"], ExperimentError, "did you mean 'gunet'?"),
        (["--backbone", "gunet", "--size", "tny"], ExperimentError, "did you mean 'tiny'?"),
        (["--backbone", "gunet", "--option", "width"], UsageError, "write KEY=VALUE"),
        (["--backbone", "gunet", "--option", "widht=8"], ExperimentError, "--option widht=8: .*did you mean 'width'"),
        (["--backbone", "gunet", "--head-option", "pad=1"], ExperimentError, "--head-option pad=1: head 'degradation'"),
        (["--backbone", "gunet", "--option", "kernel_size=4"], ComponentError, "must be odd"),
        (["small.yaml", "--rows", "nothing"], ExperimentError, "matches no row"),
        (["."], RecordError, "no record of a trained row"),
        (["nothing.yaml"], ExperimentError, "no such file"),
        (["--backbone", "gunet", "--device", "abacus"], BenchmarkError, "use cpu, cuda"),
    ],
)
def test_mistakes_are_told(
    experiment_file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: type[Any], message: str
) -> None:
    """What the user can mend is an error of the kind that the command line prints as one line."""
    monkeypatch.chdir(experiment_file.parent)
    result = measure(*arguments)
    with pytest.raises(error, match=message):
        raise result.exception or AssertionError(result.output)
