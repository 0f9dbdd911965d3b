"""The page of a search beyond its trials: what is proven, why there is no single best, what was saved, what is next."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from reports import write
from reports.metrics import metric
from reports.pages.search_next import next_searches
from reports.results.search import ranked, read_search

HEADER = ["trial", "status", "psnr", "protocol.psnr.lr", "steps_trained", "steps_reused", "seconds", "message"]
LINES = [
    [0, "done", 33.5, "0.003", 100, 0, 12.5, ""],
    [1, "rejected", "", "0.006", 0, 0, 0.5, "not trained: fails gate size: failed (12 of 10 bytes)"],
    [2, "done", 34.25, "0.0099", 40, 60, 6.0, ""],
    [3, "pruned", "", "0.0001", 10, 60, 6.0, "pruned at step 70 of 100: psnr 20.1000 is not among the best 2 of 7"],
    [4, "done", 34.0, "0.004", 40, 60, 6.0, ""],
]
SEARCH: dict[str, Any] = {
    "schema": 2,
    "metric": "psnr",
    "sampler": "tpe",
    "pruner": "successive_halving",
    "seed": 0,
    "parameters": [{"path": "protocol.psnr.lr", "base": 0.003, "low": 1e-4, "high": 1e-2, "log": True}],
    "steps": {"trained": 190, "shared": 180, "pruned": 30, "rejected": 100},
    "trials": [{"number": 3, "validations": [[60, 19.0], [70, 20.1]]}],
}
CONFIRMED: dict[str, Any] = {
    "schema": 2,
    "metric": "psnr",
    "margin": 0.1,
    "seeds": [1, 2, 3, 4, 5],
    "rows": {},
    "trials": [
        {"trial": 2, "gain": {"difference": 0.31, "low": 0.12, "high": 0.5}, "verdict": "gain"},
        {"trial": 4, "reason": "it has not finished with all seeds"},
    ],
    "winner": 2,
    "test": {"difference": 0.25, "low": 0.05, "high": 0.45},
}


def folder_of(tmp_path: Path, lines: list[list[Any]] = LINES, **files: Any) -> Path:
    """The folder of a search with these JSON files."""
    folder = tmp_path / "search"
    folder.mkdir(exist_ok=True)
    with (folder / "trials.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *lines])
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def page(folder: Path) -> str:
    """The page as text, without its line breaks and escapes."""
    return " ".join((write(folder).page.parent / "report.md").read_text().replace("\\", "").split())


def test_a_winner_is_proven_by_the_confirmation(tmp_path: Path) -> None:
    """With its intervals on val and test in the headline, and the verdict of each trial below."""
    text = page(folder_of(tmp_path, search=SEARCH, confirm=CONFIRMED))
    assert (
        "Trial 2 is the proven winner: with seeds 1, 2, 3, 4 and 5, which no trial had, it gains +0.310 dB [+0.120, "
        "+0.500] in PSNR on val over the base row; on test +0.250 dB [+0.050, +0.450]." in text
    )
    assert "yet to be confirmed" not in text and "it has not finished with all seeds" in text


def test_no_winner_is_said_in_the_headline(tmp_path: Path) -> None:
    """The best by one seed stands behind it, as what it is."""
    undecided = {**CONFIRMED, "winner": None, "test": None}
    undecided["trials"] = [
        {"trial": 2, "gain": {"difference": 0.1, "low": -0.2, "high": 0.4}, "verdict": "inconclusive"}
    ]
    text = page(folder_of(tmp_path, search=SEARCH, confirm=undecided))
    assert "No trial is proven better than the base row by 0.1 dB" in text and "Test was not read." in text
    assert "Trial 2 is the best: val PSNR 34.25 dB, +0.750 against trial 0. It was chosen on val with one seed." in text


def test_several_objectives_have_no_single_best(tmp_path: Path) -> None:
    """The page says why, draws the front, and names the trial that was picked."""
    objectives = [
        {"name": "psnr", "label": "PSNR", "unit": "dB", "direction": "higher", "decimals": 2},
        {"name": "latency_ms", "label": "latency", "unit": "ms", "direction": "lower", "decimals": 1},
    ]
    trials = [
        {"number": number, "objectives": {"psnr": psnr, "latency_ms": ms}}
        for number, psnr, ms in ((0, 33.5, 30.0), (2, 34.25, 60.0), (4, 34.0, 70.0))
    ]
    several = {**SEARCH, "objectives": objectives, "front": [2, 0], "pick": "knee", "picked": 0, "trials": trials}
    folder = folder_of(tmp_path, search=several)
    text = page(folder)
    assert "There is no single best trial: 2 trials form the front of PSNR and latency." in text
    assert "best.yaml is trial 0, picked by knee." in text
    lines = list(csv.DictReader((folder / "report/tables/front.csv").read_text().splitlines()))
    assert [(line["trial"], line["latency_ms"]) for line in lines] == [("2", "60.0"), ("0", "30.0")]
    assert (folder / "report/figures/front.svg").exists()


def test_steps_spent_and_saved_are_stated(tmp_path: Path) -> None:
    """Against a search that trains every trial from its first step to its last."""
    folder = folder_of(tmp_path, search=SEARCH)
    page(folder)
    lines = list(csv.DictReader((folder / "report/tables/steps.csv").read_text().splitlines()))
    assert [int(line["steps"]) for line in lines] == [190, 180, 30, 100, 500]


def test_rejected_trials_alone_give_a_clear_message(tmp_path: Path) -> None:
    """None of them is called best."""
    text = page(folder_of(tmp_path, [LINES[1]], search=SEARCH))
    assert "All trials so far (1) are rejected, the first since not trained: fails gate size" in text
    assert "raise the limit, or search smaller networks" in text


def test_importances_need_twenty_trials(tmp_path: Path) -> None:
    """With fewer the page says so; with more each share has its interval."""
    assert "Not said below 20 finished trials: with 3" in page(folder_of(tmp_path, search=SEARCH))
    shares = [{"path": "protocol.psnr.lr", "share": 0.8, "low": 0.6, "high": 0.95}]
    folder = folder_of(tmp_path, search={**SEARCH, "importances": shares})
    assert "| psnr.lr | 80% | 60% | 95% |" in page(folder)


@pytest.mark.parametrize(
    ("lines", "files", "advice"),
    [
        (LINES, {}, "The best trial was chosen by one seed: add `confirm: {top: 3, seeds: 5}`"),
        (LINES, {}, "The best trial has protocol.psnr.lr 0.0099, at the high end of its range: widen it there."),
        (LINES, {}, "3 trials finished: with 20 the page says what the metric varies with."),
        ([*LINES[:2], [5, *LINES[1][1:]]], {}, "67% of the trials fail a gate"),
        (LINES, {"confirm": {**CONFIRMED, "winner": None, "test": None}}, "A confirmed trial has no verdict"),
        (
            [*LINES, [5, "done", 35.0, "0.005", 1, 1, 1, ""]],
            {"confirm": CONFIRMED},
            "Trial 5 came after the confirmation",
        ),
    ],
)
def test_the_page_says_what_to_search_next(tmp_path: Path, lines: Any, files: dict[str, Any], advice: str) -> None:
    """By rules, each with its reason."""
    search = read_search(folder_of(tmp_path, lines, search=SEARCH, **files))
    best = ranked(search.trials.trials, metric("psnr"))[0]
    assert any(advice in line for line in next_searches(search, best))


def test_damaged_files_are_named(tmp_path: Path) -> None:
    """The page stands on what can be read."""
    folder = folder_of(tmp_path, search={"schema": 2}, confirm=CONFIRMED)
    text = page(folder)
    assert "search.json: has no 'metric'" in text and "proven winner" in text
