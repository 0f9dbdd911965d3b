"""What jobs leave in the folder of a run for those after them: `.jobs/ID.json`, what a job found out or why it failed.

That a stage is trained or a row tested stands in the store and in the record alone.
"""

from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path

from benchmark.files import read_json, write_json
from benchmark.runner.pruning_rules import Validation
from reports.errors import FileFormatError
from reports.schema import Failure, FileModel, GateResult, ModelCost, from_json, to_json


class ValidationNote(FileModel):
    """A validation as JSON has it, in which a value that is no number is left out."""

    step: int
    value: float | None
    images: dict[str, float]

    @classmethod
    def of(cls, validation: Validation) -> "ValidationNote":
        """Return the note of a validation."""
        images = {image: value for image, value in validation.images.items() if isfinite(value)}
        return cls(step=validation.step, value=validation.value if isfinite(validation.value) else None, images=images)

    @property
    def validation(self) -> Validation:
        """The validation."""
        return Validation(self.step, nan if self.value is None else self.value, self.images)


class PruningNote(FileModel):
    """Why a rule ended a stage, after which validation, and how many steps its last process had trained."""

    validation: ValidationNote
    reason: str
    steps: int


class JobNote(FileModel):
    """What a job leaves in the folder of the run for the jobs after it."""

    row: str = ""
    """Folder of the row that it worked for."""
    started: str = ""
    seconds: float = 0.0
    cost: ModelCost | None = None
    gates: tuple[GateResult, ...] = ()
    failure: Failure | None = None
    validations: tuple[ValidationNote, ...] = ()
    """Of a stage that has a rule, in their order."""
    pruning: PruningNote | None = None


@dataclass(frozen=True)
class JobNotes:
    """The notes of all jobs of a run."""

    output: Path
    """Folder of the run."""

    def read(self, id: str) -> JobNote:
        """Return what a job has noted; an empty note if there is none, or none that can be read."""
        try:
            return from_json(JobNote, read_json(self._file(id)))
        except FileFormatError:
            return JobNote()

    def write(self, id: str, note: JobNote) -> None:
        """Note what a job found out."""
        file = self._file(id)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, to_json(note))

    def remove(self, id: str) -> None:
        """Remove the note of a job, if there is one."""
        self._file(id).unlink(missing_ok=True)

    def _file(self, id: str) -> Path:
        return self.output / ".jobs" / f"{id}.json"
