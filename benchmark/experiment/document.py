"""Settings in YAML: read strictly, with the place of every value, and merged over each other.

The rules are those of YAML 1.2: on, off, yes, no and 12:30 are strings, and `1e-4` is a number; a key given twice is an
error. (PyYAML alone follows YAML 1.1, and silently keeps the second of two equal keys.)

`extends`, `--set` and the overrides of rows merge by one rule: mappings merge key by key; a mapping whose `name`
changes replaces the old one, since another backbone has other options; null deletes; everything else, also a list, is
replaced as a whole.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.schema import fields_at, is_open

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


def value_at(data: Any, path: Sequence[str | int]) -> Any:
    """Return the value at a path in plain data; None if there is none."""
    for part in path:
        try:
            data = data[part]
        except (LookupError, TypeError):
            return None
    return data


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


def read_with_parents(file: Path, chain: tuple[Path, ...] = ()) -> Document:
    """Return the settings of a file, merged over those of the files it `extends`.

    Args:
        file: the experiment file. The files it extends are relative to it; of several, the later one wins.
        chain: the files that extend this one.

    Raises:
        ExperimentError: a file cannot be read, or files extend each other in a ring.
    """
    if file in chain:
        ring = " -> ".join(str(part) for part in (*chain, file))
        raise ExperimentError(f"{ring}: files extend each other in a ring")
    document = read(file)
    parents = document.data.pop("extends", None) or []
    parents = [parents] if isinstance(parents, str) else parents
    if not isinstance(parents, list) or not all(isinstance(name, str) for name in parents):
        raise ExperimentError(f"{document.place(('extends',))}: extends: expected a file name or a list of them")
    merged = Document({}, {})
    for name in parents:
        parent = file.parent / name
        if not parent.is_file():
            raise ExperimentError(f"{document.place(('extends',))}: extends {name!r}: no such file beside this one")
        merged = merge(merged, read_with_parents(parent, (*chain, file)))
    return merge(merged, document)


def merge(below: Document, above: Document) -> Document:
    """Return `above` merged over `below`; the arguments stay unchanged."""
    places = dict(below.places)
    return Document(_merge_value(below.data, above.data, (), places, above.places), places)


def override(document: Document, dotted: str, value: Document) -> Document:
    """Return the document with `value` at a dotted path that exists in the schema; null deletes what was there."""
    parts = dotted.split(".")
    place = value.place(())
    _check_path(document, parts, place)
    above: Any = value.data
    for part in reversed(parts):
        above = {part: above}
    places: dict[KeyPath, str] = {tuple(parts[:length]): place for length in range(len(parts) + 1)}
    places |= {(*parts, *path): where for path, where in value.places.items()}
    merged = merge(document, Document(above, places))
    paths: list[KeyPath] = [tuple(parts[:length]) for length in range(len(parts))]
    kept = {path: document.places[path] for path in paths if path in document.places}  # those above stay of the file
    return Document(merged.data, {**merged.places, **kept})


def override_all(document: Document, path: KeyPath, overrides: Mapping[str, Any]) -> Document:
    """Return the document with the overrides applied that stand at one of its paths, by dotted path."""
    changed = document
    for dotted, value in overrides.items():
        above: KeyPath = (*path, dotted)
        places = {p[len(above) :]: place for p, place in document.places.items() if p[: len(above)] == above}
        changed = override(changed, dotted, Document(value, places))
    return changed


def override_from_text(document: Document, item: str) -> Document:
    """Return the document with one `--set PATH=VALUE` applied; the value is read as YAML."""
    dotted, equals, text = item.partition("=")
    if not equals or not dotted:
        raise ExperimentError(f"--set {item}: write PATH=VALUE, e.g. --set protocol.coarse.lr=1e-4")
    value = parse(text, f"--set {item}")
    return override(document, dotted, Document(value.data, dict.fromkeys(value.places or [()], f"--set {item}")))


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


def _check_path(document: Document, parts: list[str], place: str) -> None:
    node = document.data
    for depth, part in enumerate(parts):
        above = tuple(parts[:depth])
        if not isinstance(node, dict):
            raise ExperimentError(f"{place}: {'.'.join(above)} is a single value, it has no {part!r}")
        names = {*node, *fields_at(above)}
        last = depth == len(parts) - 1
        if part not in names and not (last and is_open(above)):
            raise ExperimentError(f"{place}: {'.'.join(parts)}: no such setting {part!r}; {suggestion(part, names)}")
        node = node.get(part, {})


def _merge_value(
    below: Any, above: Any, path: KeyPath, places: dict[KeyPath, str], above_places: Mapping[KeyPath, str]
) -> Any:
    if isinstance(above, dict) and isinstance(below, dict) and not (path and _is_other_component(below, above)):
        merged = dict(below)
        for key, value in above.items():
            if value is None and key in merged:
                del merged[key]
                _drop_places(places, (*path, key))
            else:
                merged[key] = _merge_value(merged.get(key), value, (*path, key), places, above_places)
        if path in above_places:
            places[path] = above_places[path]
        return merged
    _drop_places(places, path)
    places.update({p: place for p, place in above_places.items() if p[: len(path)] == path})
    return above


def _drop_places(places: dict[KeyPath, str], path: KeyPath) -> None:
    """Remove the places of a path and of all below it."""
    for old in [p for p in places if p[: len(path)] == path]:
        del places[old]


def _is_other_component(below: dict[str, Any], above: dict[str, Any]) -> bool:
    """Return whether `above` names another component, which the options below do not belong to."""
    return any(key in above and key in below and above[key] != below[key] for key in ("name", "source"))
