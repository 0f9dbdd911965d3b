"""YAML, read strictly: every value keeps its place, a key given twice is an error, `1e-4` is a number.

The rules are those of YAML 1.2: on, off, yes, no and 12:30 are strings. (PyYAML alone follows YAML 1.1, and silently
keeps the second of two equal keys.)
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import ExperimentError

KeyPath = tuple[str | int, ...]
"""The keys that lead to a value, e.g. ("protocol", "coarse", "lr")."""


@dataclass(frozen=True)
class Document:
    """Plain data, and for each path in it the place it came from (`file:line` or `--set ...`)."""

    data: Any
    places: dict[KeyPath, str]

    def place(self, path: KeyPath) -> str:
        """Return the place of a path, or of the nearest path above it that has one."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return "experiment"

    def folder(self, path: KeyPath) -> Path:
        """Return the folder of the file that a value came from; the current folder for the command line."""
        source, _, line = self.place(path).rpartition(":")
        return Path(source).parent.absolute() if line.isdigit() else Path.cwd()


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML wants a class attribute; the 1.1 rules go


_NUMBER = list("-+0123456789.")
_FLOAT = r"^[-+]?(?:\d[\d_]*\.\d*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d+(?:[eE][-+]?\d+)?|\.inf|\.nan)$"
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", list("tf")),
    ("int", r"^[-+]?(?:0|[1-9][\d_]*)$", _NUMBER),
    ("float", _FLOAT, _NUMBER),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def parse(text: str, source: str) -> Document:
    """Return the document in a YAML text.

    Args:
        text: YAML.
        source: a file or an option, for places and messages.

    Raises:
        ExperimentError: the text is not YAML of plain data, or gives a key twice.
    """
    places: dict[KeyPath, str] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = _build(node, (), places, loader, source) if node else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ExperimentError(f"{source}:{line}: {error.problem}") from None
    except yaml.YAMLError as error:  # e.g. a character YAML forbids
        raise ExperimentError(f"{source}: not a YAML text: {error}") from None
    return Document(data, places)


def read(file: Path) -> Document:
    """Return the document in a file. Raises ExperimentError if it is no text of `key: value` settings."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ExperimentError(
            f"{file}: no such file; expected an experiment such as experiments/quickstart.yaml"
        ) from None
    except IsADirectoryError:
        raise ExperimentError(f"{file}: is a folder; expected an experiment file (.yaml)") from None
    except (UnicodeDecodeError, OSError) as error:
        raise ExperimentError(f"{file}: cannot be read as text: {error}") from None
    document = parse(text, str(file))
    if not isinstance(document.data, dict):
        raise ExperimentError(f"{file}:1: expected settings of the form `key: value`")
    return document


def _build(node: Any, path: KeyPath, places: dict[KeyPath, str], loader: _Loader, source: str) -> Any:
    place = f"{source}:{node.start_mark.line + 1}"
    places.setdefault(path, place)
    _check_tag(node, place)
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, path, places, loader, source)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, i), places, loader, source) for i, item in enumerate(node.value)]
    return loader.construct_object(node)  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it untyped


def _check_tag(node: Any, place: str) -> None:
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
        raise ExperimentError(f"{place}: tag {node.tag!r}: only plain data are allowed here")


def _build_mapping(
    node: Any, path: KeyPath, places: dict[KeyPath, str], loader: _Loader, source: str
) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = f"{source}:{key_node.start_mark.line + 1}"
        _check_tag(key_node, line)
        if not isinstance(key_node, yaml.ScalarNode):
            raise ExperimentError(f"{line}: a key must be a plain word")
        key = str(key_node.value)
        if key in data:
            raise ExperimentError(f"{line}: key {key!r} is given twice")
        places[(*path, key)] = line
        data[key] = _build(value_node, (*path, key), places, loader, source)
    return data
