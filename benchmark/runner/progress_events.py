"""What happens while a plan is prepared and executed, for whoever shows it. `folder` names the row: `base/seed0`."""

from dataclasses import dataclass

from benchmark.runner.stage_store import StageResult
from benchmark.training.loop import Progress
from reports.schema import Record


@dataclass(frozen=True)
class DataReady:
    """`done` of `total` pairs of a split are decoded or rendered."""

    split: str
    done: int
    total: int


@dataclass(frozen=True)
class NetworkMeasured:
    """`done` of `total` different networks have their gates judged; `folder`: a row that has the last one."""

    folder: str
    done: int
    total: int


@dataclass(frozen=True)
class RowStarted:
    folder: str


@dataclass(frozen=True)
class GatesChecked:
    """One line per gate, for people."""

    folder: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class StageReused:
    folder: str
    result: StageResult


@dataclass(frozen=True)
class StageAwaited:
    """Another process trains the stage `name`; told once."""

    folder: str
    name: str


@dataclass(frozen=True)
class StageProgress:
    folder: str
    key: str
    progress: Progress


@dataclass(frozen=True)
class StageFinished:
    folder: str
    result: StageResult


@dataclass(frozen=True)
class ImageScored:
    folder: str
    done: int
    total: int


@dataclass(frozen=True)
class RowFinished:
    """`message` says in one line what came out."""

    folder: str
    record: Record
    message: str


@dataclass(frozen=True)
class RowSkipped:
    """The row's record is finished and belongs to this plan."""

    folder: str


Event = (
    DataReady
    | NetworkMeasured
    | RowStarted
    | GatesChecked
    | StageReused
    | StageAwaited
    | StageProgress
    | StageFinished
    | ImageScored
    | RowFinished
    | RowSkipped
)
