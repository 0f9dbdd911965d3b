"""Writes a page into the report folder."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from reports.errors import ReportError
from reports.figures.figure_output import Drawing
from reports.grid import Grid
from reports.pages import csvfile, html, latex, markdown
from reports.pages.page import Page
from reports.pages.section_page import PlainPage

_OURS = {"tables": (".csv", ".tex"), "figures": (".svg", ".png")}


def save(page: Page | PlainPage, folder: Path) -> Path:
    """Write all files of the report; files of an earlier report that this one has not are removed.

    Each file is whole at every moment, so a reader may come at any time.

    Returns: the path of index.html. Raises: `ReportError` where the folder cannot be written to.
    """
    content = _content(page)
    try:
        _remove_others(folder, set(content))
        for name, data in content.items():
            _replace(folder / name, data)
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


def _content(page: Page | PlainPage) -> dict[str, bytes]:
    """File name -> bytes, relative to the report folder."""
    sheets = page.examples.shown if isinstance(page, Page) else ()
    names = file_names([one.name for one in (*page.drawings, *sheets)])
    return {
        **_pages(page, names),
        **_tables(page.grids),
        **_figures(page.drawings, names),
        **{f"figures/{names[one.name]}.png": one.sheet for one in sheets},
    }


def _pages(page: Page | PlainPage, names: Mapping[str, str]) -> dict[str, bytes]:
    if isinstance(page, PlainPage):
        texts = html.render_plain(page), markdown.render_plain(page, names)
    else:
        texts = html.render(page), markdown.render(page, names)
    return dict(zip(("index.html", "report.md"), map(_bytes, texts), strict=True))


def _tables(grids: Sequence[Grid]) -> dict[str, bytes]:
    names = file_names([grid.name for grid in grids])
    numbers = {f"tables/{names[grid.name]}.csv": _bytes(csvfile.render(grid)) for grid in grids}
    shown = [grid for grid in grids if _has_text(grid)]
    return numbers | {f"tables/{names[grid.name]}.tex": _bytes(latex.render(grid)) for grid in shown}


def _has_text(grid: Grid) -> bool:
    """False for tables that are made for the CSV file alone."""
    return any(cell.text for line in (*grid.lines, *grid.apart) for cell in line)


def _figures(drawings: Sequence[Drawing], names: Mapping[str, str]) -> dict[str, bytes]:
    vectors = {f"figures/{names[drawing.name]}.svg": drawing.svg for drawing in drawings}
    return vectors | {f"figures/{names[drawing.name]}.png": drawing.png for drawing in drawings}


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="backslashreplace")  # a file name on disk need not be valid Unicode


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove our kinds of files that the new report does not write: a renamed row must not leave its old figure."""
    for place, suffixes in _OURS.items():
        for path in sorted((folder / place).glob("*")):
            if path.suffix in suffixes and f"{place}/{path.name}" not in names and path.is_file():
                path.unlink()
