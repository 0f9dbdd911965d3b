"""`run --tensorboard`: what TensorBoard reads is what curve.csv says."""

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import cli


def test_scalars_are_those_of_the_curve(experiment_file: Path) -> None:
    """Step, name and value of every stage, in a folder of each row and seed."""
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    output = experiment_file.parent / "runs/small"
    arguments = ["run", str(experiment_file), "--rows", "base", "--output", str(output), "--tensorboard"]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    board = loading.EventAccumulator(str(output / "tensorboard/base/seed0"))
    board.Reload()
    found = {(tag, event.step): event.value for tag in board.Tags()["scalars"] for event in board.Scalars(tag)}
    with (output / "base/seed0/curve.csv").open(newline="") as handle:
        curve = {
            (f"{row['stage']}/{row['name']}", int(row["step"])): float(row["value"])
            for row in csv.DictReader(handle)
            if row["name"] != "val.psnr"
        }
    assert found == pytest.approx(curve, rel=1e-6)
