"""Merge settings over settings: `extends`, `--set` and the overrides of rows follow one rule.

Mappings merge key by key; a mapping whose `name` changes replaces the old one (another backbone brings other options);
null deletes; everything else, also a list, is replaced whole.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import ExperimentError, suggestion
from benchmark.experiment.document import Document, KeyPath, parse, read
from benchmark.experiment.schema import fields_at, is_open


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
    data = _merge_value(below.data, above.data, (), places, above.places)
    return Document(data, places)


def override(document: Document, dotted: str, value: Document) -> Document:
    """Return the document with `value` at a dotted path that exists in the schema; null deletes what was there."""
    parts = dotted.split(".")
    place = value.place(())
    _check_path(document, parts, place)
    above: Any = value.data
    for part in reversed(parts):
        above = {part: above}
    places = {tuple(parts[:length]): place for length in range(len(parts) + 1)}
    places |= {(*parts, *path): where for path, where in value.places.items()}
    merged = merge(Document(document.data, document.places), Document(above, {**places}))
    return Document(merged.data, {**merged.places, **_above_kept(document, parts)})


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


def _above_kept(document: Document, parts: list[str]) -> dict[KeyPath, str]:
    """Return the places of the settings above an override, which stay those of the file."""
    paths: list[KeyPath] = [tuple(parts[:length]) for length in range(len(parts))]
    return {path: document.places[path] for path in paths if path in document.places}


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
                _delete(merged, key, (*path, key), places)
            else:
                merged[key] = _merge_value(merged.get(key), value, (*path, key), places, above_places)
        _take_places(path, places, above_places, deep=False)
        return merged
    for old in [p for p in places if p[: len(path)] == path]:
        del places[old]
    _take_places(path, places, above_places, deep=True)
    return above


def _take_places(path: KeyPath, places: dict[KeyPath, str], above: Mapping[KeyPath, str], *, deep: bool) -> None:
    for p, place in above.items():
        if p == path or (deep and p[: len(path)] == path):
            places[p] = place


def _delete(merged: dict[str, Any], key: str, path: KeyPath, places: dict[KeyPath, str]) -> None:
    del merged[key]
    for old in [p for p in places if p[: len(path)] == path]:
        del places[old]


def _is_other_component(below: dict[str, Any], above: dict[str, Any]) -> bool:
    """Return whether `above` names another component, which the options below do not belong to."""
    return any(key in above and key in below and above[key] != below[key] for key in ("name", "source"))
