"""The page as one self-contained HTML file: nothing in it asks any server for anything."""

# jinja2 leaves the type of its filters open.
# pyright: reportUnknownMemberType=false

import base64
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from reports.figures.figure_output import Drawing
from reports.grid import on_page
from reports.pages.page import Page
from reports.pages.section_page import PlainPage

_TEMPLATES = Path(__file__).parent / "templates"


def render(page: Page) -> str:
    """The page of a run as HTML."""
    return fill("index.html.j2", page)


def render_plain(page: PlainPage) -> str:
    """A page of sections as HTML."""
    return fill("plain_page.html.j2", page)


def fill(template: str, page: object) -> str:
    """A template of ours with a page of its kind; what the page says is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    filters: dict[str, Any] = environment.filters
    filters.update(on_page=on_page, svg_uri=_svg_uri, breakable=_breakable)
    return environment.get_template(template).render(page=page)


def _breakable(name: str) -> Markup:
    """An escaped name that may break after a full stop, a slash or an underscore, as in `backbones.restormer_lite`."""
    return Markup(re.sub(r"([._/])(?=\w)", r"\1<wbr>", str(escape(name))))


def _svg_uri(drawing: Drawing) -> str:
    """The figure as a data URI: as an image its ids and styles cannot meet those of another figure or of the page."""
    return f"data:image/svg+xml;base64,{base64.b64encode(drawing.svg).decode('ascii')}"
