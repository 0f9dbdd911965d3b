"""The JSON Schema (draft 2020-12) of experiment files, for editors: completion, hints and mistakes while typing.

It is generated from the types in `schema` and the options of every component, so it always agrees with what is
accepted. Where one file is not enough to decide, it is lenient: with `extends` nothing is required, and null deletes
anything; the component of a plugin may have any options. `load` decides.
"""

import json
from collections.abc import Mapping
from typing import Any

from benchmark.experiment.gate_presets import GATE_PRESETS
from benchmark.experiment.pruner_settings import PRUNERS
from benchmark.experiment.schema import ExperimentFile, RowSettings
from benchmark.experiment.search_settings import SAMPLERS
from benchmark.registry import KINDS, Registry

Schema = dict[str, Any]

_NULL: Schema = {"type": "null"}
_NUMBER_WITH_UNDERSCORES = r"^[-+]?[0-9][0-9_]*$"
"""We read 10_000_000 as a number; YAML 1.2, and with it an editor, reads a string."""
_DROPPED = ("title", "required", "discriminator")
_EXTENDS: Schema = {
    "description": "files, relative to this one, whose settings lie below those of this one; of several the later wins",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}


def experiment_schema(registry: Registry) -> Schema:
    """Return the schema, with all components of the registry. Raises ComponentError if one cannot be imported."""
    whole = ExperimentFile.model_json_schema()
    definitions = {name: _lenient(definition) for name, definition in whole.pop("$defs").items()}
    components = _Components(registry, definitions)
    definitions["BackboneSpec"] = components.by_name("backbone", "name")
    definitions["SourceSpec"] = components.by_name("source", "source")
    definitions["Model"]["properties"]["head"] = components.by_name("head", "name")
    definitions["SearchSettings"]["properties"]["sampler"]["anyOf"].insert(0, {"enum": [*SAMPLERS]})
    definitions["SearchSettings"]["properties"]["pruner"]["anyOf"].insert(0, {"enum": [*PRUNERS]})
    definitions["Stage"]["properties"]["loss"] = components.losses()
    definitions["Stage"]["properties"]["augment"] = components.augmentations()
    properties = {"extends": _EXTENDS, **_lenient(whole)["properties"]}
    properties["metrics"]["items"] = {"anyOf": [{"enum": registry.names("metric")}, {"type": "string"}]}
    properties["gates"] |= {"properties": _gates(definitions)}
    properties["tables"]["additionalProperties"] = _table(properties, definitions)
    references = json.dumps([properties, definitions])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Experiment of restoration-benchmark",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        # Without the definitions that those of the components replace.
        "$defs": {name: node for name, node in definitions.items() if f'"#/$defs/{name}"' in references},
    }


def _lenient(node: Schema) -> Schema:
    """Return a schema without the rules that a file which extends another one need not obey."""
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if "oneOf" in result:  # without required keys, several may fit
        result["anyOf"] = result.pop("oneOf")
    if "anyOf" in result:
        result["anyOf"] = [_lenient(option) for option in result["anyOf"]]
    if isinstance(result.get("items"), dict):
        result["items"] = _lenient(result["items"])
    if "properties" in result:
        result["properties"] = {key: _or_null(_lenient(value)) for key, value in result["properties"].items()}
    if isinstance(result.get("additionalProperties"), dict):
        result["additionalProperties"] = _or_null(_lenient(result["additionalProperties"]))
    if result.get("type") in ("integer", "number"):
        result |= {"type": [result["type"], "string"], "pattern": _NUMBER_WITH_UNDERSCORES}
    return result


def _or_null(node: Schema) -> Schema:
    """Null deletes what stands in a file below."""
    result = dict(node)
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if "enum" in result:
        result["enum"] = [*result["enum"], None]
    if "type" in result:
        types = result["type"] if isinstance(result["type"], list) else [result["type"]]
        return {**result, "type": [*dict.fromkeys([*types, "null"])]}
    if "anyOf" in result:
        return {**result, "anyOf": [*(option for option in result["anyOf"] if option != _NULL), _NULL]}
    if "$ref" in result:
        reference = result.pop("$ref")
        return {**result, "anyOf": [{"$ref": reference}, _NULL]}
    return result


class _Components:
    """Schemas of what YAML names; definitions that options need are added to those of the whole schema."""

    def __init__(self, registry: Registry, definitions: dict[str, Schema]) -> None:
        self._registry = registry
        self._definitions = definitions

    def by_name(self, kind: str, key: str) -> Schema:
        """Return the schema of a mapping with a component's name under `key` and the options of that component."""
        names = self._registry.names(kind)
        constants = [{"const": name, "description": self._about(kind, name)} for name in names]
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
            "properties": {key: {"anyOf": [*constants, {"type": "string"}]}},
            "allOf": cases,
        }

    def losses(self) -> Schema:
        """Each a weight, or its options with a weight among them."""
        weight = _or_null(_lenient({"type": "number", "default": 1.0, "description": "of this loss in the sum"}))
        types = {"type": [*weight["type"], "object"], "pattern": _NUMBER_WITH_UNDERSCORES}
        return {"type": "object", **self._named("loss", types, {"weight": weight})}

    def augmentations(self) -> Schema:
        return {"type": ["object", "null"], **self._named("augmentation", {"type": ["object", "null"]}, {})}

    def _named(self, kind: str, types: Schema, common: Schema) -> Schema:
        """Return the properties of a mapping from components to options; `common`: properties that all have."""
        named = {
            name: {
                "description": self._about(kind, name),
                **types,
                "properties": {**common, **self._options(kind, name)},
                "additionalProperties": False,
            }
            for name in self._registry.names(kind)
        }
        return {"properties": named, "additionalProperties": types}

    def _options(self, kind: str, name: str) -> Schema:
        schema = self._registry.options_model(kind, name).model_json_schema()
        for definition, content in schema.get("$defs", {}).items():
            self._definitions[definition] = _lenient(content)
        return _lenient(schema).get("properties", {})

    def _size(self, kind: str, name: str) -> Schema:
        sizes: Mapping[str, Any] = getattr(self._registry.find(kind, name), "sizes", {}) if kind == "backbone" else {}
        return {"size": {"enum": [*sizes, None], "description": "other options replace its values"}} if sizes else {}

    def _about(self, kind: str, name: str) -> str:
        return getattr(self._registry.find(kind, name), KINDS[kind].facts[0])


def _gates(definitions: Mapping[str, Schema]) -> Schema:
    """Return the schemas of gates by name: the name of a gate is its quantity, unless it gives another quantity."""
    preset = {"enum": [*GATE_PRESETS, None], "description": "limits by name; gates beside it change those of it"}
    return {"preset": preset} | {
        definition["properties"]["quantity"]["default"]: {"anyOf": [{"$ref": f"#/$defs/{name}"}, _NULL]}
        for name, definition in definitions.items()
        if "quantity" in definition.get("properties", {})
    }


def _table(properties: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Return the schema of a table: dotted paths are open, but those of one or two levels have a schema."""
    settings: Schema = {}
    for name in RowSettings.model_fields:
        settings[name] = properties[name]
        inner = definitions.get(_referred(properties[name]), properties[name])
        settings |= {f"{name}.{key}": value for key, value in inner.get("properties", {}).items()}
    row = {"type": ["object", "null"], "properties": settings}
    return {"type": ["object", "null"], "additionalProperties": row}


def _referred(node: Schema) -> str:
    """Return the name of the definition that a node refers to; empty if it refers to none."""
    options = [node, *node.get("anyOf", [])]
    return next((option["$ref"].rpartition("/")[2] for option in options if "$ref" in option), "")
