"""From merged settings to a resolved row: every option of every component filled in, every mistake named.

A resolved row is plain data (what JSON can hold) and holds every number that changes a result; two spellings of one
recipe resolve to equal data.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from benchmark.errors import CheckpointError, ComponentError, ExperimentError, suggestion
from benchmark.experiment.document import Document, Path_
from benchmark.experiment.schema import Model, RowSettings, SourceSpec, fields_at
from benchmark.experiment.settings import Settings
from benchmark.experiment.stage import Stage
from benchmark.experiment.weights import resolve_weights
from benchmark.registry import Registry

Resolved = dict[str, Any]
AnyModel = TypeVar("AnyModel", bound=BaseModel)


def validate(model: type[AnyModel], document: Document) -> AnyModel:
    """The document as `model`. Raises ExperimentError with one line for each mistake."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        lines = [_explain(item, document) for item in error.errors()]
        raise ExperimentError("\n".join(dict.fromkeys(lines))) from None


def resolve(document: Document, registry: Registry) -> Resolved:
    """The settings of one row with all options of all components. Raises ExperimentError."""
    settings_data = {name: document.data[name] for name in RowSettings.model_fields if name in document.data}
    settings = validate(RowSettings, Document(settings_data, document.places))
    resolver = _Resolver(document, registry)
    data = {
        split: resolver.source(("data", split), getattr(settings.data, split)) for split in ("train", "val", "test")
    }
    model = resolver.model(settings.model)
    resolver.check_order(settings)
    stages = {
        name: resolver.stage(("protocol", name), settings.protocol.stages[name]) for name in settings.protocol.order
    }
    gates = {name: gate.model_dump(mode="json") for name, gate in settings.gates.items()}
    return {
        "data": data,
        "model": model,
        "protocol": {"order": settings.protocol.order, **stages},
        "gates": gates,
    }


class _ModelAlone(Settings):
    model: Model


def resolve_model(document: Document, registry: Registry) -> Resolved:
    """The model, with all options, of a document that says nothing else. Raises ExperimentError."""
    return _Resolver(document, registry).model(validate(_ModelAlone, document).model)


class _Resolver:
    """Checks options of components against their constructors, with the places of the document in messages."""

    def __init__(self, document: Document, registry: Registry) -> None:
        self._document = document
        self._registry = registry

    def source(self, path: Path_, spec: BaseModel) -> Resolved:
        options = spec.model_dump()
        name = options.pop("source")
        self._find("source", name, (*path, "source"))
        for key, option in self._registry.options_model("source", name).model_fields.items():
            if Path in (option.annotation, *get_args(option.annotation)) and isinstance(options.get(key), str):
                # Folders in an experiment file are relative to it; those of `--set` to where the command is called.
                options[key] = str(self._document.folder((*path, key)) / options[key])
            if SourceSpec in get_args(option.annotation) and isinstance(options.get(key), list):
                options[key] = [self._nested((*path, key, at), nested) for at, nested in enumerate(options[key])]
        return {"source": name, **self._options("source", name, path, options, key="source")}

    def _nested(self, path: Path_, spec: Any) -> Any:
        """A source among the options of another; what has not the form of one is left for that other to refuse."""
        is_source = isinstance(spec, dict) and isinstance(spec.get("source"), str)
        return self.source(path, SourceSpec.model_validate(spec)) if is_source else spec

    def model(self, spec: Model) -> Resolved:
        model = {
            "backbone": self.backbone(("model", "backbone"), spec.backbone.model_dump()),
            "head": self.component("head", ("model", "head"), spec.head.model_dump()),
        }
        return model if spec.weights is None else {**model, "weights": self.weights(spec.weights, model)}

    def weights(self, named: str, model: Resolved) -> Resolved:
        try:
            return resolve_weights(named, model)
        except CheckpointError as error:
            return self._fail(("model", "weights"), f"model.weights: {error}")

    def backbone(self, path: Path_, spec: Resolved) -> Resolved:
        name, size = spec.pop("name"), spec.pop("size")
        sizes = self._find("backbone", name, (*path, "name")).sizes
        if size is not None and size not in sizes:
            self._fail((*path, "size"), f"backbone {name!r} has no size {size!r}; {suggestion(size, sizes)}")
        return {"name": name, **self._options("backbone", name, path, {**sizes.get(size, {}), **spec})}

    def component(self, kind: str, path: Path_, spec: Resolved) -> Resolved:
        name = spec.pop("name")
        return {"name": name, **self._options(kind, name, path, spec)}

    def check_order(self, settings: RowSettings) -> None:
        order, stages = settings.protocol.order, settings.protocol.stages
        if not order and settings.model.weights is None:
            self._fail(
                ("protocol", "order"),
                "protocol.order: is empty, so nothing would be trained; name a stage, or give model.weights to test "
                "published weights as they are",
            )
        for name in order:
            if name not in stages:
                near = suggestion(name, stages)
                self._fail(("protocol", "order"), f"protocol.order: no stage {name!r} in protocol; {near}")
        if len(set(order)) < len(order):
            self._fail(("protocol", "order"), "protocol.order: a stage stands twice; give the second one its own name")

    def stage(self, path: Path_, stage: Stage) -> Resolved:
        resolved = stage.model_dump(mode="json")
        resolved["loss"] = {
            name: {
                "weight": term.weight,
                **self._options("loss", name, (*path, "loss", name), term.model_extra or {}, key=None),
            }
            for name, term in sorted(stage.loss.items())
        }
        resolved["augment"] = {
            name: self._options("augmentation", name, (*path, "augment", name), options, key=None)
            for name, options in stage.augment.items()
        }
        return resolved

    def _options(
        self, kind: str, name: str, path: Path_, options: Mapping[str, Any], key: str | None = "name"
    ) -> Resolved:
        self._find(kind, name, (*path, key) if key else path)
        model = self._registry.options_model(kind, name)
        try:
            return model.model_validate(dict(options)).model_dump(mode="json")
        except ValidationError as error:
            lines = [self._explain_option(item, f"{kind} {name!r}", path, model) for item in error.errors()]
            raise ExperimentError("\n".join(lines)) from None

    def _explain_option(self, error: Any, what: str, path: Path_, model: type[BaseModel]) -> str:
        place, option = self._document.place((*path, *error["loc"])), str(error["loc"][0])
        if error["type"] == "extra_forbidden":
            return f"{place}: {what} has no option {option!r}; {suggestion(option, model.model_fields)}"
        return f"{place}: {what}, option {option!r}: {_reason(error)}"

    def _find(self, kind: str, name: str, path: Path_) -> Any:
        try:
            return self._registry.find(kind, name)
        except ComponentError as error:
            self._fail(path, str(error))

    def _fail(self, path: Path_, message: str) -> Any:
        raise ExperimentError(f"{self._document.place(path)}: {message}") from None


def _explain(error: Any, document: Document) -> str:
    path = _existing(error["loc"], document.data)
    place, dotted = document.place(path), ".".join(map(str, path))
    fields = set(fields_at(path[:-1]))
    if error["type"] == "model_type":
        what = f"expected settings `key: value`, got {error['input']!r}"
        return f"{place}: {dotted}: {what}" + ("" if path[-1] in fields else f"; {suggestion(str(path[-1]), fields)}")
    if error["type"] == "extra_forbidden":
        # Another kind of gate may have the very name.
        return f"{place}: {dotted}: no such setting; {suggestion(str(path[-1]), fields - {path[-1]})}"
    return f"{place}: {dotted or 'experiment'}: {_reason(error)}"


def _reason(error: Any) -> str:
    if error["type"] == "missing":
        return "is needed but not given"
    message = error["msg"].removeprefix("Value error, ")
    got = error["input"]
    return message if isinstance(got, dict | BaseModel) else f"{message} (got {got!r})"


def _existing(location: tuple[str | int, ...], data: Any) -> Path_:
    """The error's path without the parts pydantic adds (names of union members)."""
    path: list[str | int] = []
    for position, part in enumerate(location):
        is_there = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if is_there:
            data = data[part]  # pyright: ignore[reportCallIssue, reportArgumentType]  # a list has an int here
        if is_there or position == len(location) - 1:
            path.append(part)
    return tuple(path)
