"""Writes a page into the report folder."""

import re
from collections.abc import Sequence
from pathlib import Path

from reports import ReportError, csvfile, html, markdown
from reports.page import Page

_OURS = {"tables": (".csv",), "figures": (".svg", ".png")}


def save(page: Page, folder: Path) -> Path:
    """Write all files of the report; files of an earlier report that this one has not are removed.

    Returns: the path of index.html. Raises: `ReportError` where the folder cannot be written to.
    """
    names = file_names([one.name for one in (*page.drawings, *page.examples.shown)])
    content = _content(page, names)
    try:
        _remove_others(folder, set(content))
        for name, data in content.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise ReportError(f"{folder}: the report cannot be written ({error})") from error
    return folder / "index.html"


def file_names(names: Sequence[str]) -> dict[str, str]:
    """A file name (without suffix) for each name: ASCII, no separators, none taken twice even where case is ignored."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".")[:100] or "unnamed"
        candidate, number = safe, 2
        while candidate.lower() in taken:
            candidate, number = f"{safe}_{number}", number + 1
        taken.add(candidate.lower())
        found[name] = candidate
    return found


def _content(page: Page, names: dict[str, str]) -> dict[str, bytes]:
    """File name -> bytes, relative to the report folder."""
    tables = file_names([grid.name for grid in page.grids])
    content = {
        "index.html": _bytes(html.render(page)),
        "report.md": _bytes(markdown.render(page, names)),
    }
    content |= {f"tables/{tables[grid.name]}.csv": _bytes(csvfile.render(grid)) for grid in page.grids}
    content |= {f"figures/{names[drawing.name]}.svg": drawing.svg for drawing in page.drawings}
    content |= {f"figures/{names[drawing.name]}.png": drawing.png for drawing in page.drawings}
    return content | {f"figures/{names[one.name]}.png": one.sheet for one in page.examples.shown}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="backslashreplace")  # a file name on disk need not be valid Unicode


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove our kinds of files that the new report does not write: a renamed row must not leave its old figure."""
    for place, suffixes in _OURS.items():
        for path in sorted((folder / place).glob("*")):
            if path.suffix in suffixes and f"{place}/{path.name}" not in names and path.is_file():
                path.unlink()
