"""Published files name no folder of the machine and no user: absolute paths become relative, or a name alone."""

import re
from pathlib import Path, PureWindowsPath
from typing import Any

_SEPARATED = r"[^\s'\"`,;:=()\[\]{}<>|\\/]+"
_PATH = re.compile(rf"(?<![\w.:/\\])(?:/|[A-Za-z]:[\\/]+)(?:{_SEPARATED}[\\/]+)+(?:{_SEPARATED})?(?<!\.)")
"""An absolute path of two parts or more in running text; what stands behind a colon is an address."""


def relative_paths(content: Any, base: Path) -> Any:
    """Return plain data or a text with relative paths.

    A path below `base` becomes relative to it. Of another one the name is left, without its folders.

    Args:
        content: JSON or YAML as plain data, or a text in which paths occur.
        base: The folder that paths are relative to, absolute.
    """
    if isinstance(content, dict):
        return {key: relative_paths(value, base) for key, value in content.items()}
    if isinstance(content, list):
        return [relative_paths(value, base) for value in content]
    if not isinstance(content, str):
        return content
    if _is_absolute(content) and not re.search(r"[:\n]\s", content):  # a path with spaces, and no message
        return _relative(content, base)
    text = _PATH.sub(lambda match: _relative(match[0], base), content)
    return re.sub(rf"(?<![\w.-]){re.escape(str(_home()))}(?![\w.-])", "~", text)


def _is_absolute(text: str) -> bool:
    return Path(text).is_absolute() or PureWindowsPath(text).is_absolute()


def _relative(path: str, base: Path) -> str:
    if not Path(path).is_absolute():
        return PureWindowsPath(path).name
    if Path(path.replace("\\", "")) == _home():  # in Markdown, signs of a name stand behind backslashes
        return "~"
    inside = Path(path).relative_to(base) if Path(path).is_relative_to(base) else Path(Path(path).name)
    return inside.name if _home().name in inside.parts[:-1] else inside.as_posix()


def _home() -> Path:
    """Return the home folder of the user; `~` where the system knows of none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("~")
