"""The experiment file as types: settings, their ranges and their defaults.

The options of components (backbones, heads, losses, augmentations, sources) are open here; `resolve` checks them
against the constructor of the component.
"""

from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from benchmark.experiment.adaptive_seeds import AnySeeds
from benchmark.experiment.compression import Compression
from benchmark.experiment.scales import Promotion, Scale, check_scales
from benchmark.experiment.search_settings import SearchSettings
from benchmark.experiment.stage import OpenSettings, Seed, Settings, Side, Stage
from reports.schema import NAME_PATTERN, PHOTOGRAPHS, RUN_NAME_PATTERN, AnyClaim, Dtype, MetricName, Runtime

Threads = Annotated[int, Field(gt=0, le=1024)]


class Component(OpenSettings):
    """A component by name; the other keys are its options."""

    name: str


class BackboneSpec(Component):
    """A backbone by name, perhaps with a named size; the other keys are its options."""

    size: str | None = Field(
        default=None, description="a named configuration of the backbone; other options replace its values"
    )


class SourceSpec(OpenSettings):
    """A source of pairs by name; the other keys are its options."""

    source: str


SPLITS = ("train", "val", "test")


class Data(Settings):
    """Sources of pairs: train for training, val for validation, test for the final scores of a row."""

    train: SourceSpec
    val: SourceSpec
    test: SourceSpec
    more_tests: dict[Annotated[str, Field(pattern=NAME_PATTERN)], SourceSpec] = Field(
        default={}, description="further test sets by name; claims read their scores as METRIC@NAME"
    )

    @field_validator("more_tests")
    @classmethod
    def _check_names(cls, more_tests: dict[str, SourceSpec]) -> dict[str, SourceSpec]:
        if taken := [name for name in (*SPLITS, PHOTOGRAPHS) if name in more_tests]:
            where = "at the top of the file" if taken[0] == PHOTOGRAPHS else "beside more_tests"
            raise ValueError(f"{taken[0]} has a key of its own {where}; give this test set another name")
        return more_tests


class PhotographSettings(OpenSettings):
    """Options of the source `photographs`: folder, count, size, versions, preset, seed, mask_folder."""


class Model(Settings):
    """Backbone, head and the weights that training starts from."""

    backbone: BackboneSpec
    head: Component
    weights: str | None = Field(
        default=None,
        description="a published checkpoint of the backbone, or the folder of a trained row: what training starts from",
    )
    compress: Compression | None = Field(
        default=None, description="make the network smaller: {int8: {}}, {prune: {channels: 0.3}}, {distil: ROW}"
    )


class WeightsFile(Settings):
    """A file of weights and the SHA-256 of its content."""

    file: str
    sha256: str


class ResolvedModel(Settings):
    """A model with every option of its backbone and head filled in (a named size is replaced by its options)."""

    backbone: Component
    head: Component
    weights: WeightsFile | None = None
    compress: Compression | None = None

    @property
    def architecture(self) -> "ResolvedModel":
        """The model without its file of weights, for a network that gets other weights; not compressed."""
        return self.model_copy(update={"weights": None, "compress": None})

    @property
    def compression(self) -> Compression:
        """What is done to the network; nothing where the model has no `compress`."""
        return self.compress or Compression.model_construct()

    def as_config(self) -> dict[str, Any]:
        """Return plain data for the record; without the keys `weights` and `compress` where they say nothing."""
        config = {"backbone": self.backbone.model_dump(mode="json"), "head": self.head.model_dump(mode="json")}
        for name, part in (("weights", self.weights), ("compress", self.compress)):
            config |= {name: part.model_dump(mode="json", exclude_none=True)} if part else {}
        return config

    def identity(self) -> list[Any]:
        """Return what decides the network and its initial weights, before any compression.

        The content of the file of weights counts, not where it lies.
        """
        return [self.architecture.as_config(), self.weights.sha256 if self.weights else None]


class Protocol(BaseModel):
    """Stages by name, and the order in which they run."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Stage] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]  # the documented way to type extras
    order: list[str] = Field(description="may be empty where model.weights are tested as they are")

    @property
    def stages(self) -> dict[str, Stage]:
        """Stages by name."""
        return self.__pydantic_extra__


class Gate(Settings):
    """What all gates have in common."""

    reject: bool = Field(default=False, description="true: a row that fails this gate is recorded and not trained")


class SizeGate(Gate):
    """Bytes of the exported file."""

    quantity: Literal["size"] = "size"
    limit_bytes: PositiveInt
    file: Literal["safetensors", "onnx"] = Field(default="safetensors", description="which export is weighed")
    dtype: Literal["float32", "float16"] = "float32"


class ParametersGate(Gate):
    """Number of parameters."""

    quantity: Literal["parameters"] = "parameters"
    limit: PositiveInt


class MacsGate(Gate):
    """Multiply-adds of convolutions and matrix products for one image."""

    quantity: Literal["macs"] = "macs"
    limit: PositiveInt
    image: tuple[Side, Side] = Field(default=(256, 256), description="height and width in pixels")


class ActivationsGate(Gate):
    """Most bytes of feature maps alive at one time while one image is restored in float32; counted, not measured."""

    quantity: Literal["activations"] = "activations"
    limit_bytes: PositiveInt
    image: tuple[Side, Side] = Field(default=(1024, 1024), description="height and width in pixels")


class LatencyGate(Gate):
    """Time of one image, from uint8 on the host to uint8 on the host, of the network folded for inference."""

    quantity: Literal["latency"] = "latency"
    limit_ms: PositiveFloat
    image: tuple[Side, Side] = Field(description="height and width in pixels")
    device: str | None = Field(
        default=None, description="part of the device's name, e.g. V100; null: the machine at hand"
    )
    quantile: Literal["median", "p90", "p99"] = Field(default="p90", description="which calls must keep the limit")
    protocol: Literal["quick", "full", "auto"] = Field(
        default="quick",
        description="quick: seconds, passes only far below the limit; full: fresh processes, a minute or more a "
        "network; auto: quick, and after training full where that left it open",
    )
    runtime: Literal["best", Runtime] = Field(default="eager", description="best: the fastest of those installed")
    dtype: Dtype = "float32"
    threads: Threads | None = Field(default=None, description="null: as many as the command uses")
    tile: Side | None = Field(default=None, description="side of the tiles the image is restored in; null: whole")
    overlap: int = Field(default=32, ge=0, description="by how many pixels tiles overlap")


class GpuMemoryGate(Gate):
    """Most memory torch holds on the GPU while one image is restored."""

    quantity: Literal["gpu_memory"] = "gpu_memory"
    limit_bytes: PositiveInt
    image: tuple[Side, Side] = Field(default=(1024, 1024), description="height and width in pixels")
    device: str | None = Field(default=None, description="part of the GPU's name, e.g. V100; null: the GPU at hand")


class RamGate(Gate):
    """Highest resident memory of the process while one image is restored: Python, torch and the network."""

    quantity: Literal["ram"] = "ram"
    limit_bytes: PositiveInt
    image: tuple[Side, Side] = Field(default=(1024, 1024), description="height and width in pixels")


CountedGate = SizeGate | ParametersGate | MacsGate | ActivationsGate
MeasuredGate = LatencyGate | GpuMemoryGate | RamGate
AnyGate = Annotated[CountedGate | MeasuredGate, Field(discriminator="quantity")]


class RowSettings(Settings):
    """Settings of a row: everything that an override may change."""

    data: Data
    model: Model
    protocol: Protocol
    gates: dict[str, AnyGate] = Field(default={})
    photographs: bool | str | PhotographSettings = Field(
        default=True,
        description="photographs that rows are tested on, too: a folder, or {folder, count, size, versions, preset}; "
        "true: the packaged portraits, the default where a preset draws the damage; false or none: no photographs",
    )

    @field_validator("photographs", mode="before")
    @classmethod
    def _check_form(cls, photographs: Any) -> Any:
        """One line in place of one for each type that the value is not."""
        if isinstance(photographs, str) and photographs.strip():
            return photographs
        if isinstance(photographs, dict) and "source" in photographs:
            raise ValueError("the key source is for data.more_tests; photographs have one source: take the key out")
        if isinstance(photographs, bool | dict | PhotographSettings):
            return cast(Any, photographs)
        raise ValueError("expected true, false, a folder, or settings such as {folder: portraits, count: 8}")

    @model_validator(mode="before")
    @classmethod
    def _gate_quantity_from_name(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("gates"), dict):
            return value
        gates = {
            name: {"quantity": name, **gate} if isinstance(gate, dict) else gate
            for name, gate in value["gates"].items()
        }
        return {**value, "gates": gates}


class Report(Settings):
    """How rows are ranked and compared."""

    primary: MetricName = Field(default="psnr", description="the metric rows are ranked by")
    equivalence_margin: float = Field(
        default=0.1, ge=0, description="smallest difference of the primary metric that matters"
    )


class TuningSettings(Settings):
    """Overrides, e.g. learning rates; each row runs with those that score best on val."""

    candidates: dict[str, dict[str, Any]] = Field(min_length=2, description="name -> {dotted path: value}")
    rows: list[str] = Field(default=["*"], min_length=1, description="which rows, by name or pattern")
    metric: MetricName | None = Field(default=None, description="what they are compared by; null: report.primary")
    seed: Seed | None = Field(default=None, description="the seed they are tried with; null: the first of seeds")


class ExperimentFile(RowSettings):
    """A whole experiment file."""

    name: Annotated[str, Field(pattern=RUN_NAME_PATTERN, description="also the name of its run folder")]
    short_form: str | None = Field(
        default=None, description="a file that asks the same at small scale; named where this one would take days"
    )
    hours: PositiveFloat | None = Field(
        default=None, description="what it is made to take on the machine it is made for; `plan` says whether it fits"
    )
    seeds: AnySeeds = Field(
        default=[0, 1, 2],
        description="a list; or {first: 5, most: 40}: after planned analyses more for rows that are not resolved",
    )
    report: Report = Report()
    baselines: list[Literal["non_local_means", "wavelet", "bilateral"]] = Field(
        default=[], description="classical denoisers to test beside the baselines of every experiment"
    )
    metrics: list[MetricName] = Field(
        default=[], description="metrics to score rows on beside those of every row; `list metrics` has the names"
    )
    tables: dict[str, dict[str, dict[str, Any]]] = Field(
        default={}, description="table -> row -> {dotted path: value}; every row is compared with the base row above"
    )
    claims: list[AnyClaim] = Field(
        default=[], description="statements about rows; the report says which hold, which are refuted, which stay open"
    )
    search: SearchSettings | None = None
    tuning: TuningSettings | None = None
    scales: list[Scale] = Field(
        default=[],
        description="rungs on which `run` trains all rows with a share of their steps, from the smallest to {}, the "
        "experiment as written, with a report after each; none: the experiment as written alone",
    )
    promote: Promotion = Field(
        default="all",
        description="the rows of the next rung, by val scores alone. undecided: those whose difference to base is "
        "open; front: those that no other row beats in quality and multiply-adds. The base row always goes on",
    )

    @field_validator("seeds")
    @classmethod
    def _check_seeds(cls, seeds: AnySeeds) -> AnySeeds:
        if seeds == []:  # not a rule of the list: its place would name the form of `seeds`
            raise ValueError("needs at least one seed")
        return seeds

    @field_validator("scales")
    @classmethod
    def _check_scales(cls, scales: list[Scale]) -> list[Scale]:
        check_scales(scales)
        return scales


def fields_at(path: tuple[str | int, ...]) -> list[str]:
    """Return the names of the settings that exist at a path of an experiment file; none where names are free."""
    return sorted({name for model in _models_at(path) for name in model.model_fields})


def is_open(path: tuple[str | int, ...]) -> bool:
    """Return whether names at a path are free: losses of a stage, rows of a table, options of a component, stages."""
    models = _models_at(path)
    return not models or any(model.model_config.get("extra") == "allow" for model in models)


def _models_at(path: tuple[str | int, ...]) -> list[type[BaseModel]]:
    types: list[Any] = [ExperimentFile]
    for part in path:
        types = [below for kind in types for below in _below(kind, part)]
    return [model for kind in types for model in _models(kind)]


def _below(kind: Any, part: str | int) -> list[Any]:
    fields = [field.annotation for model in _models(kind) if (field := model.model_fields.get(str(part)))]
    stages = [Stage] if kind is Protocol and part != "order" else []
    return (
        fields + stages + [argument for other in _unwrap(kind) if not _is_model(other) for argument in get_args(other)]
    )


def _models(kind: Any) -> list[type[BaseModel]]:
    return [part for part in _unwrap(kind) if _is_model(part)]


def _unwrap(kind: Any) -> list[Any]:
    """Return the members of unions and annotated types in one list."""
    if _is_model(kind) or not get_args(kind) or getattr(kind, "__origin__", None) in (dict, list, tuple):
        return [kind]
    return [part for argument in get_args(kind) for part in _unwrap(argument)]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
