"""The files of a run as types: record, plan with its claims, tuning, rungs, search and confirm, all .json.

This is their only definition: the harness writes the files with these models, reports read them with the same. A file
of another schema version is refused with a line that says so; `tools/migrate_records.py` brings files of schema 1 to
schema 2.

The claims in plan.json are those of the experiment file, word for word: one set of models serves both.
"""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from reports.errors import FileFormatError
from reports.file_access import read_text
from reports.metrics import IMAGE_METRICS, Direction
from reports.sealing import unsealed

SCHEMA = 2
"""Version of all files below."""

BASELINES = ("identity", "affine", "closing")
"""Rows that need no training and stand in every experiment."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
RUN_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""Of an experiment: its name is that of its folder, too."""
"""Of names that a file gives: those of claims and of further test sets."""

PHOTOGRAPHS = "photographs"
"""The further test set that every experiment has whose damage is drawn, unless its file says otherwise."""
MORE_TESTS = "more_tests"
"""Folder with a folder for each test set beside `test`: in a row its restored images, in `pairs` its pairs."""
CLASSICAL_BASELINES = ("non_local_means", "wavelet", "bilateral")
"""Denoisers that need no training and stand where an experiment names them."""

LARGEST = 2.0**62
"""Largest number in a file: seeds fit into 64 bits, and squares of sums of scores are finite."""

Json = Mapping[str, Any]
Number = int | float
Status = Literal["done", "rejected", "failed"]
Runtime = Literal["eager", "channels_last", "compiled", "onnxruntime", "openvino", "cuda_graph", "tensorrt"]
"""Ways to run a network for inference; `benchmark.inference.runtimes` has them."""
Dtype = Literal["float32", "float16", "bfloat16"]
GateOutcome = Literal["passed", "failed", "inconclusive", "not_measured"]
ClaimOutcome = Literal["holds", "refuted", "not resolved"]
MetricName = Annotated[str, WithJsonSchema({"anyOf": [{"enum": [*IMAGE_METRICS]}, {"type": "string"}]})]
"""Name of a built-in metric or of one of a plugin; editors offer the built-in ones."""


class FileModel(BaseModel):
    """Strict and frozen: an unknown key is an error, and so is a number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class VersionedFile(FileModel):
    """A whole file, which says its schema version first."""

    schema_version: Literal[2] = Field(default=SCHEMA, alias="schema")


class Failure(FileModel):
    """Why a row failed or was rejected; `stage` and `step` where its training diverged."""

    message: str
    stage: str | None = None
    step: int | None = None


class GateResult(FileModel):
    """One limit, what was measured against it, and the outcome."""

    name: str
    quantity: str
    limit: Number
    measured: Number | None
    unit: str
    result: GateOutcome
    protocol: dict[str, Any]
    """How it was measured."""
    reject: bool = False
    """Whether a row that fails this gate is not trained."""
    estimate: Any = None
    interval: tuple[float, float] | None = None
    """95 % interval of what was measured; None where it was measured once or is exact."""


class ModelCost(FileModel):
    """What the network of a row is and costs. `macs`: multiply-adds for one image of `macs_shape` (N, C, H, W)."""

    backbone: str = ""
    head: str = ""
    params: int
    macs: int
    macs_shape: tuple[int, ...]
    weight_bytes: dict[str, int]
    """Bytes of the exported weights by dtype; `int8`: of the ONNX file of a network that is shipped in 8 bits."""
    citations: tuple[str, ...] = ()
    presets: dict[str, tuple[GateResult, ...]] = {}
    """Preset of gates -> what is counted under its limits, whether the experiment has them or not; see `list gates`."""

    @property
    def file_bytes(self) -> int | None:
        """Bytes of the file that is shipped: in 8 bits where there is such a file, else the weights in float32."""
        return self.weight_bytes.get("int8", self.weight_bytes.get("float32"))


class StageRecord(FileModel):
    """One finished stage of one row and seed."""

    name: str
    key: str
    reused: bool
    """Whether it was in the store before this row needed it."""
    steps: int
    seconds: float | None = None
    images_per_second: float | None = None
    peak_memory_bytes: int | None = None
    """Of the GPU, or of the process."""
    val: dict[str, float]
    """Metric -> mean over the validation images after the stage."""
    skipped_steps: int = 0
    """Of `steps`, those undone because loss or gradient were not finite."""
    late_gain_psnr: float | None = None
    """dB that the last fifth of its steps added on val."""
    identity_psnr: float | None = None
    """PSNR of the degraded val images as they are."""
    repeatable: bool | None = None
    """Whether a step gave the same bits twice on this GPU; None on the CPU, where it does."""
    provenance: dict[str, Any] = {}
    """Where, when, by what versions and for which row it was trained: not always for this one, nor on its machine."""


class Score(FileModel):
    """Mean, standard deviation and number of images of one metric on one split."""

    mean: float
    std: float | None
    n: int


class MetricFacts(FileModel):
    """What reports must know of a metric that not every row has."""

    unit: str = ""
    direction: Direction
    meaning: str = ""
    decimals: Annotated[int, Field(ge=0, le=9)] = 4


class ArtefactCheck(FileModel):
    """An exported file in a runtime, on one image: what it differs from torch, loses and takes."""

    runtime: str
    image: tuple[int, int]
    """Height and width."""
    levels: Number
    """Largest difference to torch's image, of 255."""
    loss_db: Number
    milliseconds: Number


class Artefact(FileModel):
    """A file that was exported from the weights of a record."""

    file: str
    """Its name when it was written; it may lie anywhere."""
    format: Literal["safetensors", "onnx"]
    dtype: Dtype
    bytes: int
    sha256: str
    checks: tuple[ArtefactCheck, ...] = ()


class Record(VersionedFile):
    """record.json: one row and seed. Baselines have no seed, model, gates or stages."""

    experiment: str
    row: str
    tables: tuple[str, ...]
    seed: int | None
    status: Status
    config: dict[str, Any]
    config_hash: str
    provenance: dict[str, Any]
    model: ModelCost | None = None
    gates: tuple[GateResult, ...] = ()
    stages: tuple[StageRecord, ...] = ()
    scores: dict[str, dict[str, Score]] = {}
    """split (`test`, `val` or a further test set such as `photographs`) -> metric -> score"""
    metrics: dict[str, MetricFacts] = {}
    """Facts of the metrics that not every row has: of those that the experiment names, and of plugins."""
    skin_tones: dict[str, float] = {}
    """Test image -> typology angle of the face in degrees, where the source knows it."""
    error: Failure | None = None
    stopped_at: int | None = None
    """Seeds at the interim analysis after which its row stopped, resolved; None: it did not stop."""
    published_in: str = ""
    """Name of the published study that it was taken from: it has scores, but no weights and images beside it."""
    files: dict[str, str] = {}
    """File beside the record, as a path relative to its folder -> SHA-256. Records of earlier versions have none."""
    artefacts: tuple[Artefact, ...] = ()
    """Files that were exported from its weights, the latest of each name."""

    @property
    def reason(self) -> str:
        """Why the row failed or was rejected; empty where it is done."""
        return self.error.message if self.error else ""


class PlannedStage(FileModel):
    """A stage as it was planned."""

    name: str
    steps: int
    keys: dict[str, str]
    """Seed -> key in the store of stages."""


class PlanRow(FileModel):
    """A row as it was planned. Baselines need no training and have the one seed `None`."""

    row: str
    table: str | None
    kind: Literal["trained", "baseline"]
    seeds: tuple[int | None, ...]
    """With interim analyses: those that it has been given so far."""
    stopped_at: int | None = None
    """Seeds at the interim analysis after which the row stopped, resolved; None: it did not stop."""
    config_hashes: dict[str, str] = {}
    """Seed -> hash that the record of that seed must have; of a baseline with the empty text in place of a seed."""
    stages: tuple[PlannedStage, ...] = ()
    network: str = ""
    """Identifies the network with its gates: rows that agree in it are measured once."""
    inputs: dict[str, str] = {}
    """What its keys and hashes depend on beside the recipe -> digest: `data.train`, `backbone nafnet`, ..."""
    recipe: dict[str, Any] = {}
    """All settings of the row, as in an experiment file in the folder of the run; none in a published study."""


class InterimPlan(FileModel):
    """Interim analyses that were fixed before the run: after each, rows that are resolved stop."""

    seeds: tuple[Annotated[int, Field(ge=2)], ...] = Field(min_length=1)
    """Seeds at each analysis, rising; the last are the most that a row may have."""
    exponent: float = Field(gt=0)
    """Of the share of the seeds, which gives the share of the error rate that is spent."""

    @field_validator("seeds")
    @classmethod
    def _check_rising(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if any(later <= earlier for earlier, later in pairwise(seeds)):
            raise ValueError("must rise")
        return seeds


class Claim(FileModel):
    """What every claim says, whatever its form."""

    id: Annotated[str, Field(pattern=NAME_PATTERN)]
    text: str = Field(min_length=1, description="the claim in words, as it was made")
    reading: str = Field(default="", description="how the words are read where they leave it open")
    expected: ClaimOutcome | None = Field(
        default=None, description="what records gave before; `claims --check` fails where they give something else"
    )


class BetterClaim(Claim):
    """One row is better than another, or than each of several, by at least or at most so much."""

    better: str = Field(description="a row: base, identity, TABLE.ROW, ...")
    worse: str | Annotated[list[str], Field(min_length=1)] = Field(description="the row or rows it is compared with")
    metric: MetricName | None = Field(default=None, description="null: report.primary")
    by: float | None = Field(
        default=None,
        description="better by more than this, in the metric's unit; null: 0, or no limit beside at_most",
    )
    at_most: float | None = Field(default=None, description="better by no more than this; null: by anything")

    @property
    def rivals(self) -> tuple[str, ...]:
        """The rows that `better` is compared with."""
        return (self.worse,) if isinstance(self.worse, str) else tuple(self.worse)

    @property
    def above(self) -> float | None:
        """The gain that must be exceeded; None where only `at_most` limits it."""
        return 0.0 if self.by is None and self.at_most is None else self.by

    @field_validator("at_most")
    @classmethod
    def _check_above(cls, at_most: float | None, info: ValidationInfo) -> float | None:
        by = info.data.get("by")
        if by is not None and at_most is not None and by >= at_most:
            raise ValueError("must be above by")
        return at_most


class EquivalentClaim(Claim):
    """Two rows differ by no more than a margin."""

    equivalent: Annotated[list[str], Field(min_length=2, max_length=2, description="two rows")]
    metric: MetricName | None = Field(default=None, description="null: report.primary")
    equivalence_margin: float | None = Field(
        default=None, gt=0, description="in the metric's unit; null: report.equivalence_margin"
    )


class Within(FileModel):
    """A row and one of its gates."""

    row: str
    gate: str = Field(description="one of the row's gates")


class WithinClaim(Claim):
    """A row keeps the limit of a gate."""

    within: Within


class Front(FileModel):
    """A row, its rivals and a cost."""

    row: str
    among: str = Field(description="a table: its rows are the rivals")
    cost: str = Field(description="macs, or the name of a latency gate")


class FrontClaim(Claim):
    """No rival of a table is at once as cheap as a row and surely better."""

    front: Front
    metric: MetricName | None = Field(default=None, description="null: report.primary")


_FORMS = {"better": BetterClaim, "equivalent": EquivalentClaim, "within": WithinClaim, "front": FrontClaim}


def _form(claim: Any) -> str | None:
    """Return the form of a claim by the key that it has; None where it has none of them."""
    given = claim if isinstance(claim, dict) else vars(claim) if isinstance(claim, Claim) else {}
    return next((kind.__name__ for key, kind in _FORMS.items() if key in given), None)


# A tag must not be a key of a claim, or an error's place could not be told from it.
AnyClaim = Annotated[
    Annotated[BetterClaim, Tag("BetterClaim")]
    | Annotated[EquivalentClaim, Tag("EquivalentClaim")]
    | Annotated[WithinClaim, Tag("WithinClaim")]
    | Annotated[FrontClaim, Tag("FrontClaim")],
    Discriminator(
        _form,
        custom_error_type="claim_without_form",
        custom_error_message=f"a claim needs one of {', '.join(_FORMS)}",
    ),
]


class PlanFile(VersionedFile):
    """plan.json: what a run is meant to do."""

    experiment: str
    primary: str
    """The metric rows are ranked by."""
    equivalence_margin: float
    """Smallest difference of the primary metric that matters, in its unit."""
    seeds: tuple[int, ...]
    environment: dict[str, Any] = {}
    """Engine, device type and torch version, which keys depend on."""
    experiment_folder: str = "."
    """Folder of the experiment file, relative to that of the run: paths in records are relative to it."""
    rows: tuple[PlanRow, ...]
    chosen: tuple[str, ...] | None = None
    """Folders (`<row>/seed<k>`) of the rows and seeds that were chosen by --rows and --seeds; None: all of them."""
    interim: InterimPlan | None = None
    """None: all rows have all seeds, and there is one analysis."""
    claims: tuple[AnyClaim, ...] = ()
    metrics: tuple[str, ...] = ()
    """Metrics that the experiment names, beside those of every row."""
    command: str = ""

    @model_validator(mode="after")
    def _check_claims(self) -> Self:
        rows, tables = {row.row for row in self.rows}, {row.table for row in self.rows}
        for claim in self.claims:
            unknown = [row for row in rows_of(claim) if row not in rows]
            if unknown:
                raise ValueError(f"claim {claim.id!r} is about row {unknown[0]!r}, which the plan lacks")
            if isinstance(claim, FrontClaim) and claim.front.among not in tables:
                raise ValueError(f"claim {claim.id!r} is about table {claim.front.among!r}, which the plan lacks")
        return self


def rows_of(claim: AnyClaim) -> tuple[str, ...]:
    """Return the rows that a claim names; the rivals of a front are named by their table."""
    match claim:
        case BetterClaim():
            return (claim.better, *claim.rivals)
        case EquivalentClaim():
            return tuple(claim.equivalent)
        case WithinClaim():
            return (claim.within.row,)
        case FrontClaim():
            return (claim.front.row,)


class TunedCandidate(FileModel):
    """What one candidate of a row reached on val; None where it diverged, failed or has yet to run."""

    candidate: str
    value: float | None


class TunedRow(FileModel):
    """The candidates of a row in the order of the experiment file.

    `chosen`: the best; None as long as one has no result, and where all diverged.
    """

    row: str
    chosen: str | None
    candidates: tuple[TunedCandidate, ...]


class TuningFile(VersionedFile):
    """tuning.json: what the candidates reached in `metric` on val, all with one seed."""

    metric: str
    seed: int
    rows: tuple[TunedRow, ...]


RUNGS = "rungs.json"


class RungEntry(FileModel):
    """A rung of a run: all rows with a share of their steps, as a run in a folder of its own."""

    steps: str
    """Share of the steps, e.g. 1/16; 1 for the experiment as it is written."""
    lr: Number = 1.0
    """What every learning rate is multiplied by."""
    seeds: int | None = None
    """How many of the seeds it has, from the first; None: all."""
    folder: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    """Name of its folder, beside the one with this file."""


class RungsFile(VersionedFile):
    """rungs.json: the rungs of a run with `scales`, from the smallest; the same file in the folder of each rung."""

    device: str
    """Name of the device, on which the first rungs depend."""
    rungs: tuple[RungEntry, ...]


class StageSteps(FileModel):
    """A stage of a trial: its steps, and how many of them were done when the trial ended."""

    key: str
    steps: int
    done: int


class SearchSteps(FileModel):
    """Steps of a search, and those that it saved against one that trains every trial from its first step to its last.

    Trials that failed or were interrupted are not counted: others stand in their place.
    """

    trained: int
    """Steps in the tree of stages: a stage that several trials have counts once."""
    shared: int = 0
    """Saved since trials share stages."""
    pruned: int = 0
    """Saved since trials were ended early."""
    rejected: int = 0
    """Saved since trials that fail a gate are not trained."""

    @property
    def plain(self) -> int:
        """Steps of a search without any of this."""
        return self.trained + self.shared + self.pruned + self.rejected


class Objective(FileModel):
    """One of several quantities that a search optimises."""

    name: str
    label: str
    unit: str
    direction: Direction
    decimals: Annotated[int, Field(ge=0, le=9)]


class SearchedParameter(FileModel):
    """The domain of a parameter: a range, or choices."""

    path: str
    base: Any
    low: Number | None = None
    high: Number | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()


class Importance(FileModel):
    """Share of a parameter in what the metric varies with, and its 90 % interval over trials drawn anew."""

    path: str
    share: float
    low: float
    high: float


class SearchedTrial(FileModel):
    """What trials.csv does not hold of a trial. `validations`: steps of its row and the metric on val."""

    number: int
    validations: tuple[tuple[int, float], ...] = ()
    objectives: dict[str, float] = {}
    stages: tuple[StageSteps, ...] = ()


class SearchFile(VersionedFile):
    """search.json: what the trials of a search are compared by, and what trials.csv does not hold of them."""

    metric: str
    facts: MetricFacts | None = None
    """None for a metric of every row."""
    sampler: str = ""
    pruner: str = ""
    seed: int | None = None
    """The seed of all trials."""
    objectives: tuple[Objective, ...] = ()
    """Where there are several."""
    front: tuple[int, ...] = ()
    """With several objectives, the trials that no other is at least as good as in all of them, by number."""
    pick: str = ""
    """How the trial of best.yaml was picked from the front."""
    picked: int | None = None
    parameters: tuple[SearchedParameter, ...] = ()
    steps: SearchSteps | None = None
    importances: tuple[Importance, ...] = ()
    trials: tuple[SearchedTrial, ...] = ()


class GainInterval(FileModel):
    """The gain of a trial over the base row, higher is better, and its 95 % interval."""

    difference: float
    low: float
    high: float


class ConfirmedTrial(FileModel):
    """What fresh seeds say of a trial on val: either a verdict, or the reason why there is none."""

    trial: int
    gain: GainInterval | None = None
    verdict: str | None = None
    reason: str = ""


class ConfirmFile(VersionedFile):
    """confirm.json: the best trials of a search against its base row, with seeds that no trial had."""

    metric: str
    margin: float
    """Smallest gain that matters, in the unit of the metric."""
    seeds: tuple[int, ...]
    rows: dict[str, str]
    """Folder of each row and seed -> hash of its configuration."""
    trials: tuple[ConfirmedTrial, ...]
    """The best of the search first."""
    winner: int | None
    """The trial with the largest proven gain; None: none is proven."""
    test: GainInterval | None = None
    """Of the winner. Without a winner test was not read."""


AnyModel = TypeVar("AnyModel", bound=FileModel)


def to_json(content: FileModel) -> dict[str, Any]:
    """Return what a file holds, as plain data for a JSON writer."""
    return content.model_dump(mode="json", by_alias=True)


def from_json(model: type[AnyModel], data: Json) -> AnyModel:
    """Return plain data from JSON as a model.

    Raises:
        FileFormatError: One line that names the field and what is wrong with it.
    """
    try:
        return model.model_validate_json(json.dumps(data))
    except RecursionError:
        raise FileFormatError("is nested too deeply") from None
    except ValidationError as error:
        raise FileFormatError(explain(error)) from None


def loads(text: str) -> Any:
    """Return parsed JSON. NaN is refused, and so are numbers that no measurement has: sums of them would overflow.

    Raises:
        FileFormatError: One line.
    """
    try:
        return json.loads(text, parse_constant=_number, parse_int=_number, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"not readable as JSON ({error})") from None


def read(model: type[AnyModel], file: Path) -> AnyModel:
    """Return the content of a file.

    Raises:
        FileFormatError: One line; the caller adds the file's name.
    """
    return parse(model, read_json(file))


def read_json(file: Path) -> Any:
    """Return the JSON in a file. Raises as `read` does."""
    try:
        return loads(read_text(file))
    except OSError as error:
        raise FileFormatError(f"cannot be read ({error.strerror})") from None
    except UnicodeError as error:
        raise FileFormatError(f"not readable as JSON (no UTF-8: {error})") from None


def parse(model: type[AnyModel], data: Any) -> AnyModel:
    """Return parsed JSON as the content of a file, once schema version and digests fit. Raises as `read` does."""
    if not isinstance(data, dict):
        raise FileFormatError(f"holds a JSON {type(data).__name__}, not an object")
    if data.get("schema") != SCHEMA:
        advice = "; bring it to schema 2 by tools/migrate_records.py" if data.get("schema") == 1 else ""
        raise FileFormatError(f"schema is {data.get('schema')!r}; this version reads schema {SCHEMA}{advice}")
    return from_json(model, unsealed(data))


def _number(word: str) -> int | float:
    """Return a number; JSON has no NaN, and nothing that is measured is beyond these limits."""
    if word in ("NaN", "Infinity", "-Infinity"):
        raise ValueError(f"{word} is not JSON")
    if abs(float(word)) > LARGEST:
        raise ValueError(f"{word[:24]}... is too large a number")
    return float(word) if set(word) & set(".eE") else int(word)


def explain(error: ValidationError) -> str:
    """Return the first two mistakes in one line, each with its field."""
    mistakes = error.errors()
    lines = [_explain_one(".".join(map(str, item["loc"])), item) for item in mistakes[:2]]
    return " ".join("; ".join([*lines, *([f"{len(mistakes) - 2} more"] if len(mistakes) > 2 else [])]).split())


def _explain_one(field: str, mistake: Any) -> str:
    message = mistake["msg"].removeprefix("Value error, ")
    by_type = {"missing": f"has no {field!r}", "extra_forbidden": f"{field!r} is no field of it"}
    default = f"{field} is {str(mistake['input'])[:60]!r}: {message}" if field else message
    return by_type.get(mistake["type"], default)
