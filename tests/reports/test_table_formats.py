"""Tables as CSV, Markdown and LaTeX: nothing in a name is a formula, markup or a command."""

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports import write
from reports.grid import Cell, Column, Grid
from reports.pages.table_formats import csv_text, escape_latex, escape_markdown, latex_table, markdown_table

HOSTILE = "<script>alert('x')</script>|`$a$"  # as in conftest.py
NAMES = st.text(alphabet=st.sampled_from(list("ab_*`|<>&[]()#~\\!$@-+1. \n")), min_size=1).filter(
    lambda name: name.strip()
)
COMMANDS = re.compile(r"\\(?:text[a-z]+|ldots|times|cdot|pm|leq|geq|mu|Delta|checkmark)(?:\{\})?|\\[{}$&#%_]")
DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{booktabs,amssymb,textcomp}
\begin{document}
%s
\end{document}
"""


def test_csv_cells_cannot_be_formulas():
    """Words that a spreadsheet would run get an apostrophe; numbers, negative ones too, stay numbers."""
    words = ["=1+1", "+x", "-x", "@x", "-1.5", "+2", "plain"]
    lines = (*((Cell(word, word),) for word in words), (Cell(-0.25, ""),), (Cell(None, "–"),))
    text = csv_text(Grid("g", "", (Column("=head", ""),), lines))
    cells = [line[0] if line else "" for line in csv.reader(io.StringIO(text))]
    assert cells == ["'=head", "'=1+1", "'+x", "'-x", "'@x", "-1.5", "+2", "plain", "-0.25", ""]


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a_b*c", r"a\_b\*c"), ("1. x", r"1\. x"), ("- x", r"\- x"), ("a\n# b", r"a \# b"), ("http://x", "http&#58;//x")],
)
def test_markdown_shows_text_letter_by_letter(text, shown):
    """Marks of Markdown in names are escaped, lines joined."""
    assert escape_markdown(text) == shown


@pytest.fixture(scope="module")
def tables(written, tmp_path_factory):
    """The folder of tables of a report that was asked for LaTeX."""
    run = shutil.copytree(written.parent, tmp_path_factory.mktemp("latex") / "quickstart")
    return write(run, latex=True).page.parent / "tables"


def grid_of(*cells, caption="c", notes=()):
    return Grid(
        "a_b", caption, (Column("row", "row", numeric=False), Column("psnr", "PSNR", "dB")), (cells,), (), notes
    )


@given(st.text())
@example("\N{MINUS SIGN}")
def test_escaped_text_has_no_active_letter(text):
    """After our own commands are taken out, no letter is left that TeX would act on; braces are balanced."""
    escaped = escape_latex(text)
    left = COMMANDS.sub("", escaped)
    assert not re.search(r"[\\$&#%_^~]", left.replace("$-$", "").replace("$$", ""))  # $-$ is the minus sign
    assert left.count("{") == left.count("}") and "\n" not in escaped


@given(st.text(alphabet=st.characters(codec="latin-1", categories=["L", "N"])))
def test_ordinary_letters_stay_as_they_are_or_are_named(text):
    """Letters of western languages pass or stand as a code point, never as nothing."""
    assert all(escape_latex(letter) for letter in text)


def test_best_is_bold_and_second_is_underlined():
    """And only they; an absent value is a dash."""
    grid = Grid(
        "t",
        "c",
        (Column("x", "x"), Column("y", "y"), Column("z", "z"), Column("v", "v")),
        ((Cell(3, "3.0", best=True), Cell(2, "2.0", second=True), Cell(1, "1.0"), Cell(None, "–")),),
    )
    text = latex_table(grid)
    assert r"\textbf{3.0} & \underline{2.0} & 1.0 & -- \\" in text
    assert text.count(r"\textbf") == text.count(r"\underline") == 1


def test_columns_of_the_csv_file_alone_are_left_out():
    """What is not on the page is not in the paper."""
    columns = (Column("a", "a"), Column("b", "b", csv_only=True))
    text = latex_table(Grid("t", "c", columns, ((Cell(1, "1"), Cell(2, "2")),)))
    assert r"\begin{tabular}{@{}r@{}}" in text and "2" not in text


def test_the_report_has_best_and_second_of_its_ranking(tables):
    """With three rows, the primary metric has one of each, in bold and underlined."""
    text = (tables / "ranking.tex").read_text()
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    cells = [line.removesuffix(r"\\").split(" & ") for line in lines]
    column = [line[2].strip() for line in cells[1:4]]
    assert [
        bool(re.match(start, cell)) for start, cell in zip((r"\\textbf", r"\\underline", r"\d"), column, strict=True)
    ]
    assert column[0].startswith(r"\textbf{") and column[1].startswith(r"\underline{") and column[2][0].isdigit()
    assert r"\midrule" in text and "toprule" in text and "Underlined" in text


def test_every_table_that_is_shown_has_its_tex_file(tables):
    """Only what has no text at all (all stages, seed by seed) is for the CSV file alone."""
    names = {suffix: {path.stem for path in tables.glob(f"*.{suffix}")} for suffix in ("csv", "tex")}
    assert names["tex"] < names["csv"] and names["csv"] - names["tex"] == {"stages"}


def test_the_tables_of_a_report_are_set_in_full(tables):
    """Every letter of an ordinary report is one that LaTeX knows, the Δ of differences too."""
    tables = {path.name: path.read_text() for path in tables.glob("*.tex")}
    assert any(r"$\Delta$" in table for table in tables.values())
    assert [name for name, table in tables.items() if "{[}U+" in table] == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (Debian: texlive-latex-recommended)")
def test_tex_compiles_all_tables_of_a_report_with_hostile_names(hostile, tmp_path):
    """pdflatex ends without any error, whatever rows, images and reasons are called."""
    tables = [path.read_text() for path in sorted((hostile / "tables").glob("*.tex"))]
    everything = "".join(map(chr, [*range(32, 0x250), 0x2026, 0x2713, 0x6F22, 0x1F600]))
    tables.append(
        latex_table(grid_of(Cell(everything, everything), Cell(1, "1"), caption=everything, notes=(everything,)))
    )
    (tmp_path / "all.tex").write_text(DOCUMENT % "\n\\clearpage\n".join(tables), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-1500:]
    assert len(tables) > 6 and (tmp_path / "all.pdf").stat().st_size > 5000
