"""The page of a measurement, from what `measure --json` wrote."""

import csv
import json
from pathlib import Path

import pytest

from reports import write
from reports.errors import ReportError
from reports.pages import measure_page

PUBLISHED = Path(__file__).parents[2] / "reports/published/latency"
HOSTILE = "<script>alert('x')</script>|`$a$"


@pytest.fixture
def measured(tmp_path):
    """A copy of a published measurement, and a function that writes it with changes."""
    data = json.loads((PUBLISHED / "small_sizes_quick.json").read_text())
    file = tmp_path / "costs.json"

    def change(edit=lambda data: None):
        edit(data)
        file.write_text(json.dumps(data))
        return file

    return change


def test_the_page_of_a_published_measurement(measured):
    """Every network with its cost, every latency, the fastest of each size in bold, beside the file."""
    page = write(measured()).page
    assert page.parent.name == "costs_report"
    data = json.loads(measured().read_text())
    with (page.parent / "tables" / "latency.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == sum(len(one["latencies"]) for one in data["networks"])
    medians = [float(line["median_ms"]) for line in lines if line["image"] == "256×256" and line["median_ms"]]
    assert min(medians) == min(
        entry["median_ms"]
        for one in data["networks"]
        for entry in one["latencies"]
        if entry["image"] == [256, 256] and "median_ms" in entry
    )
    html, text = page.read_text(), (page.parent / "report.md").read_text()
    assert "Fastest: " in html and html.count("best") >= 2
    assert "one image takes 2.1 s; over 2 s" in html and "2,224,710" in text
    assert {path.suffix for path in (page.parent / "figures").iterdir()} == {".svg"}


@pytest.mark.parametrize("file", sorted(PUBLISHED.glob("*.json")), ids=lambda file: file.stem)
def test_every_published_measurement_makes_a_page(file):
    """Both protocols, with and without gates."""
    page = measure_page.build(file)
    assert page.grids and page.title == file.stem


def test_names_stay_text_and_failures_are_told(measured):
    """A network that could not be measured stands with its reason, a hostile name does no harm."""

    def edit(data):
        data["networks"][0]["rows"] = [HOSTILE]
        data["networks"][1] = {"rows": ["broken"], "config": {}, "error": "=no such size <b>"}

    page = write(measured(edit)).page
    html = page.read_text()
    assert html.count("<script>") == 1 and "<b>" not in html and "&lt;script&gt;" in html
    assert "broken: =no such size" in html
    assert r"\|\`\$a\$" in (page.parent / "report.md").read_text()


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda data: data.update(schema=1), "schema is 1, this version reads 2"),
        (lambda data: data.pop("networks"), "has no `networks`"),
        (lambda data: data["networks"].append({}), "not in the form"),
        (lambda data: data["networks"][0].update(params="many"), "not in the form"),
    ],
)
def test_files_of_another_form_are_told_in_one_line(measured, edit, reason):
    """Older, foreign and broken files."""
    with pytest.raises(ReportError, match=reason) as caught:
        write(measured(edit))
    assert "\n" not in str(caught.value)


def test_gates_stand_in_a_table(measured):
    """With what was measured and the limit."""
    gate = {"name": "size", "quantity": "size", "limit": 1e7, "measured": 2e6, "unit": "bytes", "result": "passed"}
    gate["protocol"] = {}
    text = (
        write(measured(lambda data: data["networks"][0].update(gates=[gate]))).page.parent / "report.md"
    ).read_text()
    assert "2.00 MB" in text and "✓ passed" in text
