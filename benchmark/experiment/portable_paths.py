"""Paths in files that others read: relative, and without the name of the user whose folders they lead through."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ABSOLUTE = re.compile(r"""(?<![^\s=:,\[{("'`])/[^\s,\]})"'`]+""")
"""An absolute path in a text; a blank ends it."""
_USER = "USER"
"""Stands for the user's name."""


def relative_paths(data: Any, folder: Path) -> Any:
    """Return plain data with its absolute paths relative to a folder, where a file with these data means the same."""
    real = os.path.realpath(folder)  # `..` in a path leads up from there, also where the folder is reached by a link
    return _with_paths(data, lambda path: os.path.relpath(path, real))


def portable_data(data: Any, folder: Path) -> Any:
    """Return plain data for a record: paths are relative to a folder, and `USER` stands for the user's name in them."""
    return _with_paths(data, lambda path: _portable_path(path, folder))


def with_own_name(data: Any, folder: Path) -> Any:
    """Return plain data that `portable_data` made, with the name of this user in those paths that exist with it.

    Args:
        data: Paths in it are relative to `folder`.
        folder: Of the file that the data were read from.
    """

    def own(text: str) -> str:
        path = Path(*(_user() if part == _USER else part for part in Path(text).parts))
        return path.as_posix() if f"/{_USER}/" in text and (folder / path).exists() else text

    return _with_texts(data, own)


def portable_text(text: str, folder: Path) -> str:
    """Return a text, e.g. a message, in which absolute paths are written as in a record."""
    return _ABSOLUTE.sub(lambda path: _portable_path(path[0], folder), text)


def portable_argument(argument: str, folder: Path) -> str:
    """Return an argument of a command line as it can be typed in a folder: a path, KEY=PATH, or text with paths."""
    key, equals, value = argument.partition("=")
    if Path(argument).is_absolute():
        return _portable_path(argument, folder)
    return (
        f"{key}{equals}{_portable_path(value, folder)}"
        if Path(value).is_absolute()
        else portable_text(argument, folder)
    )


def _portable_path(path: str, folder: Path) -> str:
    user, parts = _user(), Path(os.path.relpath(path, folder)).parts
    return Path(*(_USER if part == user else part for part in parts)).as_posix()


def _user() -> str:
    return os.path.basename(os.path.expanduser("~"))  # noqa: PTH111, PTH119  # Path.home() fails without a home


def _with_paths(data: Any, change: Callable[[str], str]) -> Any:
    """Return plain data with all absolute paths in it changed."""
    return _with_texts(data, lambda text: change(text) if Path(text).is_absolute() else text)


def _with_texts(data: Any, change: Callable[[str], str]) -> Any:
    """Return plain data with all texts in it changed, but for keys."""
    if isinstance(data, dict):
        return {key: _with_texts(value, change) for key, value in data.items()}
    if isinstance(data, list):
        return [_with_texts(value, change) for value in data]
    return change(data) if isinstance(data, str) else data
