"""A loss that writes the stack of its first call, our frames only, to the file that `$STACK_FILE` names."""

import os
import traceback
from pathlib import Path

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss

ROOT = Path(__file__).parents[2]
PACKAGES = ("benchmark", "losses", "heads", "backbones")


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
