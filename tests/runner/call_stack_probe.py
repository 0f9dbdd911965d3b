"""Print the stack of one training step of the quickstart's base row, our frames only.

    python tests/runner/call_stack_probe.py [OPTION OF run ...]

The stages are shortened to one step. This file is also the plugin that looks: a loss that writes the stack of its first
call to the file that `$STACK_FILE` names.
"""

import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss

ROOT = Path(__file__).parents[2]
PACKAGES = ("benchmark", "losses", "heads", "backbones")
SHORT = [f"data.{split}.count=2" for split in ("train", "val", "test")] + ["protocol.order=[coarse]"]
STAGE = ["steps=1", "batch=1", "loss={call_stack_probe: 1.0}"]


class CallStackProbe(Loss):
    """L1; the first call of a process appends its stack, outermost frame first, as lines `file function`."""

    origin = "a test of this project"
    formula = "mean |restored - target|"
    is_written = False

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        """Return the L1 loss."""
        if not CallStackProbe.is_written:
            CallStackProbe.is_written = True
            files = [(Path(frame.filename), frame.name) for frame in traceback.extract_stack()[:-1]]
            ours = [(file.relative_to(ROOT), name) for file, name in files if file.is_relative_to(ROOT)]
            lines = [f"{file} {name}\n" for file, name in ours if file.parts[0] in PACKAGES]
            with Path(os.environ["STACK_FILE"]).open("a", encoding="utf-8") as stack_file:
                stack_file.write(f"process {os.getpid()}\n{''.join(lines)}")
        return (restoration.image - batch.target).abs().mean()


def print_stack(*options: str) -> None:
    """Run the quickstart with one step and print the stack. `options`: of the command `run`."""
    with tempfile.TemporaryDirectory() as folder:
        stack_file = Path(folder) / "stack.txt"
        sets = [f"--set={item}" for item in (*SHORT, *(f"protocol.coarse.{setting}" for setting in STAGE))]
        experiment = str(ROOT / "experiments/quickstart.yaml")
        command = ["-m", "benchmark", "run", experiment, *sets, f"--output={folder}/run", f"--plugin={__file__}"]
        environment = {**os.environ, "STACK_FILE": str(stack_file), "BENCHMARK_CACHE": f"{folder}/cache"}
        subprocess.run([sys.executable, *command, *options], cwd=ROOT, env=environment, check=True, capture_output=True)
        print(stack_file.read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    print_stack(*(sys.argv[1:] or ["--rows=base"]))
