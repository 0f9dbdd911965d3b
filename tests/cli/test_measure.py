"""`measure`: the numbers of networks without training."""

import json
from collections.abc import Callable
from importlib.metadata import version
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
from benchmark.model.weight_files import write_weights

SLEEPY = """
import time
from torch import Tensor, nn
from backbones import Backbone

class Sleepy(Backbone):
    citation = ""
    origin = "test"
    out_channels = 3
    def forward(self, image: Tensor) -> Tensor:
        time.sleep(0 if image.is_meta else 2.05)
        return image
"""
NAFNET = {"backbone": {"name": "nafnet", "width": 4, "depths": (1, 1, 1)}, "head": {"name": "degradation"}}
Edited = Callable[[str, str], Path]


def measure(*arguments: object) -> Result:
    arguments = ("--seconds", 0.1, *arguments)  # the last of two counts
    return CliRunner().invoke(cli, ["measure", *map(str, arguments)], standalone_mode=False)


def test_a_network_by_its_options(experiment_file: Path, tmp_path: Path) -> None:
    """Size and options reach the network; table and JSON have the numbers of the gates' own counters."""
    options = ["--size", "tiny", "--option", "width=4", "--option", "depths=[1, 1, 1]", "--image", "48", "64"]
    file = tmp_path / "numbers.json"
    result = measure("--backbone", "nafnet", *options, "--gates", experiment_file, "--json", file, "--device", "cpu")
    assert result.return_value == 0, result.output
    network = build(NAFNET)
    expected = cost(network)
    assert f"{expected.params:,}" in result.stdout and f"{expected.weight_bytes['float32']:,}" in result.stdout
    assert "size: passed" in result.stdout and "latency: not measured (no V100 here" in result.stdout
    written = json.loads(file.read_text())
    (found,) = written["networks"]
    assert (found["params"], found["macs"]) == (expected.params, expected.macs)
    assert found["macs_of_images"] == [{"image": [48, 64], "macs": macs(network, (48, 64))}]
    assert found["weight_bytes"] == expected.weight_bytes
    (latency,) = found["latencies"]
    assert (latency["name"], latency["runtime"], latency["image"]) == ("quick", "eager", [48, 64])
    assert 0 < latency["net_median_ms"] <= latency["median_ms"] <= latency["p90_ms"] <= latency["p99_ms"]
    assert latency["threads"] == written["machine"]["threads"] and latency["folded"]
    assert [gate["result"] for gate in found["gates"]] == ["passed", "not_measured"]
    assert found["config"]["backbone"]["width"] == 4 and written["provenance"]["torch"] == version("torch")
    assert written["machine"]["device"] == "cpu" and written["machine"]["threads"] >= 1


@pytest.mark.slow
def test_several_backbones_runtimes_and_sizes(tmp_path: Path) -> None:
    """A table for each size, a column for each runtime, the fastest marked; each cell is in the JSON."""
    file = tmp_path / "numbers.json"
    runtimes = ["--runtime", "eager", "--runtime", "channels_last", "--threads", 1]
    sizes = ["--image", 16, 16, "--image", 24, 32]
    networks = ["--backbone", "nafnet", "--backbone", "unet:tiny", "--size", "tiny"]
    result = measure(*networks, *runtimes, *sizes, "--json", file)
    assert result.return_value == 0, result.output
    assert "image of 16 x 16" in result.stdout and "image of 24 x 32" in result.stdout and "*" in result.stdout
    found = json.loads(file.read_text())["networks"]
    cells = [[(cell["runtime"], tuple(cell["image"])) for cell in network["latencies"]] for network in found]
    assert cells == 2 * [[(name, size) for size in ((16, 16), (24, 32)) for name in ("eager", "channels_last")]]
    assert all(cell["threads"] == 1 for network in found for cell in network["latencies"])


def test_an_image_that_takes_too_long_is_passed_over(tmp_path: Path) -> None:
    """The quick protocol would be no longer quick; the cell is empty and says why, the others are measured."""
    plugin = tmp_path / "sleepy.py"
    plugin.write_text(SLEEPY)
    result = measure("--plugin", plugin, "--backbone", "sleepy", "--image", 16, 16)
    assert result.return_value == 0, result.output
    assert "sleepy: eager, 16 x 16: not measured: one image takes 2.1 s; over 2 s" in result.stdout


@pytest.mark.slow
def test_the_full_protocol_from_the_command_line(tmp_path: Path) -> None:
    """Two networks side by side in five fresh processes, with intervals, cold starts and a progress line for each."""
    file = tmp_path / "numbers.json"
    arguments = ["--backbone", "nafnet", "--backbone", "unet", "--size", "tiny", "--protocol", "full"]
    result = measure(*arguments, "--image", 32, 32, "--threads", 1, "--json", file)
    assert result.return_value == 0, result.output
    assert "process 5 of 5 done" in result.stderr and "95 % interval over processes" in result.stdout
    for network in json.loads(file.read_text())["networks"]:
        (latency,) = network["latencies"]
        low, high = latency["median_interval_ms"]
        assert low <= latency["median_ms"] <= high and latency["processes"] == 5 and latency["runs"] >= 300
        assert latency["cold_start_ms"] > 0 and latency["reference_ms"] > 0


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
        (["--backbone", "gunet", "--runtime", "egaer"], BenchmarkError, "did you mean 'eager'?"),
        (["--backbone", "gunet", "--runtime", "cuda_graph", "--device", "cpu"], BenchmarkError, "not one for cpu"),
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
