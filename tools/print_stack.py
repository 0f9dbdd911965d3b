"""Print the stack of one training step of the quickstart's base row, our frames only: python tools/print_stack.py.

The stages are shortened to one step. With two workers (OMP_NUM_THREADS=2, several rows), the part of the stack in the
worker process is printed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "experiments/quickstart.yaml"
SHORT = [f"data.{split}.count=2" for split in ("train", "val", "test")] + ["protocol.order=[coarse]"]
STAGE = ["steps=1", "batch=1", "loss={call_stack_probe: 1.0}"]


def print_stack(*options: str) -> None:
    """Run the quickstart with one step and print the stack. `options`: of the command `run`."""
    with tempfile.TemporaryDirectory() as folder:
        stack_file = Path(folder) / "stack.txt"
        sets = [f"--set={item}" for item in (*SHORT, *(f"protocol.coarse.{setting}" for setting in STAGE))]
        command = ["-m", "benchmark", "run", str(QUICKSTART), *sets, f"--output={folder}/run", *options]
        environment = {**os.environ, "STACK_FILE": str(stack_file), "BENCHMARK_CACHE": f"{folder}/cache"}
        plugin = f"--plugin={ROOT / 'tests/runner/call_stack_probe.py'}"
        subprocess.run([sys.executable, *command, plugin], cwd=ROOT, env=environment, check=True, capture_output=True)
        print(stack_file.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    print_stack(*(sys.argv[1:] or ["--rows=base"]))
