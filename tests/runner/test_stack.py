"""The way from the command to the training step is short."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import cli

MOST_FRAMES = 7
FIRST = {1: "benchmark/cli/run.py command", 2: "benchmark/processes.py _run_worker"}
"""By number of workers: the frame that the way begins with, in the process that trains."""


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_seven_frames_lead_to_the_training_step(
    experiment_file: Path, root: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """In this process, and on the worker's side of a process boundary; callbacks and generators count as frames."""
    stack_file = experiment_file.parent / "stack.txt"
    monkeypatch.setenv("STACK_FILE", str(stack_file))
    monkeypatch.setenv("OMP_NUM_THREADS", str(workers))
    arguments = ["run", str(experiment_file), "--output", str(experiment_file.parent / "runs/small")]
    arguments += ["--set", "protocol.order=[coarse]", "--set", "protocol.coarse.loss={call_stack_probe: 1.0}"]
    arguments += ["--set", "tables.stages=null", "--plugin", str(root / "tests/runner/call_stack_probe.py")]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for stack in stack_file.read_text().split("process ")[1:]:
        frames = stack.splitlines()[1:]
        first = frames.index(FIRST[workers])
        last = frames.index("benchmark/training/step.py train_step")
        assert last - first + 1 <= MOST_FRAMES, "\n".join(frames)
