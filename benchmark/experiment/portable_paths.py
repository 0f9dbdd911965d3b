"""Paths in files that others read: relative, and without the name of the user whose folders they lead through."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ABSOLUTE = re.compile(r"""(?<![^\s=:,\[{("'`])/[^\s,\]})"'`]+""")
"""An absolute path in a text; a blank ends it."""


def relative_paths(data: Any, folder: Path) -> Any:
    """Return plain data with its absolute paths relative to a folder, where a file with these data means the same."""
    real = os.path.realpath(folder)  # `..` in a path leads up from there, also where the folder is reached by a link
    return _with_paths(data, lambda path: os.path.relpath(path, real))


def portable_data(data: Any, folder: Path) -> Any:
    """Return plain data for a record: paths are relative to a folder, and `USER` stands for the user's name in them."""
    return _with_paths(data, lambda path: _portable_path(path, folder))


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
    user = os.path.basename(os.path.expanduser("~"))  # noqa: PTH111, PTH119  # Path.home() fails without a home
    parts = Path(os.path.relpath(path, folder)).parts
    return Path(*("USER" if part == user else part for part in parts)).as_posix()


def _with_paths(data: Any, change: Callable[[str], str]) -> Any:
    """Return plain data with all absolute paths in it changed."""
    if isinstance(data, dict):
        return {key: _with_paths(value, change) for key, value in data.items()}
    if isinstance(data, list):
        return [_with_paths(value, change) for value in data]
    return change(data) if isinstance(data, str) and Path(data).is_absolute() else data
