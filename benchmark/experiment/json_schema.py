"""The JSON Schema (draft 2020-12) of experiment files, for editors: completion, hints and mistakes while typing.

Generated from the types in `schema` and from the options of every component, so it cannot drift from what is accepted.
Where one file alone cannot tell, it is lenient: with `extends` nothing is required, and null deletes anything; a
component that only a plugin knows may have any options. `load` is the judge.
"""

import json
from collections.abc import Mapping
from typing import Any

from benchmark.experiment.schema import ExperimentFile, RowSettings
from benchmark.registry import KINDS, Registry

Schema = dict[str, Any]

_NULL: Schema = {"type": "null"}
_NUMBER_WITH_UNDERSCORES = r"^[-+]?[0-9][0-9_]*$"
"""To us 10_000_000 is a number; YAML 1.2, hence an editor, takes it for a string."""
_DROPPED = ("title", "required", "discriminator")
_EXTENDS: Schema = {
    "description": "files, relative to this one, whose settings lie below those of this one; of several the later wins",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}


def experiment_schema(registry: Registry) -> Schema:
    """The schema, with every component that the registry knows. Raises ComponentError if one cannot be imported."""
    whole = ExperimentFile.model_json_schema()
    definitions = {name: _lenient(definition) for name, definition in whole.pop("$defs").items()}
    components = _Components(registry, definitions)
    definitions["BackboneSpec"] = components.by_name("backbone", "name")
    definitions["SourceSpec"] = components.by_name("source", "source")
    definitions["Model"]["properties"]["head"] = components.by_name("head", "name")
    definitions["Stage"]["properties"]["loss"] = components.losses()
    definitions["Stage"]["properties"]["augment"] = components.augmentations()
    properties = {"extends": _EXTENDS, **_lenient(whole)["properties"]}
    properties["gates"] = _gates(properties["gates"], definitions)
    properties["tables"] = _tables(properties, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Experiment of restoration-benchmark",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": _referred_to(properties, definitions),
    }


def _referred_to(properties: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Without the definitions that those of the components replace."""
    text = json.dumps([properties, definitions])
    return {name: definition for name, definition in definitions.items() if f'"#/$defs/{name}"' in text}


def _lenient(node: Schema) -> Schema:
    """The same without what a file that extends another need not keep to."""
    schema = {key: value for key, value in node.items() if key not in _DROPPED}
    if "oneOf" in schema:  # without required keys, several may fit
        schema["anyOf"] = schema.pop("oneOf")
    if "anyOf" in schema:
        schema["anyOf"] = [_lenient(option) for option in schema["anyOf"]]
    if isinstance(schema.get("items"), dict):
        schema["items"] = _lenient(schema["items"])
    if "properties" in schema:
        schema["properties"] = {key: _or_null(_lenient(value)) for key, value in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = _or_null(_lenient(schema["additionalProperties"]))
    if schema.get("type") in ("integer", "number"):
        schema |= {"type": [schema["type"], "string"], "pattern": _NUMBER_WITH_UNDERSCORES}
    return schema


def _or_null(node: Schema) -> Schema:
    """Null deletes what stands in a file below."""
    schema = dict(node)
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    if "type" in schema:
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return {**schema, "type": [*dict.fromkeys([*types, "null"])]}
    if "anyOf" in schema:
        return {**schema, "anyOf": [*(option for option in schema["anyOf"] if option != _NULL), _NULL]}
    if "$ref" in schema:
        reference = schema.pop("$ref")
        return {**schema, "anyOf": [{"$ref": reference}, _NULL]}
    return schema


class _Components:
    """Schemas of what YAML names; definitions that options need are added to those of the whole schema."""

    def __init__(self, registry: Registry, definitions: dict[str, Schema]) -> None:
        self._registry = registry
        self._definitions = definitions

    def by_name(self, kind: str, key: str) -> Schema:
        """A mapping with the component's name under `key` and its options beside it; known names decide the options."""
        names = self._registry.names(kind)
        choices = [{"const": name, "description": self._about(kind, name)} for name in names]
        cases = [
            {
                "if": {"properties": {key: {"const": name}}, "required": [key]},
                "then": {"properties": {key: {}, **self._size(kind, name), **self._options(kind, name)}}
                | {"additionalProperties": False},
            }
            for name in names
        ]
        return {
            "type": ["object", "null"],
            "properties": {key: {"anyOf": [*choices, {"type": "string"}]}},
            "allOf": cases,
        }

    def losses(self) -> Schema:
        """Each a weight, or its options with a weight among them."""
        weight = _or_null(_lenient({"type": "number", "default": 1.0, "description": "of this loss in the sum"}))
        properties = {
            name: {
                "description": self._about("loss", name),
                "type": [*weight["type"], "object"],
                "pattern": _NUMBER_WITH_UNDERSCORES,
                "properties": {"weight": weight, **self._options("loss", name)},
                "additionalProperties": False,
            }
            for name in self._registry.names("loss")
        }
        other = {"type": [*weight["type"], "object"], "pattern": _NUMBER_WITH_UNDERSCORES}
        return {"type": "object", "properties": properties, "additionalProperties": other}

    def augmentations(self) -> Schema:
        properties = {
            name: {
                "description": self._about("augmentation", name),
                "type": ["object", "null"],
                "properties": self._options("augmentation", name),
                "additionalProperties": False,
            }
            for name in self._registry.names("augmentation")
        }
        other = {"type": ["object", "null"]}
        return {"type": ["object", "null"], "properties": properties, "additionalProperties": other}

    def _options(self, kind: str, name: str) -> Schema:
        schema = self._registry.options_model(kind, name).model_json_schema()
        for definition, content in schema.get("$defs", {}).items():
            self._definitions[definition] = _lenient(content)
        return _lenient(schema).get("properties", {})

    def _size(self, kind: str, name: str) -> Schema:
        sizes: Mapping[str, Any] = getattr(self._registry.find(kind, name), "sizes", {}) if kind == "backbone" else {}
        return {"size": {"enum": [*sizes, None], "description": "other options go over it"}} if sizes else {}

    def _about(self, kind: str, name: str) -> str:
        return getattr(self._registry.find(kind, name), KINDS[kind].facts[0])


def _gates(open_gates: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """A gate's name is its quantity unless it says another."""
    quantities = {
        definition["properties"]["quantity"]["default"]: {"anyOf": [{"$ref": f"#/$defs/{name}"}, _NULL]}
        for name, definition in definitions.items()
        if "quantity" in definition.get("properties", {})
    }
    return {**open_gates, "properties": quantities}


def _tables(properties: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Rows of overrides. Dotted paths are open; those to whole settings one or two levels deep are known."""
    paths: Schema = {}
    for name in RowSettings.model_fields:
        paths[name] = properties[name]
        inner = definitions.get(_referred(properties[name]), properties[name])
        paths |= {f"{name}.{key}": value for key, value in inner.get("properties", {}).items()}
    row = {"type": ["object", "null"], "properties": paths}
    table = {"type": ["object", "null"], "additionalProperties": row}
    return {**properties["tables"], "additionalProperties": table}


def _referred(node: Schema) -> str:
    """The definition that a node refers to, null aside; empty if it refers to none."""
    options = [node, *node.get("anyOf", [])]
    return next((option["$ref"].rpartition("/")[2] for option in options if "$ref" in option), "")
