"""The page as Markdown for GitHub: the same tables and figures, with relative links to the PNG files."""

# jinja2 leaves the type of its filters open.
# pyright: reportUnknownMemberType=false

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports.figures.examples import Example
from reports.figures.figure_output import Drawing
from reports.grid import Cell, Grid, Line, on_page
from reports.pages.page import Page
from reports.pages.section_page import PlainPage

_TEMPLATES = Path(__file__).parent / "templates"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~$])")


class Ready(str):
    """Text that is Markdown already and must not be escaped again."""


def render(page: Page, names: Mapping[str, str]) -> str:
    """The page of a run as Markdown. `names`: file names (without suffix) of figures and example sheets."""
    return _environment(names).get_template("report.md.j2").render(page=page)


def render_plain(page: PlainPage, names: Mapping[str, str]) -> str:
    """A page of sections as Markdown. `names`: file names (without suffix) of figures."""
    return _environment(names).get_template("plain_page.md.j2").render(page=page)


def _environment(names: Mapping[str, str]) -> Environment:
    # What a template prints is escaped unless a filter made it `Ready`: forgetting a filter shows, but does no harm.
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=False,  # Markdown, escaped by `finalize`
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )

    def figure(drawing: Drawing) -> Ready:
        return image(drawing.alt, names[drawing.name])

    def sheet(example: Example) -> Ready:
        return image(f"{example.image} side by side", names[example.name])

    filters: dict[str, Any] = environment.filters
    filters.update(table=table, fenced=fenced, html_text=html_text, figure=figure, sheet=sheet)
    return environment


def escape(text: str) -> str:
    """Text as Markdown shows it letter by letter, on one line, also inside a table."""
    line = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    for letter, entity in _ENTITIES.items():  # last, as their own signs must not be escaped
        line = line.replace(letter, entity)
    # The entities in addresses keep GitHub from making links of them; the last one keeps a line from opening a list.
    line = line.replace("://", "&#58;//").replace("www.", "www&#46;")
    return re.sub(r"^(\d*)([-+=.)])(?=[-=\s]|$)", r"\1\\\2", line)


def html_text(text: str) -> Ready:
    """Text inside an HTML element of the page, where Markdown does not look."""
    return Ready(html.escape(" ".join(text.split())))


def table(grid: Grid) -> Ready:
    """A grid as a pipe table with its caption above and its notes below."""
    shown = on_page(grid)
    heads = [escape(f"{column.label}, {column.unit}" if column.unit else column.label) for column in shown.columns]
    rules = ["--:" if column.numeric else ":--" for column in shown.columns]
    lines = [_line(line, apart=False) for line in shown.lines] + [_line(line, apart=True) for line in shown.apart]
    text = [f"**{escape(shown.caption)}**", "", _piped(heads), _piped(rules), *lines]
    for note in shown.notes:
        text += ["", f"{escape(note)}"]
    return Ready("\n".join(text))


def fenced(text: str, language: str = "") -> Ready:
    """Text in a code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Ready(f"{fence}{language}\n{text.rstrip()}\n{fence}")


def image(alt: str, name: str) -> Ready:
    """A figure's PNG by its relative path."""
    return Ready(f"![{escape(alt)}](figures/{name}.png)")


def _finalized(value: object) -> str:
    return value if isinstance(value, Ready) else escape(str(value))


def _line(line: Line, apart: bool) -> str:
    return _piped([_cell(cell, apart) for cell in line])


def _cell(cell: Cell, apart: bool) -> str:
    text = escape(cell.text)
    if cell.best:
        return f"**{text}**"
    return f"*{text}*" if apart and cell.value and isinstance(cell.value, str) else text


def _piped(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
