"""The page of a search, from its table of trials and its best experiment."""

import csv
import json

import pytest

from reports import write
from reports.errors import ReportError
from reports.metrics import metric
from reports.results.search import ranked
from reports.results.trials import read

HEADER = [
    "trial", "status", "psnr", "protocol.psnr.lr", "model.head", "steps_trained", "steps_reused", "seconds", "message",
]  # fmt: skip
LINES = [
    [0, "done", 33.5, "0.003", '{"name": "rgb"}', 100, 0, 12.5, ""],
    [1, "rejected", "", "0.006", '{"name": "rgb"}', 0, 0, 0.5, "gate size <b>: 12 MB"],
    [2, "done", 34.25, "0.012", '{"name": "degradation"}', 40, 60, 6.0, ""],
    [3, "done", 34.0, "0.0001", '{"name": "<i>|x"}', 40, 60, 6.0, "=1+1"],
]


@pytest.fixture
def make_search(tmp_path):
    """A function that writes the folder of a search and returns it."""

    def make(lines=LINES, header=HEADER):
        folder = tmp_path / "quick_search"
        folder.mkdir(exist_ok=True)
        with (folder / "trials.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *lines])
        (folder / "best.yaml").write_text("name: quick_search_best  # </code>\n")
        return folder

    return make


def test_trials_are_ranked_and_the_best_is_named(make_search):
    """The best first, in bold; those without a result below; the gain against trial 0 in the first sentence."""
    page = write(make_search(), latex=True).page
    with (page.parent / "tables" / "trials.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["trial"] for line in lines] == ["2", "3", "0", "1"]
    assert [line["psnr"] for line in lines] == ["34.25", "34.0", "33.5", ""]
    html = page.read_text()
    assert "Trial 2 is the best: val PSNR 34.25 dB, +0.750 against trial 0" in html
    assert "yet to be confirmed" in html and "quick_search_best" in html
    assert r"\textbf{34.25}" in (page.parent / "tables" / "trials.tex").read_text()
    assert {path.name for path in (page.parent / "figures").glob("*.svg")} == {
        "course.svg",
        "parallel.svg",
        "parameters.svg",
    }


def test_what_trials_say_stays_text(make_search):
    """Messages and values with HTML, pipes and formulas."""
    page = write(make_search()).page
    html = page.read_text()
    assert "<b>" not in html and "&lt;i&gt;|x" in html and "&lt;/code&gt;" in html
    assert "'=1+1" in (page.parent / "tables" / "trials.csv").read_text()
    assert r"\|x" in (page.parent / "report.md").read_text()


def test_cut_lines_are_counted_and_an_empty_search_gives_a_page(make_search):
    """A search that was stopped while it wrote, or that has just begun."""
    cut = read(make_search([*LINES, [4, "done", "inf", "1", "{}", 1, 1, 1, ""], [5, "do"]]) / "trials.csv")
    assert (len(cut.trials), cut.unreadable) == (4, 2)
    assert "No trial has finished training yet" in write(make_search([])).page.read_text()
    assert "2 lines left out" in write(make_search([*LINES, [5, "do"], ["x"]])).page.read_text()


def test_another_table_is_no_search(make_search):
    """The message names the file."""
    folder = make_search(header=["a", "b"], lines=[])
    with pytest.raises(ReportError, match=r"trials\.csv: has other columns"):
        write(folder)
    (folder / "trials.csv").write_text("")
    with pytest.raises(ReportError, match="not readable as a table of trials"):
        write(folder)


def test_records_of_trials_give_gates_and_provenance(make_search):
    """A broken one is a note, no crash."""
    folder = make_search()
    for number, text in ((0, json.dumps(_record())), (2, "{"), (3, json.dumps({"schema": 9}))):
        place = folder / f"trial.{number}" / "seed0"
        place.mkdir(parents=True)
        (place / "record.json").write_text(text)
    html = write(folder).page.read_text()
    assert "commit-of-trial" in html and "✓ passed" in html
    assert "trial.2/seed0/record.json: not readable" in html and "trial.3/seed0/record.json: schema is 9" in html


def test_metrics_that_are_best_low_are_ranked_so(make_search):
    """Harm: the lowest first."""
    found = read(make_search(header=[*HEADER[:2], "harm", *HEADER[3:]]) / "trials.csv")
    assert [one.number for one in ranked(found.trials, metric(found.metric))] == [0, 3, 2]


def test_a_metric_of_ones_own_is_ranked_in_its_direction_without_any_record(make_search):
    """search.json tells direction, unit and decimals: of a metric where less is better the lowest is first."""
    folder = make_search(header=[*HEADER[:2], "largest_error", *HEADER[3:]])
    facts = {"unit": "levels", "direction": "lower", "meaning": "max |restored - target|", "decimals": 1}
    (folder / "search.json").write_text(json.dumps({"schema": 2, "metric": "largest_error", "facts": facts}))
    html = write(folder).page.read_text()
    assert "Trial 0 is the best: val largest_error 33.5 levels" in html


def _record():
    gate = {
        "name": "size", "quantity": "size", "limit": 1e7, "measured": 2e6, "unit": "bytes", "result": "passed",
        "protocol": {},
    }  # fmt: skip
    return {
        "schema": 2, "experiment": "search", "row": "trial.0", "tables": ["trial"], "seed": 0, "status": "done",
        "config": {}, "config_hash": "hash", "gates": [gate],
        "provenance": {"commit": "commit-of-trial"},
    }  # fmt: skip
