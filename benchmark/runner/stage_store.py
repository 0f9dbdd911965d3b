"""The store of trained stages: weights under the hash of all that made them.

A stage is finished when its `meta.json` is there, which is written last and holds the SHA-256 of the files beside it.
Failures are never stored. The process that trains a stage holds its lease, so several commands may share a store, and
every stage is trained once.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmark.errors import RecordError
from benchmark.evaluation.evaluate import Summary
from benchmark.files import digest_of, read_json, write_csv, write_json
from benchmark.lease import BEAT_SECONDS, STALE_SECONDS, Lease, LeaseFolder
from benchmark.model.weight_files import is_intact, read_weights, write_weights
from benchmark.training.train_state import CurveRow

_POLL_SECONDS = 1.0
"""Between two checks of a stage that another process trains."""
_SCHEMA = 2


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
    machine: str = ""
    """Device, version of torch and CPU threads that it was trained with."""
    repeatable: bool | None = None
    """Whether a step gave the same bits twice on this GPU; None: trained on the CPU, where it does."""


@dataclass(frozen=True)
class StageStore:
    """The stages in a folder.

    The lease of a stage is the right to train or to delete it. Lease files lie beside the folders of the stages, so
    they stay when a stage is deleted.
    """

    root: Path
    beat_seconds: float = BEAT_SECONDS
    stale_seconds: float = STALE_SECONDS

    @cached_property
    def _leases(self) -> LeaseFolder:
        return LeaseFolder(self.root / ".leases", self.beat_seconds, self.stale_seconds)

    def finished(self, key: str, *, verify: bool = False) -> StageResult | None:
        """Return the result of a stage, or None if it has yet to be trained.

        Args:
            key: Hash of all that makes the stage.
            verify: Compare the SHA-256 of its files as well; a damaged stage counts as untrained.
        """
        meta = self._meta(key)
        if meta is None or not is_intact(self._weights_file(key)) or (verify and self._damaged_file(key, meta)):
            return None
        try:
            return StageResult(**meta["result"])
        except TypeError:  # of another version
            return None

    def weights(self, key: str) -> dict[str, Tensor]:
        """Return the weights of a finished stage. Raises RecordError if its files are missing or damaged."""
        meta = self._meta(key)
        if meta is not None and (file := self._damaged_file(key, meta)):
            raise RecordError(f"{file}: is not what was stored (SHA-256 differs); the next run trains the stage again")
        return read_weights(self._weights_file(key))

    def curve_file(self, key: str) -> Path:
        """Return the path of a CSV file with `step,name,value`."""
        return self.folder(key) / "curve.csv"

    def state_file(self, key: str) -> Path:
        """Return the path of the train state of an unfinished stage, whose folder is made if need be."""
        self.folder(key).mkdir(parents=True, exist_ok=True)
        return self.folder(key) / "state.pt"

    @contextmanager
    def lease(self, key: str) -> Generator[Lease | None]:
        """Hold the lease of a stage inside; None while another process has it.

        Raises:
            RecordError: The store cannot be written.
        """
        try:
            lease = self._leases.acquire(key)
        except OSError as error:
            raise RecordError(f"{self.root}: the store cannot be written, so nothing can be trained: {error}") from None
        try:
            yield lease
        finally:
            if lease is not None:
                lease.release()

    @contextmanager
    def claim(self, key: str, on_wait: Callable[[], None]) -> Generator[Lease | None]:
        """Hold the lease of an unfinished stage inside; None once it is finished. Waits while another process has it.

        Args:
            key: Of the stage.
            on_wait: Called once if there is a wait.

        Raises:
            RecordError: The store cannot be written.
        """
        has_waited = False
        while self.finished(key, verify=True) is None:
            with self.lease(key) as lease:
                if lease is not None:
                    yield lease if self.finished(key, verify=True) is None else None
                    return
            if not has_waited:
                on_wait()
            has_waited = True
            time.sleep(_POLL_SECONDS)
        yield None

    def publish(self, lease: Lease, result: StageResult, restorer: nn.Module, curve: Sequence[CurveRow]) -> None:
        """Store a finished stage; it is visible to all once the last file, `meta.json`, is written.

        Raises:
            LeaseLost: Another process took the lease over. Nothing is published.
        """
        lease.check()
        folder = self.folder(result.key)
        folder.mkdir(parents=True, exist_ok=True)
        write_weights(restorer, self._weights_file(result.key))
        write_csv(self.curve_file(result.key), ("step", "name", "value"), curve)
        files = (self._weights_file(result.key), self.curve_file(result.key))
        meta = {
            "schema": _SCHEMA,
            "fencing_number": lease.number,
            "sha256": {file.name: digest_of(file) for file in files},
            "result": asdict(result),
        }
        lease.check()
        write_json(folder / "meta.json", meta)
        self.state_file(result.key).unlink(missing_ok=True)

    def folder(self, key: str) -> Path:
        """Return the folder of a stage."""
        return self.root / key

    def _weights_file(self, key: str) -> Path:
        return self.folder(key) / "weights.safetensors"

    def _meta(self, key: str) -> dict[str, Any] | None:
        match read_json(self.folder(key) / "meta.json"):
            case {"schema": schema, "sha256": dict(), "result": dict()} as meta if schema == _SCHEMA:
                return meta
            case _:
                return None

    def _damaged_file(self, key: str, meta: dict[str, Any]) -> Path | None:
        """Return a file of a stage that is missing or has another SHA-256 than when it was stored; None if all are."""
        for name, digest in meta["sha256"].items():
            file = self.folder(key) / name
            try:
                if digest_of(file) != digest:
                    return file
            except OSError:
                return file
        return None
