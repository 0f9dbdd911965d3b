"""Latency gates that the quick protocol leaves open are measured again after training."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import cli
from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.files import read_json, write_json
from benchmark.runner.late_gates import measure_open_latencies

HERE = "here: {quantity: latency, limit_ms: 10_000, image: [32, 32], protocol: auto}"


@pytest.mark.slow  # what is open: tests/gates/test_latency.py
def test_an_open_gate_gets_the_full_protocol(edited: Callable[[str, str], Path], tmp_path: Path) -> None:
    """Only where the quick protocol decided nothing; once for a network, in the records of all its rows."""
    file, output = edited("seeds: [0]\n", "seeds: [0, 1]\n"), tmp_path / "runs/small"
    file.write_text(file.read_text().replace("gates:\n", f"gates:\n  {HERE}\n").replace("  heads:\n", "  drop:\n"))
    arguments = ["run", file, "--output", output, "--rows", "base", "--set", "protocol.order=[coarse]"]
    done = CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    records = [output / f"base/seed{seed}/record.json" for seed in (0, 1)]
    for record in map(read_json, records):
        gate = next(gate for gate in record["gates"] if gate["name"] == "here")
        assert (gate["result"], gate["protocol"]["name"]) == ("passed", "quick")
    for path in records:  # as if the network were nearer to the limit
        record = read_json(path)
        gates = [{**gate, "result": "inconclusive"} if gate["name"] == "here" else gate for gate in record["gates"]]
        write_json(path, {**record, "gates": gates})
    ready = prepare(Selection(file, output, ("base",), (), ("protocol.order=[coarse]",), "cpu", (), replace=False))
    lines = list[str]()
    measure_open_latencies(ready.plan.rows, ready.context, lambda row, line: lines.append(f"{row}: {line}"))
    assert len(lines) == 2 and "full protocol" in lines[0]
    for record in map(read_json, records):
        gate = next(gate for gate in record["gates"] if gate["name"] == "here")
        assert gate["protocol"]["name"] == "full"
        assert gate["result"] == ("inconclusive" if gate["protocol"]["unsteady"] else "passed")
        assert [gate["name"] for gate in record["gates"]] == ["here", "size", "latency"]
