"""The store of trained stages: weights under the hash of all that made them.

A stage is finished when its `meta.json` is there, which is written last. Failures are never stored. Who trains a stage
holds its lease, so that several commands may share a store and every stage is trained once.
"""

import fcntl
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from torch import Tensor

from benchmark.evaluation.evaluate import Summary
from benchmark.files import read_json, write_csv, write_json
from benchmark.model import Restorer
from benchmark.model.weights import is_intact, read_weights, write_weights
from benchmark.training.checkpoint import CurveRow

_SCHEMA = 1


@dataclass(frozen=True)
class StageResult:
    """What training a stage took and what it reached on val. `peak_memory_bytes`: of the device, or of the process."""

    name: str
    key: str
    steps: int
    seconds: float
    images_per_second: float
    peak_memory_bytes: int
    val: dict[str, Summary]
    val_fingerprint: str = ""
    """Of the images that `val` is about: they are no part of the key, so another experiment may have others."""
    skipped_steps: int = 0
    """Of `steps`, those taken back because loss or gradient were not finite."""
    late_gain_psnr: float | None = None
    """dB that the last fifth of the steps added on val; None: not looked at. Much means that more steps would help."""
    identity_psnr: float | None = None
    """Of the degraded val images as they are: weights that stay below it do harm."""
    repeatable: bool | None = None
    """Whether a step gave the same bits twice on this GPU; None: trained on the CPU, where it does."""


@dataclass(frozen=True)
class StageStore:
    root: Path

    def finished(self, key: str) -> StageResult | None:
        """The result of a stage, or None if it has yet to be trained."""
        meta = read_json(self.folder(key) / "meta.json")
        if not isinstance(meta, dict) or meta.pop("schema", None) != _SCHEMA:
            return None
        if not is_intact(self._weights_file(key)):
            return None
        try:
            return StageResult(**meta)
        except TypeError:  # of another form
            return None

    def weights(self, key: str) -> dict[str, Tensor]:
        return read_weights(self._weights_file(key))

    def curve_file(self, key: str) -> Path:
        """CSV with `step,name,value`."""
        return self.folder(key) / "curve.csv"

    def state_file(self, key: str) -> Path:
        """Where the state of the stage lies while it is unfinished. Makes the folder."""
        self.folder(key).mkdir(parents=True, exist_ok=True)
        return self.folder(key) / "state.pt"

    @contextmanager
    def lease(self, key: str) -> Generator[bool]:
        """The right to train or to delete a stage: whether it is ours, or another process has it.

        It is a lock on a file of its own, which stays when the stage is deleted: who waits at a file that is gone would
        get a lock that keeps nobody out. The system takes the lock back however the process ends.
        """
        file = self.root / ".leases" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as handle:
            yield _locked(handle)

    def publish(self, result: StageResult, restorer: Restorer, curve: Sequence[CurveRow]) -> None:
        """Store a finished stage; from the last line on, it is there for all."""
        folder = self.folder(result.key)
        folder.mkdir(parents=True, exist_ok=True)
        write_weights(restorer, self._weights_file(result.key))
        write_csv(self.curve_file(result.key), ("step", "name", "value"), curve)
        write_json(folder / "meta.json", {"schema": _SCHEMA, **asdict(result)})
        self.state_file(result.key).unlink(missing_ok=True)

    def _weights_file(self, key: str) -> Path:
        return self.folder(key) / "weights.safetensors"

    def folder(self, key: str) -> Path:
        return self.root / key


def _locked(handle: IO[bytes]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
