"""Settings from YAML, with the place of every value, merged over each other.

`extends`, `--set` and the overrides of rows merge by one rule: mappings merge key by key; a mapping whose `name`
changes replaces the old one, since another backbone has other options; null deletes; everything else, also a list, is
replaced as a whole.
"""

import codecs
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import ExperimentError, shown, suggestion
from benchmark.experiment.schema import fields_at, is_open
from benchmark.experiment.yaml_text import MOST_CHARACTERS, MOST_LEVELS, KeyPath, parse_text
from reports.file_access import read_bytes

_MOST_BYTES = 4 * MOST_CHARACTERS


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
        return Path(source).parent.absolute() if line.isdigit() and not source.startswith("--") else Path.cwd()


def value_at(data: Any, path: Sequence[str | int]) -> Any:
    """Return the value at a path in plain data; None if there is none."""
    for part in path:
        try:
            data = data[part]
        except (LookupError, TypeError):
            return None
    return data


def parse(text: str, source: str) -> Document:
    """Return the document in a YAML text.

    Args:
        text: YAML.
        source: a file or an option, for places and messages.

    Raises:
        ExperimentError: the text is not YAML of plain data, or gives a key twice.
    """
    return Document(*parse_text(text, source))


def read(file: Path) -> Document:
    """Return the document in a file. Raises ExperimentError if it is no text of `key: value` settings."""
    try:
        content = read_bytes(file, _MOST_BYTES)
    except FileNotFoundError:
        raise ExperimentError(
            f"{file}: no such file; expected an experiment such as experiments/quickstart.yaml"
        ) from None
    except OSError as error:
        raise ExperimentError(f"{shown(str(file))}: {error.strerror}; expected an experiment file (.yaml)") from None
    document = parse(_decoded(content, file), str(file))
    if not isinstance(document.data, dict):
        raise ExperimentError(f"{file}:1: expected settings of the form `key: value`")
    return document


def _decoded(content: bytes, file: Path) -> str:
    """Return the text of a file; a byte-order mark of UTF-8 is left out."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ExperimentError(f"{file}:1: is in UTF-16; save it in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ExperimentError(
            f"{file}:{line}: byte 0x{content[error.start]:02x} is not UTF-8; save it in UTF-8"
        ) from None


def read_with_parents(
    file: Path, chain: tuple[Path, ...] = (), merged_files: dict[str, Document] | None = None
) -> Document:
    """Return the settings of a file, merged over those of the files it `extends`.

    Args:
        file: the experiment file. The files it extends are relative to it; of several, the later one wins.
        chain: the files that extend this one.
        merged_files: results by real path: files that several others extend are read once.

    Raises:
        ExperimentError: a file cannot be read, or files extend each other in a ring or over too many levels.
    """
    merged_files = {} if merged_files is None else merged_files
    path = os.path.realpath(file)
    if path in map(os.path.realpath, chain):
        ring = " -> ".join(str(part) for part in (*chain, file))
        raise ExperimentError(f"{ring}: files extend each other in a ring")
    if len(chain) > MOST_LEVELS:
        raise ExperimentError(f"{file}: is extended over more than {MOST_LEVELS} levels; put some files into one")
    if path in merged_files:
        return merged_files[path]
    document = read(file)
    parents = document.data.pop("extends", None) or []
    parents = [parents] if isinstance(parents, str) else parents
    if not isinstance(parents, list) or not all(isinstance(name, str) for name in parents):
        raise ExperimentError(f"{document.place(('extends',))}: extends: expected a file name or a list of them")
    merged = Document({}, {})
    for name in parents:
        parent = file.parent / name
        if not os.path.isfile(parent):  # noqa: PTH113  # a name that is too long is no file, either
            message = f"extends {shown(name)!r}: no such file beside this one"
            raise ExperimentError(f"{document.place(('extends',))}: {message}")
        merged = merge(merged, read_with_parents(parent, (*chain, file), merged_files))
    merged_files[path] = merge(merged, document)
    return merged_files[path]


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
    paths: list[KeyPath] = [tuple(parts[:length]) for length in range(len(parts))]
    places = {path: document.places.get(path, place) for path in paths}  # those above stay of the file
    places |= {tuple(parts): place, **{(*parts, *path): where for path, where in value.places.items()}}
    return merge(document, Document(above, places))


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
    place = f"--set {shown(item)}"
    if not equals or not dotted or shown(dotted) != dotted:
        raise ExperimentError(f"{place}: write PATH=VALUE, e.g. --set protocol.coarse.lr=1e-4")
    value = parse(text, place)
    return override(document, dotted, Document(value.data, dict.fromkeys(value.places or [()], place)))


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
