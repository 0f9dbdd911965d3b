"""The study of a search: small, byte-stable, and enough to make the page of the search again."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports import write
from reports.errors import ReportError
from reports.pages.publish_search import publish_search
from reports.results.published import read_study
from reports.results.search import read_search

Search = Callable[[], Path]
TRIALS = [
    ["trial", "status", "psnr", "protocol.psnr.lr", "steps_trained", "steps_reused", "seconds", "message"],
    [0, "done", 33.5, "0.003", 100, 0, 12.5, ""],
    [1, "rejected", "", "0.006", 0, 0, 0.5, "fails gate size: failed (12 of 10 MB)"],
    [2, "done", 34.25, "0.012", 40, 60, 6.0, ""],
]
SETTINGS = {
    "schema": 2, "metric": "psnr", "facts": None, "sampler": "tpe", "pruner": "none", "seed": 0,
    "parameters": [{"path": "protocol.psnr.lr", "base": 0.003, "low": 0.001, "high": 0.1, "log": True}],
    "steps": {"trained": 140, "shared": 60, "pruned": 0, "rejected": 100},
}  # fmt: skip
SCORES = "split,image,metric,value\nval,v,psnr,30.5\ntest,a,psnr,31.5\ntest,a,harm,0.5\ntest,b,psnr,32.25\n"


@pytest.fixture
def search(tmp_path: Path, make_run: Callable[..., Path]) -> Path:
    """The folder of a search of three trials, one of them rejected; the base row was tested with one seed."""
    folder, run = tmp_path / "quick_search", make_run(size=(26, 26))
    records = {"trial.0": "base", "trial.2": "heads.residual", "confirm_test/default": "base"}
    for name, source in records.items():
        record: dict[str, Any] = json.loads((run / source / "seed0/record.json").read_text())
        place = folder / name / "seed0"
        place.mkdir(parents=True)
        split = "test" if name.startswith("confirm") else "val"
        record |= {"row": name, "scores": {split: record["scores"]["test"]}}
        (place / "record.json").write_text(json.dumps(record))
        (place / "scores.csv").write_text(SCORES)
    with (folder / "trials.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(TRIALS)
    (folder / "search.json").write_text(json.dumps(SETTINGS))
    (folder / "best.yaml").write_text(
        "# Compare it:  python -m benchmark run runs/quick_search/best.yaml\nname: best\n"
    )
    write(folder)
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_of_a_search_is_made_from_its_study_alone(search: Path, tmp_path: Path) -> None:
    """Trials, gates and provenance are the same; the published report stays as it is."""
    study = publish_search(search, tmp_path / "studies/quick_search")
    published = _files(study)
    page = write(study).page
    assert page.parent.name == "report_from_records"
    assert page.read_text() == (search / "report/index.html").read_text()
    assert _files(study).items() >= published.items()
    assert read_search(study).trials == read_search(search).trials


def test_a_study_of_a_search_is_a_few_files(search: Path, tmp_path: Path) -> None:
    """No folder a trial and no journal; of scores, those of test alone, since val is read in every trial."""
    study = publish_search(search, tmp_path / "study")
    assert {name for name in _files(study) if not name.startswith("report/figures/")} == {
        "SHA256SUMS", "best.yaml", "records.jsonl.gz", "report/report.md", "scores/001.csv.gz", "search.json",
        "trials.csv",
    }  # fmt: skip
    content = read_study(study)
    assert content is not None and list(content.records) == [
        ("confirm_test/default", 0),
        ("trial.0", 0),
        ("trial.2", 0),
    ]
    assert content.scores == {
        ("confirm_test/default", 0): [
            ["test", "a", "psnr", "31.5"], ["test", "a", "harm", "0.5"], ["test", "b", "psnr", "32.25"],
        ]
    }  # fmt: skip


def test_publishing_a_search_again_gives_the_same_bytes(search: Path, tmp_path: Path) -> None:
    """Over an older study, of which nothing is left, and into another folder."""
    first = _files(publish_search(search, tmp_path / "study"))
    (tmp_path / "study/confirm.json").write_text("of an older study")
    assert _files(publish_search(search, tmp_path / "study")) == first
    assert _files(publish_search(search, tmp_path / "other")) == first


@pytest.mark.parametrize("name", ["trials.csv", "records.jsonl.gz", "search.json"])
def test_a_study_with_a_damaged_file_is_not_read(search: Path, tmp_path: Path, name: str) -> None:
    """Nothing tells which of its trials can be trusted."""
    study = publish_search(search, tmp_path / "study")
    content = (study / name).read_bytes()
    (study / name).write_bytes(content[:-9] + b"1" + content[-8:])
    with pytest.raises(ReportError, match=name):
        write(study)


def test_a_search_that_cannot_be_read_is_not_published(search: Path, tmp_path: Path) -> None:
    """Without search.json, with a damaged record, and from a study; an earlier study stays."""
    study = publish_search(search, tmp_path / "study")
    before = _files(study)
    with pytest.raises(ReportError, match="is a published study already"):
        publish_search(study, tmp_path / "other")
    (search / "trial.2/seed0/record.json").write_text("{")
    with pytest.raises(ReportError, match=r"trial\.2/seed0/record\.json"):
        publish_search(search, study)
    (search / "search.json").unlink()
    with pytest.raises(ReportError, match=r"has no search\.json"):
        publish_search(search, study)
    assert _files(study) == before
