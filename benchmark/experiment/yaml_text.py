"""A YAML text as plain data, with the place of every value: read strictly, and within bounds that any text must keep.

The rules are those of YAML 1.2: on, off, yes, no and 12:30 are strings, and `1e-4` is a number; a key given twice is an
error. (PyYAML alone follows YAML 1.1, silently keeps the second of two equal keys, and expands aliases without end.)
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from benchmark.errors import RENAMED_KEYS, ExperimentError, shown

KeyPath = tuple[str | int, ...]
"""The keys that lead to a value, e.g. ("protocol", "coarse", "lr")."""

MOST_CHARACTERS = 1_000_000
MOST_LEVELS = 40
MOST_VALUES = 20_000
"""Values of a text after its aliases are replaced by what they stand for."""
LARGEST_INTEGER = 2**63 - 1

_MOST_DIGITS = 40
"""Of an integer, with underscores: longer ones are not even converted."""
_CORE = "tag:yaml.org,2002:"
_NUMBER = list("-+0123456789.")
_FLOAT = r"[-+]?(?:\d[\d_]*\.\d*(?:[eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.\d+(?:[eE][-+]?\d+)?|\.inf|\.nan)"
_SCALARS: Mapping[str, tuple[re.Pattern[str], list[str], Callable[[str], Any]]] = {
    "null": (re.compile(r"~|null|"), ["~", "n", ""], lambda _: None),
    "bool": (re.compile(r"true|false"), ["t", "f"], lambda text: text == "true"),
    "int": (re.compile(r"[-+]?(?:0|[1-9][\d_]*)", re.ASCII), _NUMBER, int),
    "float": (re.compile(_FLOAT, re.ASCII), _NUMBER, lambda text: float(re.sub(r"\.(inf|nan)$", r"\1", text))),
}
"""For each tag the whole text of a value, the letters that it may begin with, and what makes a value of it."""


class _Loader(yaml.SafeLoader):
    """Composes nodes and counts, without expanding it, what a text with aliases expands to."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML wants a class attribute; the 1.1 rules go

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._levels = self._values = 0
        self._anchored: dict[str, int | None] = {}  # values below each anchor; None while it is being composed

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it untyped
        before, anchor = self._values, str(event.anchor or "")
        if isinstance(event, yaml.AliasEvent):
            size = self._anchored.get(anchor, 0)
            self._check(size is not None, f"*{shown(anchor)} stands for a value that contains it", event)
            self._values += size or 0
        else:
            self._values += 1
        self._levels += 1
        self._check(self._levels <= MOST_LEVELS, f"more than {MOST_LEVELS} levels of nesting", event)
        self._check(self._values <= MOST_VALUES, f"more than {MOST_VALUES:,} values, aliases replaced", event)
        is_anchored = bool(anchor) and not isinstance(event, yaml.AliasEvent)
        if is_anchored:
            self._anchored[anchor] = None
        node = super().compose_node(parent, index)
        if is_anchored:
            self._anchored[anchor] = self._values - before
        self._levels -= 1
        return node

    def _check(self, is_kept: bool, problem: str, event: Any) -> None:
        if not is_kept:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


for _tag, (_pattern, _first, _) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"{_CORE}{_tag}", re.compile(f"(?:{_pattern.pattern})$", _pattern.flags), _first)


def parse_text(text: str, source: str) -> tuple[Any, dict[KeyPath, str]]:
    """Return the data in a YAML text, and the place of each path.

    Args:
        text: YAML.
        source: a file or an option, for places and messages.

    Raises:
        ExperimentError: the text is not YAML of plain data, gives a key twice, or is too large.
    """
    if len(text) > MOST_CHARACTERS:
        raise ExperimentError(f"{source}: {len(text):,} characters; settings have at most {MOST_CHARACTERS:,}")
    places: dict[KeyPath, str] = {}
    line = 1
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
        finally:
            line = loader.line + 1
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else line
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise ExperimentError(f"{source}:{line}: {shown(problem)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ExperimentError(f"{source}:{line}: the character {text[error.position]!a} may not stand here") from None
    except (ValueError, OverflowError):  # an escape of a character that does not exist
        raise ExperimentError(f"{source}:{line}: the number of a character or of the version is too large") from None
    return (_build(node, (), places, source) if node else None), places


def _build(node: Any, path: KeyPath, places: dict[KeyPath, str], source: str) -> Any:
    place = f"{source}:{node.start_mark.line + 1}"
    places.setdefault(path, place)
    if len(path) > MOST_LEVELS:  # an alias inside an alias
        raise ExperimentError(f"{place}: more than {MOST_LEVELS} levels of nesting")
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, place)
    if node.tag not in (f"{_CORE}map", f"{_CORE}seq"):
        raise ExperimentError(f"{place}: tag {shown(node.tag)}: only plain data are allowed here")
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, index), places, source) for index, item in enumerate(node.value)]
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = f"{source}:{key_node.start_mark.line + 1}"
        key = _key(key_node, line)
        if key in data:
            raise ExperimentError(f"{line}: key {key!r} is given twice")
        if ":" in key and key_node.style is None and value_node.value == "":  # {l1:1.0}, of which YAML makes a key
            name, _, value = key.partition(":")
            present = RENAMED_KEYS.get(name, name)
            renamed = "" if present == name else f", {name!r} is called {present!r} now"
            raise ExperimentError(f"{line}: {key}: a space is missing; write `{present}: {value}`{renamed}")
        places[(*path, key)] = line
        data[key] = _build(value_node, (*path, key), places, source)
    return data


def _key(node: Any, place: str) -> str:
    """Return a key as it is written: `1` and `true` are words there. Messages name keys, so they must be printable."""
    if not isinstance(node, yaml.ScalarNode):
        raise ExperimentError(f"{place}: a key must be a plain word")
    _scalar(node, place)
    key = _characters(node.value, place)
    if shown(key) != key:
        raise ExperimentError(f"{place}: key '{shown(key)}': keys are short and printable")
    return key


def _scalar(node: Any, place: str) -> Any:
    text, tag = node.value, node.tag.removeprefix(_CORE)
    if tag == "str":
        return _characters(text, place)
    if tag not in _SCALARS:
        raise ExperimentError(f"{place}: tag {shown(node.tag)}: only plain data are allowed here")
    pattern, _, convert = _SCALARS[tag]
    if not pattern.fullmatch(text):
        raise ExperimentError(f"{place}: {shown(text)!r} is no {tag}")
    if tag == "int" and (len(text) > _MOST_DIGITS or abs(int(text)) > LARGEST_INTEGER):
        raise ExperimentError(f"{place}: {shown(text)}: the largest whole number is {LARGEST_INTEGER}")
    return convert(text)


def _characters(text: str, place: str) -> str:
    """Return a text in which the two halves of a character, as JSON escapes them, are one character."""
    if "\0" in text:
        raise ExperimentError(f"{place}: '{shown(text)}' contains the character NUL")
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ExperimentError(f"{place}: '{shown(text)}' contains half a character") from None
