"""From merged settings to the recipe of a row: fill in every option of every component, report every mistake."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from benchmark.errors import RENAMED_KEYS, CheckpointError, ComponentError, ExperimentError, shown, suggestion
from benchmark.experiment.compression import Prune
from benchmark.experiment.document import Document, KeyPath
from benchmark.experiment.gate_presets import with_gate_presets
from benchmark.experiment.portable_paths import portable_data
from benchmark.experiment.schema import (
    SPLITS,
    AnyGate,
    Component,
    Model,
    PhotographSettings,
    ResolvedModel,
    RowSettings,
    SourceSpec,
    fields_at,
)
from benchmark.experiment.stage import LossTerm, Settings, Stage
from benchmark.experiment.weights import resolve_weights
from benchmark.registry import Registry
from reports.schema import NAME_PATTERN, PHOTOGRAPHS

_LARGEST_PHOTOGRAPH_PX = 512
"""Photographs of this size are restored in a second or two; larger ones are asked for."""
AnyModel = TypeVar("AnyModel", bound=BaseModel)


def validate(model: type[AnyModel], document: Document) -> AnyModel:
    """Return the document as `model`.

    Raises:
        ExperimentError: with one line for each mistake.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        reasons: dict[str, list[str]] = {}
        for item in error.errors():
            place, reason = _explain(item, document)
            if reason not in reasons.setdefault(place, []):
                reasons[place].append(reason)
        lines = [f"{place}: {'; or '.join(ways)}" for place, ways in reasons.items()]  # a value of several forms
        raise ExperimentError(_mistakes(lines, document)) from None


def _mistakes(lines: Sequence[str], document: Document) -> str:
    """Return a text with a line for each mistake; those of one `--set` stand on one line, which names it once."""
    for place in dict.fromkeys(document.places.values()):
        start = f"{place}: "
        if place.startswith("--set ") and all(line.startswith(start) for line in lines):
            return start + "; ".join(line.removeprefix(start) for line in lines)
    return "\n".join(lines)


@dataclass(frozen=True)
class Recipe:
    """All settings of one row that change a result, with every option filled in.

    Two spellings of the same settings give equal recipes.
    """

    data: Mapping[str, SourceSpec]
    """By split: train, val, test."""
    model: ResolvedModel
    stages: Mapping[str, Stage]
    """By name, in the order of training."""
    gates: Mapping[str, AnyGate]
    folder: Path
    """Of the experiment file."""
    more_tests: Mapping[str, SourceSpec] = field(default_factory=dict[str, SourceSpec])
    """The test sets beside `data.test` by name; that of `photographs` is one of them."""

    def pruning_before(self, stage: str) -> Prune | None:
        """Return how the network is pruned before a stage; None if it is not."""
        prune = self.model.compression.prune
        return prune if prune and stage == (prune.stage or [*self.stages][-1]) else None

    @property
    def splits(self) -> Mapping[str, SourceSpec]:
        """All sources of the row: train, val, test and the further test sets."""
        return {**self.data, **self.more_tests}

    @cached_property
    def config(self) -> dict[str, Any]:
        """The recipe as plain data for the record; paths are relative to the experiment file."""
        return self.config_in(self.folder)

    @property
    def data_config(self) -> dict[str, Any]:
        """The part of `config` that a baseline depends on: data and photographs."""
        return portable_data(self.data_settings, self.folder)

    def config_in(self, folder: Path) -> dict[str, Any]:
        """Return the recipe as plain data for a file in a folder. The order of keys counts: augmentations have one."""
        stages = {name: stage.model_dump(mode="json") for name, stage in self.stages.items()}
        return {
            **portable_data(self.data_settings, folder),
            "model": portable_data(self.model.as_config(), folder),
            "protocol": {"order": list(stages), **stages},
            "gates": {name: gate.model_dump(mode="json") for name, gate in self.gates.items()},
        }

    @property
    def sources(self) -> dict[str, Any]:
        """The sources of `data` as plain data, with absolute paths."""
        return {split: spec.model_dump(mode="json") for split, spec in self.data.items()}

    @property
    def data_settings(self) -> dict[str, Any]:
        """The sections `data` and `photographs` of an experiment file with these sources, with absolute paths."""
        more_tests = {name: spec.model_dump(mode="json") for name, spec in self.more_tests.items()}
        photographs = more_tests.pop(PHOTOGRAPHS, None)
        return {
            "data": {**self.sources, **({"more_tests": more_tests} if more_tests else {})},
            "photographs": {key: photographs[key] for key in photographs if key != "source"} if photographs else False,
        }


def resolve(document: Document, registry: Registry) -> Recipe:
    """Return the recipe that a document describes.

    Raises:
        ExperimentError: a setting or option is unknown, missing or out of range, or a component does not exist.
    """
    document = with_gate_presets(document)
    row = {name: document.data[name] for name in RowSettings.model_fields if name in document.data}
    settings = validate(RowSettings, Document(row, document.places))
    resolver = _Resolver(document, registry)
    data = {split: resolver.source(("data", split), getattr(settings.data, split)) for split in SPLITS}
    more_tests = {
        name: resolver.source(("data", "more_tests", name), spec) for name, spec in settings.data.more_tests.items()
    }
    photographs = _photographs(settings.photographs, data, is_named="photographs" in document.data)
    if photographs is not None:
        more_tests[PHOTOGRAPHS] = resolver.source((PHOTOGRAPHS,), photographs)
    model = resolver.model(settings.model)
    resolver.check_order(settings)
    stages = {
        name: resolver.stage(("protocol", name), settings.protocol.stages[name]) for name in settings.protocol.order
    }
    return Recipe(data, model, stages, settings.gates, document.folder(()), more_tests)


def _photographs(
    setting: bool | str | PhotographSettings, data: Mapping[str, SourceSpec], *, is_named: bool
) -> SourceSpec | None:
    """Return the source of the photographs that rows are tested on; None for none.

    Their preset and size are those of the test images, or else of the training images: what a network was made for.
    Without a preset, packaged portraits are no test of what the rows learn, unless the file asks for them (`is_named`).
    """
    drawn = [spec.options for split in ("test", "train") for spec in _leaves(data[split]) if "preset" in spec.options]
    if setting is False or setting == "none" or (not is_named and not drawn):
        return None
    options = setting.options if isinstance(setting, PhotographSettings) else {}
    folder = {"folder": setting} if isinstance(setting, str) else {}
    preset = {"preset": drawn[0]["preset"]} if drawn else {}
    size = {"size": min(drawn[0]["size"], _LARGEST_PHOTOGRAPH_PX)} if drawn and drawn[0].get("size") else {}
    return SourceSpec(source=PHOTOGRAPHS, **{**preset, **size, **folder, **options})


def _leaves(spec: SourceSpec) -> list[SourceSpec]:
    """Return a source, or the sources that it mixes."""
    nested = [part for value in spec.options.values() if isinstance(value, list) for part in cast(list[Any], value)]
    sources = [SourceSpec.model_validate(part) for part in nested if isinstance(part, dict) and "source" in part]
    return [leaf for source in sources for leaf in _leaves(source)] or [spec]


class _ModelOnly(Settings):
    model: Model


def resolve_model(document: Document, registry: Registry) -> ResolvedModel:
    """Return the model of a document that has no other section.

    Raises:
        ExperimentError: as in `resolve`.
    """
    return _Resolver(document, registry).model(validate(_ModelOnly, document).model)


def resolve_options(kind: str, name: str, options: Mapping[str, Any], place: str, registry: Registry) -> dict[str, Any]:
    """Return all options of a component that the command line names; `place` begins its messages.

    Raises:
        ExperimentError: as in `resolve`.
    """
    return _Resolver(Document({}, {(): place}), registry).options(kind, name, (), options)


@dataclass(frozen=True)
class _Resolver:
    """Checks the options of components against their constructors; messages name the place in the document."""

    document: Document
    registry: Registry

    def source(self, path: KeyPath, spec: SourceSpec) -> SourceSpec:
        options = spec.model_dump()
        name = options.pop("source")
        self.find("source", name, (*path, "source"))
        for key, option in self.registry.options_model("source", name).model_fields.items():
            if Path in (option.annotation, *get_args(option.annotation)) and isinstance(options.get(key), str):
                # Folders in an experiment file are relative to it; those of `--set` to the current folder.
                options[key] = str(self.document.folder((*path, key)) / options[key])
            if SourceSpec in get_args(option.annotation) and isinstance(options.get(key), list):
                options[key] = [self._nested((*path, key, at), nested) for at, nested in enumerate(options[key])]
        return SourceSpec(source=name, **self.options("source", name, path, options))

    def _nested(self, path: KeyPath, spec: Any) -> Any:
        """Resolve a source among the options of another source, which itself refuses values of another form."""
        is_source = isinstance(spec, dict) and isinstance(spec.get("source"), str)
        return self.source(path, SourceSpec.model_validate(spec)).model_dump() if is_source else spec

    def model(self, spec: Model) -> ResolvedModel:
        name, size, path = spec.backbone.name, spec.backbone.size, ("model", "backbone")
        sizes = self.find("backbone", name, (*path, "name")).sizes
        if size is not None and size not in sizes:
            self.fail((*path, "size"), f"backbone {name!r} has no size {size!r}; {suggestion(size, sizes)}")
        options = self.options("backbone", name, path, {**sizes.get(size, {}), **spec.backbone.options}, key="name")
        head_options = self.options("head", spec.head.name, ("model", "head"), spec.head.options, key="name")
        model = ResolvedModel(
            backbone=Component(name=name, **options), head=Component(name=spec.head.name, **head_options)
        )
        model = model.model_copy(update={"compress": spec.compress})
        if spec.weights is None:
            return model
        try:
            return model.model_copy(update={"weights": resolve_weights(spec.weights, model)})
        except CheckpointError as error:
            self.fail(("model", "weights"), f"model.weights: {error}")

    def check_order(self, settings: RowSettings) -> None:
        order, stages = settings.protocol.order, settings.protocol.stages
        if not order and settings.model.weights is None:
            self.fail(
                ("protocol", "order"),
                "protocol.order: is empty, so nothing would be trained; name a stage, or give model.weights to test "
                "published weights as they are",
            )
        for name in order:
            if name not in stages:
                message = f"protocol.order: no stage {name!r} in protocol; {suggestion(name, stages)}"
                self.fail(("protocol", "order"), message)
        prune = settings.model.compress.prune if settings.model.compress else None
        if prune and prune.stage is not None and prune.stage not in order:
            place = ("model", "compress", "prune", "stage")
            message = f"no stage {prune.stage!r} in protocol.order; {suggestion(prune.stage, order)}"
            self.fail(place, f"model.compress.prune.stage: {message}")
        if prune and not order:
            self.fail(
                ("model", "compress"), "model.compress.prune: needs a stage that fine-tunes; protocol.order is empty"
            )
        if len(set(order)) < len(order):
            self.fail(("protocol", "order"), "protocol.order: names a stage twice; give the second one its own name")

    def stage(self, path: KeyPath, stage: Stage) -> Stage:
        losses = {
            name: LossTerm(weight=term.weight, **self.options("loss", name, (*path, "loss", name), term.options))
            for name, term in sorted(stage.loss.items())
        }
        augmentations = {
            name: self.options("augmentation", name, (*path, "augment", name), options)
            for name, options in stage.augment.items()
        }
        return stage.model_copy(update={"loss": losses, "augment": augmentations})

    def options(
        self, kind: str, name: str, path: KeyPath, options: Mapping[str, Any], key: str | None = None
    ) -> dict[str, Any]:
        """Return all options of a component as plain data; `key`: where below `path` the component is named."""
        self.find(kind, name, (*path, key) if key else path)
        model = self.registry.options_model(kind, name)
        try:
            return model.model_validate(dict(options)).model_dump(mode="json")
        except ValidationError as error:
            lines = [self._explain_option(item, f"{kind} {name!r}", path, model) for item in error.errors()]
            raise ExperimentError(_mistakes(lines, self.document)) from None

    def _explain_option(self, error: Any, component: str, path: KeyPath, model: type[BaseModel]) -> str:
        place, option = self.document.place((*path, *error["loc"])), str(error["loc"][0])
        if error["type"] == "extra_forbidden":
            return f"{place}: {component} has no option {option!r}; {suggestion(option, model.model_fields)}"
        return f"{place}: {component}, option {option!r}: {_reason(error)}"

    def find(self, kind: str, name: str, path: KeyPath) -> Any:
        try:
            return self.registry.find(kind, name)
        except ComponentError as error:
            self.fail(path, str(error))

    def fail(self, path: KeyPath, message: str) -> NoReturn:
        raise ExperimentError(f"{self.document.place(path)}: {message}") from None


def _explain(error: Any, document: Document) -> tuple[str, str]:
    """Return where a mistake is, and what is wrong there."""
    path = _existing(error["loc"], document.data, is_missing=error["type"] == "missing")
    place, dotted = document.place(path), ".".join(map(str, path))
    settings: set[str] = set(fields_at(path[:-1]))
    if error["type"] in ("model_type", "model_attributes_type"):
        names = settings or {RENAMED_KEYS.get(str(path[-1]), str(path[-1]))}  # names of losses and stages are free
        hint = "" if str(path[-1]) in names else f"; {suggestion(str(path[-1]), names)}"
        return f"{place}: {dotted}", f"expected settings `key: value`, got {shown(repr(error['input']))}{hint}"
    if error["type"] == "extra_forbidden":
        # Another kind of gate may have a setting of this name.
        return f"{place}: {dotted}", f"no such setting; {suggestion(str(path[-1]), settings - {path[-1]})}"
    return f"{place}: {dotted or 'experiment'}", _reason(error)


def _reason(error: Any) -> str:
    if error["type"] == "missing":
        return "is needed but not given"
    message, got = error["msg"].removeprefix("Value error, "), error["input"]
    if error["type"] in ("list_type", "tuple_type"):
        message = "expected a list such as [a, b]"
    if error["type"] == "path_type":  # pydantic names a class of Python
        message = "expected the path of a file or folder"
    if error["type"] == "string_pattern_mismatch" and error["ctx"]["pattern"] == NAME_PATTERN:
        message = "expected letters, digits, - and _, a letter or digit first"
    return message if isinstance(got, dict | BaseModel) else f"{message} (got {shown(repr(got))})"


def _existing(location: tuple[str | int, ...], data: Any, *, is_missing: bool) -> KeyPath:
    """Return the error's path without the parts that pydantic adds (names of union members).

    The last part of `is_missing` is a setting that is not given, also one of a component that has its name alone.
    """
    path: list[str | int] = []
    for position, part in enumerate(location):
        is_there = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if is_there:
            data = data[part]  # pyright: ignore[reportCallIssue, reportArgumentType]  # a list has an int here
        # The last part may be no setting at all; below a plain value it can only be a form of it.
        if is_there or (position == len(location) - 1 and (is_missing or isinstance(data, dict | list))):
            path.append(part)
    return tuple(path)
