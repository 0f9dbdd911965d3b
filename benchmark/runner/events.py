"""What happens in a run, as events for one callback. `folder` names the row and seed: `base/seed0`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark.runner.pruning_rules import Validation
from benchmark.runner.stage_store import StageResult
from benchmark.training.loop import Progress
from reports.schema import Failure, GateResult, ModelCost, Record


@dataclass(frozen=True)
class DataReady:
    """`done` of `total` pairs of a split are decoded or rendered."""

    split: str
    done: int
    total: int


@dataclass(frozen=True)
class NetworkMeasured:
    """The cost and gates of `done` of `total` different networks are known; `folder`: a row that has the last one."""

    folder: str
    done: int
    total: int


@dataclass(frozen=True)
class RowStarted:
    """The first job of a row has started."""

    folder: str


@dataclass(frozen=True)
class GatesChecked:
    """The results of a row's gates, one line each, for people."""

    folder: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class StageReused:
    """A row uses a stored stage, which it did not train in this run."""

    folder: str
    result: StageResult


@dataclass(frozen=True)
class StageAwaited:
    """Another process, `owner`, trains the stage `name`; reported once."""

    folder: str
    name: str
    owner: str


@dataclass(frozen=True)
class StageDamaged:
    """`file` of the stage `name`, finished or not, was not what was stored; it is set aside, and trained again."""

    folder: str
    name: str
    file: Path


@dataclass(frozen=True)
class StageProgress:
    """How far the training of a stage is."""

    folder: str
    key: str
    progress: Progress


@dataclass(frozen=True)
class StageFinished:
    """A stage was trained and stored. `steps`: those of this process, without those of a stored state."""

    folder: str
    result: StageResult
    steps: int


@dataclass(frozen=True)
class StageValidated:
    """The row of a trial was scored on val in a stage, or after it."""

    folder: str
    key: str
    validation: Validation


@dataclass(frozen=True)
class StagePruned:
    """A stage was ended before its last step; its train state is stored. `steps`: those of this process."""

    folder: str
    key: str
    steps: int


@dataclass(frozen=True)
class ImageScored:
    """`done` of `total` test images are restored and scored."""

    folder: str
    done: int
    total: int


@dataclass(frozen=True)
class RowAwaited:
    """Another process, `owner`, tests the row, in the same folder; reported once."""

    folder: str
    owner: str


@dataclass(frozen=True)
class RowFinished:
    """The record of a row is written; `message` gives its outcome in one line."""

    folder: str
    record: Record
    message: str


@dataclass(frozen=True)
class JobStarted:
    """A device has begun a job of a row: `work` is the name of a stage, "test" or "measure"."""

    folder: str
    work: str
    device: str
    """Name of the device, with a number where several workers share it: `cuda:0`, `cpu 2`."""


@dataclass(frozen=True)
class JobEnded:
    """A device has no job any more."""

    folder: str
    device: str


@dataclass(frozen=True)
class JobRetried:
    """The process of a job died for a reason, and the job is tried again."""

    folder: str
    reason: str


@dataclass(frozen=True)
class JobsCounted:
    """How many jobs of the run wait, run, and have ended, well or not."""

    waiting: int
    running: int
    ended: int


Event = (
    DataReady
    | NetworkMeasured
    | RowStarted
    | GatesChecked
    | StageReused
    | StageAwaited
    | StageDamaged
    | StageProgress
    | StageFinished
    | StageValidated
    | StagePruned
    | ImageScored
    | RowAwaited
    | RowFinished
    | JobStarted
    | JobEnded
    | JobRetried
    | JobsCounted
)
"""What a display shows."""


@dataclass(frozen=True)
class MeasuredModel:
    """The cost of an untrained network and the results of its gates; the same for all seeds of a row."""

    cost: ModelCost
    gates: tuple[GateResult, ...]


@dataclass(frozen=True)
class JobFinished:
    """A job has done its work. `measured`: the result of a MeasureNetwork."""

    job: str
    seconds: float
    measured: MeasuredModel | None = None


@dataclass(frozen=True)
class JobFailed:
    """A job raised an exception."""

    job: str
    failure: Failure
    traceback: str


@dataclass(frozen=True)
class JobDied:
    """The process of a job died, or lost its right to the stage: the job may be tried again."""

    job: str
    reason: str


@dataclass(frozen=True)
class JobPruned:
    """A rule ended the training of a stage for the row that it was started for."""

    job: str
    validation: Validation
    reason: str


@dataclass(frozen=True)
class JobStopped:
    """A job met a full disk or a store that cannot be written, so no other job could go on either: the run stops."""

    job: str
    error: OSError


JobEvent = JobFinished | JobFailed | JobDied | JobPruned | JobStopped
"""How a job ended."""

OnEvent = Callable[[Event], None]
OnAnyEvent = Callable[[Event | JobEvent], None]
