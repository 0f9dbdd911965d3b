"""What happens while a plan is prepared and executed, for whoever shows it."""

from dataclasses import dataclass

from benchmark.execution.store import StageResult
from benchmark.training.fit import Progress


@dataclass(frozen=True)
class DataReady:
    """`done` of `total` pairs of a split are decoded or rendered."""

    split: str
    done: int
    total: int


@dataclass(frozen=True)
class RowStarted:
    folder: str


@dataclass(frozen=True)
class GatesChecked:
    """One line per gate, for people."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class StageReused:
    result: StageResult


@dataclass(frozen=True)
class StageProgress:
    key: str
    progress: Progress


@dataclass(frozen=True)
class StageFinished:
    result: StageResult


@dataclass(frozen=True)
class ImageScored:
    done: int
    total: int


@dataclass(frozen=True)
class RowFinished:
    """`status`: done, rejected or failed; `message` says in one line what came out."""

    folder: str
    status: str
    message: str


@dataclass(frozen=True)
class RowSkipped:
    """The row's record is finished and belongs to this plan."""

    folder: str


Event = (
    DataReady
    | RowStarted
    | GatesChecked
    | StageReused
    | StageProgress
    | StageFinished
    | ImageScored
    | RowFinished
    | RowSkipped
)
