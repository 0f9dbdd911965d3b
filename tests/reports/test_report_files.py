"""The files of a report: escaped, self-contained, balanced, equal byte for byte."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from reports import write
from reports.pages.files import fenced, file_names

VOID = {"meta", "img", "input", "wbr", "br", "link"}
HOSTILE = "<script>alert('x')</script>|`$a$"  # as in conftest.py


class Outline(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag is closed in order."""

    def __init__(self):
        super().__init__()
        self.stack, self.tags, self.attributes, self.text, self.headings = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, f"</{tag}> inside {self.stack[-3:]}"
        self.stack.pop()

    def handle_data(self, data):
        self.text.append(data)


def outline_of(path):
    outline = Outline()
    outline.feed(path.read_text(encoding="utf-8"))
    outline.close()
    assert outline.stack == []
    return outline


def test_the_page_is_balanced_and_every_table_has_caption_and_scopes(written):
    """Tags close in order; each table has a caption, each header cell a scope, each picture a text."""
    outline = outline_of(written / "index.html")
    assert outline.tags.count("caption") == outline.tags.count("table") > 5
    assert sum(name == "scope" for _, name, _ in outline.attributes) == outline.tags.count("th")
    alts = [value for tag, name, value in outline.attributes if tag == "img" and name == "alt"]
    assert len(alts) == outline.tags.count("img") and all(alts)
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    labels = [value for _, name, value in outline.attributes if name == "aria-labelledby"]
    assert {name for label in labels for name in label.split()} <= set(ids)


def test_the_page_asks_no_server_for_anything(written):
    """All sources are data, all links lead into the page; the policy forbids the rest."""
    path = written / "index.html"
    outline = outline_of(path)
    for _, name, value in outline.attributes:
        if name == "src":
            assert value.startswith("data:image/")
        if name in ("href", "action", "srcset", "poster"):
            assert value.startswith("#")
    assert "url(" not in path.read_text() and "@import" not in path.read_text()
    policy = [value for tag, name, value in outline.attributes if tag == "meta" and name == "content"]
    assert any(value.startswith("default-src 'none'") for value in policy)


def test_hostile_names_stay_text_in_html(hostile):
    """The only script and style are our own, beside a block of data; the names are still readable."""
    outline = outline_of(hostile / "index.html")
    assert [value for tag, name, value in outline.attributes if (tag, name) == ("script", "type")] == [
        "application/json"
    ]
    assert outline.tags.count("script") == 2
    assert not {"u", "b"} & set(outline.tags)
    assert all(value.startswith("data:") for tag, name, value in outline.attributes if (tag, name) == ("img", "src"))
    text = "".join(outline.text)
    assert HOSTILE in text and "heads.<img src=x>" in text and "<u>x" in text


def test_hostile_names_stay_text_in_markdown(hostile):
    """Outside code blocks there is no tag but our details, and each line of a table has its number of cells."""
    text = (hostile / "report.md").read_text(encoding="utf-8")
    prose = re.sub(r"^(`{3,})\w*\n.*?\n\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"</?(\w+)", prose)) == {"details", "summary"}
    assert "&lt;script&gt;" in prose and r"\|\`\$a\$" in prose
    tables = re.findall(r"(?:^\|.*\|\n)+", prose, flags=re.MULTILINE)
    assert len(tables) > 5
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_markdown_links_lead_to_files_of_the_report(hostile):
    """Figures are SVG and pictures PNG files beside the page, under harmless names."""
    links = re.findall(r"!\[(?:\\.|[^\]\\])*\]\(([^)]*)\)", (hostile / "report.md").read_text(encoding="utf-8"))
    assert len(links) > 5
    assert all((hostile / link).is_file() and re.fullmatch(r"figures/[\w.-]+\.(svg|png)", link) for link in links)


def test_a_fence_is_longer_than_the_backticks_inside():
    """Text cannot leave its code block."""
    assert fenced("a\n````\nb").splitlines() == ["`````", "a", "````", "b", "`````"]


def test_csv_tables_hold_unrounded_numbers(written):
    """What the ranking shows with two decimals is in full in the CSV file."""
    with (written / "tables" / "ranking.csv").open(newline="") as file:
        line = next(line for line in csv.DictReader(file) if line["row"] == "identity")
    record = json.loads((written.parent / "identity" / "record.json").read_text())
    assert float(line["psnr"]) == record["scores"]["test"]["psnr"]["mean"]
    assert line["weight_bytes_float32"] == ""


def test_writing_again_elsewhere_gives_the_same_bytes(make_run, written):
    """Reports of the same records are equal, file by file, wherever the run lies."""
    again = write(make_run()).page.parent
    one, other = (
        {str(p.relative_to(f)): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (written, again)
    )
    assert one.keys() == other.keys() and len(one) > 15
    assert [name for name in one if one[name] != other[name]] == []


def test_old_tables_and_figures_are_removed_but_nothing_else(make_run):
    """A renamed row leaves no old figure; files that are not ours stay."""
    run = make_run(rows={"base": None}, seeds=(0,))
    (run / "report" / "figures").mkdir(parents=True)
    (run / "report" / "figures" / "loss_old.svg").write_text("old")
    (run / "report" / "figures" / "mine.txt").write_text("mine")
    write(run)
    assert not (run / "report" / "figures" / "loss_old.svg").exists()
    assert (run / "report" / "figures" / "mine.txt").exists()


def test_failed_rows_are_shown_with_their_reason(hostile):
    """In both pages."""
    assert all("loss is nan" in (hostile / name).read_text() for name in ("index.html", "report.md"))


@pytest.mark.parametrize("keep", ["nothing", "plan without rows", "floor", "rejected"])
def test_a_run_without_finished_rows_still_gives_a_page(make_run, edit, keep):
    """The page says that nothing has finished, and stays sound."""
    run = make_run(rows={"base": None, "heads.a": "heads"})
    if keep == "plan without rows":
        edit(run / "plan.json", rows=[])
    for path in list(run.glob("*/seed*/record.json")) + list(run.glob("identity")):
        if keep == "rejected" and path.name == "record.json":
            edit(path, status="rejected", error={"message": "gate size"}, scores={}, stages=[])
        elif keep != "floor" or path.name == "record.json":
            shutil.rmtree(path if path.is_dir() else path.parent)
    path = write(run).page
    text = "".join(outline_of(path).text)
    assert "No row has finished yet" in text
    assert "No row has finished yet" in path.with_name("report.md").read_text()


def test_file_names_are_safe_and_never_taken_twice():
    """Separators, dots in front and letter case cannot make two names one file."""
    names = file_names(["a/b", "a b", "A_B", "../x", "<b>", "ä"])
    assert len({name.lower() for name in names.values()}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][\w.-]*", name) for name in names.values())


def test_figures_follow_dark_mode(written):
    """Every colour of a figure has another one in dark mode; programs without dark mode ignore these rules."""
    figures = sorted((written / "figures").glob("*.svg"))
    assert any(path.name.startswith("loss_") for path in figures)
    for path in figures:
        text = path.read_text(encoding="utf-8")
        rules, drawing = text.split("</style>", 1)
        light, dark = rules.split("@media (prefers-color-scheme: dark)")
        coloured = re.compile(r"([.\w ]+) \{[^}]*#[0-9a-f]{6}")
        assert set(coloured.findall(light)) == set(coloured.findall(dark)) != set(), path.name
        assert "#" not in re.sub("&#[^;]*;", "", drawing) and "var(" not in text, path.name


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
    assert digests[0] == digests[1] and len(digests[0]) > 20
