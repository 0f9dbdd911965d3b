"""The store of trained stages: weights under the hash of all that made them.

A stage is finished when its `meta.json` is there, which is written last and holds the SHA-256 of the files beside it
and of its own content. A stage that is no longer what was stored is set aside, below `.damaged`, and trained again.
Failures are never stored. The process that trains a stage holds its lease, so several commands may share a store, and
every stage is trained once.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmark.errors import RecordError
from benchmark.evaluation.evaluate import Summary
from benchmark.experiment.plan import hash_of
from benchmark.files import create_json, digest_of, read_json, write_csv
from benchmark.lease import BEAT_SECONDS, STALE_SECONDS, Lease, LeaseFolder, LeaseLost
from benchmark.model.weight_files import read_weights, write_weights
from benchmark.training.train_state import CurveRow

_SCHEMA = 3
STATE = "state.pt"
"""Name of the file with the train state of an unfinished stage."""


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
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])
    """Where, when, by what versions and for which row it was trained, or trained to its end if it was interrupted."""


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
        stage = self._read(key, verify=verify)
        return stage if isinstance(stage, StageResult) else None

    def damaged_file(self, key: str, *, verify: bool = False) -> Path | None:
        """Return a file of a once finished stage that is missing or is not what was stored; None if all are sound.

        Args:
            key: Hash of all that makes the stage.
            verify: Compare the SHA-256 of the files, too, not their sizes alone.
        """
        stage = self._read(key, verify=verify)
        return stage if isinstance(stage, Path) else None

    def weights(self, key: str) -> dict[str, Tensor]:
        """Return the weights of a finished stage. Raises RecordError if its files are missing or damaged."""
        if file := self.damaged_file(key, verify=True):
            raise RecordError(f"{file}: is missing or is not what was stored; the next run trains the stage again")
        return read_weights(self._weights_file(key))

    def curve_file(self, key: str) -> Path:
        """Return the path of a CSV file with `step,name,value`."""
        return self.folder(key) / "curve.csv"

    def state_file(self, key: str) -> Path:
        """Return the path of the train state of an unfinished stage, whose folder is made if need be."""
        self.folder(key).mkdir(parents=True, exist_ok=True)
        return self.folder(key) / STATE

    def set_aside(self, lease: Lease) -> Path | None:
        """Move a damaged stage out of the way, to `.damaged/KEY.N`; return its damaged file, None if none is damaged.

        Args:
            lease: Of the stage; N is its number.
        """
        file = self.damaged_file(lease.name, verify=True)
        if file is not None:
            aside = self._aside(lease)
            aside.parent.mkdir(exist_ok=True)
            self.folder(lease.name).rename(aside)
        return file

    def set_state_aside(self, lease: Lease) -> None:
        """Move the damaged train state of an unfinished stage to `.damaged/KEY.N`, as `set_aside` moves a stage."""
        aside = self._aside(lease)
        aside.mkdir(parents=True, exist_ok=True)
        self.state_file(lease.name).rename(aside / STATE)

    def tidy(self, key: str) -> None:
        """Remove half files that killed processes left, and the train state if the stage is finished."""
        folder = self.folder(key)
        obsolete = [folder / STATE] if (folder / "meta.json").exists() else []
        for file in (*folder.glob(".writing-*"), *obsolete):
            with suppress(OSError):  # in a store that may only be read
                file.unlink()

    def lease(self, key: str) -> AbstractContextManager[Lease | None]:
        """Hold the lease of a stage inside; None while another process has it. Raises as `LeaseFolder.acquire` does."""
        return self._leases.hold(key)

    def holder(self, key: str) -> str | None:
        """Return who trains a stage now, for people; None if nobody does."""
        return self._leases.holder(key)

    @contextmanager
    def claim(self, key: str, on_wait: Callable[[str], None]) -> Generator[Lease | None]:
        """Hold the lease of an unfinished stage inside; None once it is finished. See `LeaseFolder.claim`."""
        try:
            with self._leases.claim(key, lambda: self.finished(key, verify=True) is not None, on_wait) as lease:
                yield lease
        except LeaseLost:
            self.tidy(key)  # this process may have been paused while it wrote the state
            raise

    def publish(self, lease: Lease, result: StageResult, restorer: nn.Module, curve: Sequence[CurveRow]) -> None:
        """Store a finished stage; it is visible to all once the last file, `meta.json`, is written.

        That file is created, never replaced: of two processes that think they own the lease, one publishes.

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
            "fencing_number": lease.number,
            "files": {file.name: {"bytes": file.stat().st_size, "sha256": digest_of(file)} for file in files},
            "result": asdict(result),
        }
        lease.check()
        try:
            create_json(folder / "meta.json", {"schema": _SCHEMA, "digest": hash_of(meta), **meta})
        except FileExistsError:
            raise LeaseLost(f"{folder}: another process published this stage while this one was paused") from None
        self.tidy(result.key)

    def folder(self, key: str) -> Path:
        """Return the folder of a stage."""
        return self.root / key

    def _aside(self, lease: Lease) -> Path:
        return self.root / ".damaged" / f"{lease.name}.{lease.number}"

    def _weights_file(self, key: str) -> Path:
        return self.folder(key) / "weights.safetensors"

    def _read(self, key: str, *, verify: bool) -> StageResult | Path | None:
        """Return the result of a finished stage, or a damaged file of it; None if the stage is unfinished."""
        meta_file = self.folder(key) / "meta.json"
        try:
            match read_json(meta_file):
                case {"schema": schema, "digest": digest, **meta} if schema == _SCHEMA and digest == hash_of(meta):
                    files = {self.folder(key) / name: facts for name, facts in meta["files"].items()}
                    damaged = (file for file, facts in files.items() if not _is_sound(file, **facts, verify=verify))
                    return next(damaged, StageResult(**meta["result"]))
                case _:
                    meta_file.open("rb").close()  # raises where it is missing, or may not be read
                    return meta_file
        except FileNotFoundError:
            return None
        except PermissionError as error:  # of another user: not damaged
            raise RecordError(
                f"{error.filename}: this user may not read it; ask its owner for access, or choose another --output"
            ) from None


def _is_sound(file: Path, bytes: int, sha256: str, *, verify: bool) -> bool:
    try:
        return file.stat().st_size == bytes and (not verify or digest_of(file) == sha256)
    except PermissionError:
        raise
    except OSError:
        return False
