"""Write a page into the report folder: HTML, Markdown, tables as CSV (and LaTeX on request), figures.

The HTML file is self-contained: nothing in it asks a server for anything.
"""

# jinja2 leaves the type of its filters open.
# pyright: reportUnknownMemberType=false

import html
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

from reports import figures
from reports.errors import ReportError
from reports.figures.examples import Example
from reports.figures.strip import Strip
from reports.file_access import write_bytes
from reports.grid import Grid, on_page
from reports.pages import Page
from reports.pages.table_formats import Markdown, csv_text, escape_markdown, latex_table, markdown_table
from reports.text import anchor


class _CompiledTemplates(BytecodeCache):
    """Templates that this process has compiled: `report --watch` fills them again and again."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if code := self._code.get(bucket.key):
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _CompiledTemplates()
_GENERATED = {"tables": (".csv", ".tex"), "figures": (".svg", ".png")}


def save(page: Page, folder: Path, *, latex: bool = False) -> Path:
    """Write all files of a report, then remove files of an earlier report that this one does not have.

    A reader may come at any time, and the writer may be killed at any time: each file is replaced as a whole, and the
    two pages follow the figures they show.

    Args:
        page: What to write.
        folder: Where to write it.
        latex: Write each table as LaTeX, too.

    Returns:
        The path of index.html.

    Raises:
        ReportError: The folder cannot be written to.
    """
    examples = [block for block in page.blocks if isinstance(block, Example | Strip)]
    names = file_names([block.name for block in (*page.figures, *examples)])
    content = {
        **_tables(page.grids, latex),
        **{f"figures/{names[figure.name]}.svg": figure.svg for figure in page.figures},
        **{f"figures/{names[example.name]}.png": example.sheet for example in examples},
        "report.md": as_markdown(page, names),
        "index.html": as_html(page),
    }
    return _write(folder, content, remove_others=True)


def save_html(page: Page, folder: Path) -> Path:
    """Write index.html alone, and return its path. Raises `ReportError` as `save` does."""
    return _write(folder, {"index.html": as_html(page)}, remove_others=False)


def _write(folder: Path, content: Mapping[str, str | bytes], *, remove_others: bool) -> Path:
    try:
        for name, data in content.items():
            # The name of an image need not be valid Unicode.
            write_bytes(folder / name, data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data)
        if remove_others:
            _remove_others(folder, set(content))
    except OSError as error:
        raise ReportError(f"{folder}: the report cannot be written ({error})") from error
    return folder / "index.html"


def file_names(names: Sequence[str]) -> dict[str, str]:
    """Return a file name without suffix for each name: ASCII, no separators, unique even where case is ignored."""
    by_name: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".")[:100] or "unnamed"
        candidate, number = safe, 2
        while candidate.lower() in taken:
            candidate, number = f"{safe}_{number}", number + 1
        taken.add(candidate.lower())
        by_name[name] = candidate
    return by_name


def as_html(page: Page) -> str:
    """Return a page as one self-contained HTML file; everything a page says is escaped."""
    used = Counter[str]()

    def unique_id(name: str) -> str:
        used[_slug(name)] += 1
        return _slug(name) if used[_slug(name)] == 1 else f"{_slug(name)}-{used[_slug(name)]}"

    filters = {
        "on_page": on_page, "breakable": _breakable, "unique_id": unique_id, "slug": _slug,
        "anchor": anchor, "json_block": json_block,
    }  # fmt: skip
    return rendered(page, "page.html.j2", filters, autoescape=True)


def as_markdown(page: Page, names: Mapping[str, str]) -> str:
    """Return a page as Markdown for GitHub, with relative links to the files of figures (SVG) and pictures (PNG).

    Args:
        page: What to write.
        names: File names, without suffix, of the figures and of the examples.
    """

    def image(alt: str, name: str, suffix: str) -> Markdown:
        return Markdown(f"![{escape_markdown(alt)}](figures/{names[name]}.{suffix})")

    def html_text(text: str) -> Markdown:
        return Markdown(html.escape(" ".join(text.split())))

    # What a template prints is escaped unless a filter made it `Markdown`: a forgotten filter shows, but does no harm.
    filters = {"table": markdown_table, "fenced": fenced, "html_text": html_text, "image": image, "ready": Markdown}
    return rendered(
        page,
        "page.md.j2",
        filters,
        finalize=lambda value: value if isinstance(value, Markdown) else escape_markdown(str(value)),
    )


def fenced(text: str, language: str = "") -> Markdown:
    """Return text in a code block whose fence is longer than any run of backticks in it."""
    fence = "`" * max(3, max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    return Markdown(f"{fence}{language}\n{text.rstrip()}\n{fence}")


def rendered(page: object, template: str, filters: Mapping[str, Callable[..., object]], **options: Any) -> str:
    """Return a template filled with `page`; `options` are those of the jinja2 environment."""
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent / "templates", Path(figures.__file__).parent]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        bytecode_cache=_COMPILED,
        keep_trailing_newline=True,
        **options,
    )
    environment.filters.update(filters, kind=lambda block: type(block).__name__)
    return environment.get_template(template).render(page=page)


def _slug(name: str) -> str:
    """Return a name as an HTML id or class: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "table"


def _breakable(name: str) -> Markup:
    """Return an escaped name that may break after a full stop, a slash or an underscore."""
    return Markup(re.sub(r"([._/])(?=\w)", r"\1<wbr>", str(escape(name))))


def json_block(data: Mapping[str, Any]) -> Markup:
    """Return JSON for a script element: ASCII without `<`, so that nothing in it can end the element."""
    plain = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(plain.replace("<", "\\u003c").replace("&", "\\u0026"))


def _tables(grids: Sequence[Grid], latex: bool) -> dict[str, str]:
    names = file_names([grid.name for grid in grids])
    # A table that is made for the CSV file alone has no text.
    with_text = [grid for grid in grids if any(cell.text for line in (*grid.lines, *grid.footer_rows) for cell in line)]
    return {f"tables/{names[grid.name]}.csv": csv_text(grid) for grid in grids} | {
        f"tables/{names[grid.name]}.tex": latex_table(grid) for grid in (with_text if latex else ())
    }


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove generated files that the new report does not write, such as the figure of a renamed row."""
    for place, suffixes in _GENERATED.items():
        for path in sorted((folder / place).glob("*")):
            if path.suffix in suffixes and f"{place}/{path.name}" not in names and path.is_file():
                path.unlink()
