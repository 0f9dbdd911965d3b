"""The page of an audit, from its record alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from reports.errors import ReportError
from reports.pages.audit_page import write


def pair(name: str, psnr: float | None, **changes: Any) -> dict[str, Any]:
    histogram = [0] * 256
    histogram[0], histogram[40] = 900, 100
    return {
        "name": name,
        "split": "",
        "height": 20,
        "width": 50,
        "psnr_db": psnr,
        "histogram": histogram,
        "severe_share": 0.1,
        "severe_energy": 0.9,
        "gain": [1.01, 1.0, 0.99],
        "offset": [0.5, 0.0, -0.5],
        "regions": [2, 0, 3],
        "shift": {"pixels": 0.02},
        **changes,
    }


def record(**changes: Any) -> dict[str, Any]:
    finding = {"check": "shifted", "title": "shifted", "severity": "error", "advice": "align"}
    cases = [{"pair": "<b>a</b>", "detail": "+1.00 px <img src=x>"}]
    return {
        "schema": 2,
        "name": "<script>alert(1)</script>",
        "origins": ["a & b", "c"],
        "unusable": 2,
        "findings": [{**finding, "cases": cases}],
        "pairs": [pair("low", 21.5), pair("high", 43.25), pair("equal", None, severe_energy=None, shift=None)],
        "experiment_yaml": "name: x # <i>",
        **changes,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "audit.json").write_text(json.dumps(record()))
    return tmp_path


def test_the_page_says_what_the_record_says(folder: Path) -> None:
    """Findings, the spread of the numbers, the pairs from the most damaged on, and the experiment stand there."""
    html = write(folder).read_text()
    assert "1 case would spoil a comparison; no warnings." in html
    assert "3 usable pairs" in html and "2 unusable pairs" in html
    assert "In the median pair the PSNR of the degraded image is 32.4 dB; 10.0 %" in html
    pairs = html[html.index("Pairs, the most damaged first") :]
    assert pairs.index(">21.50<") < pairs.index(">43.25<") < pairs.index(">equal<")
    figures, panels = '<figure class="drawing">', 'class="panels" role="img" tabindex="0" aria-label='
    assert html.count(figures) == html.count(panels) == 4
    assert "nan" not in html[html.index("Degradation") : html.index("Pairs, the most damaged first")]


def test_names_are_text_never_markup(folder: Path) -> None:
    """What files and folders are called cannot become part of the page, and nothing is asked of any server."""
    html = write(folder).read_text()
    for dangerous in ("<script>alert", "<b>a</b>", "<img src=x>", "<i>", "http://", "https://"):
        assert dangerous not in html
    assert "&lt;b&gt;a&lt;/b&gt;" in html and "a &amp; b" in html


def test_the_same_record_gives_the_same_page(folder: Path) -> None:
    """Nothing on the page depends on when it was made."""
    assert write(folder).read_bytes() == write(folder).read_bytes()


def test_a_folder_without_usable_pairs_has_a_page(folder: Path) -> None:
    """No pair, no finding: the page says so and has no empty figure."""
    (folder / "audit.json").write_text(json.dumps(record(pairs=[], findings=[], experiment_yaml="")))
    html = write(folder).read_text()
    assert "Nothing spoils a comparison" in html and "no usable pair" in html and "<figure" not in html


@pytest.mark.parametrize("content", [None, "no JSON", "[]", '{"pairs": [{}]}', '{"pairs": 3, "findings": []}'])
def test_other_files_are_refused(tmp_path: Path, content: str | None) -> None:
    """A missing record and one that is no audit are told with what to do."""
    if content is not None:
        (tmp_path / "audit.json").write_text(content)
    with pytest.raises(ReportError, match=r"audit.json: .*`?data check`? "):
        write(tmp_path)
