"""The Markdown page as a renderer draws it: names stay names, tables stay tables; and equal bytes in any process."""

import hashlib
import os
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports.grid import Cell, Column, Grid
from reports.pages.table_formats import escape_markdown, markdown_table

HOSTILE = "<script>alert('x')</script>|`$a$"  # as in conftest.py
NAMES = st.text(alphabet=st.sampled_from(list("ab_*`|<>&[]()#~\\!$@-+1. \n")), min_size=1).filter(
    lambda name: name.strip()
)


class Drawn(HTMLParser):
    """Tags and text of what the renderer made."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.cells, self.text = [], [], ""
        self.feed(MarkdownIt("commonmark").enable("table").enable("strikethrough").render(text))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data):
        self.text += data
        if self.cells:
            self.cells[-1] += data.rstrip("\n")


@given(NAMES)
def test_a_name_in_a_paragraph_is_drawn_letter_by_letter(name):
    """No emphasis, code, link, heading, list or tag comes of it."""
    drawn = Drawn(escape_markdown(name))
    assert drawn.tags == ["p"] and " ".join(drawn.text.split()) == " ".join(name.split())


@given(NAMES, NAMES)
def test_names_in_a_table_stay_in_their_cells(one, other):
    """Two columns remain two, and each shows its name."""
    columns = (Column("a", one, numeric=False), Column("b", "b"))
    drawn = Drawn(markdown_table(Grid("t", "caption", columns, ((Cell(other, other), Cell(1, "1")),))))
    shown = [" ".join(cell.split()) for cell in drawn.cells]
    assert shown == [" ".join(one.split()), "b", " ".join(other.split()), "1"]


def test_the_hostile_report_is_drawn_without_any_foreign_tag(hostile):
    """Our headings, tables, pictures, code and details; the names are there to read."""
    drawn = Drawn((hostile / "report.md").read_text(encoding="utf-8"))
    text_tags = {"h1", "h2", "h3", "p", "strong", "em", "ul", "li", "img", "pre", "code", "details", "summary"}
    ours = text_tags | {"table", "thead", "tbody", "tr", "th", "td"}
    assert set(drawn.tags) <= ours
    assert HOSTILE in drawn.text and "=1+1|`x` $x_1$" in drawn.text
    assert drawn.tags.count("table") > 5 and drawn.tags.count("img") > 5


@pytest.mark.slow
def test_reports_made_in_two_processes_are_equal_byte_by_byte(make_run):
    """Whatever order sets and dictionaries of strings have there."""
    run = make_run(rows={"base": None, "heads.a": "heads", "losses.b": "losses"})
    digests = []
    for seed in ("1", "2"):
        code = "import sys, pathlib, reports; reports.write(pathlib.Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, run], check=True, env={**os.environ, "PYTHONHASHSEED": seed})
        files = sorted(path for path in (run / "report").rglob("*") if path.is_file())
        digests.append({str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files})
    assert digests[0] == digests[1] and len(digests[0]) > 25
