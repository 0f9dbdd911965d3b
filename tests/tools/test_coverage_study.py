"""Intervals and verdicts on simulated tables whose truth is known."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.tables.provenance import COVERAGE, coverage_table


@pytest.fixture(scope="module")
def study():
    """The module tools/coverage_study.py, which is no package."""
    path = Path(__file__).parents[2] / "tools" / "coverage_study.py"
    spec = importlib.util.spec_from_file_location("coverage_study", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["coverage_study"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def late(study):
    """Two rows train from the start, five leave the base after 90 % of its seed variance."""
    rows = (3, 4, 5, 6, 7)
    return study.Design("late", {"0": (1, 2), "1": rows}, kept=dict.fromkeys(rows, 0.9))


@pytest.mark.parametrize("design", ["INDEPENDENT", "SHARED", "UNEQUAL", "VERY_UNEQUAL"])
@pytest.mark.parametrize(("seeds", "images"), [(3, 24), (5, 24)])
def test_intervals_cover_and_verdicts_are_seldom_false(study, design, seeds, images):
    """600 tables of null rows: 95 % intervals cover in 93 to 97 %, and at most 6 % of tables have a false verdict."""
    found = study.measure(getattr(study, design), seeds, images, 600, np.random.default_rng(8))
    assert 0.93 <= found.coverage <= 0.97
    assert found.coverage_with_verdict is not None and 0.93 <= found.coverage_with_verdict <= 0.97
    assert found.family_error <= 0.06
    assert found.worst_row >= 0.92


def test_pooling_over_all_rows_would_be_too_optimistic(study, late):
    """Rows that share most training with the base make rows that share none look less noisy than they are."""
    by_stage = study.measure(late, 3, 400, 600, np.random.default_rng(9))
    everywhere = replace(late, noise_groups={"all": tuple(range(1, 8))})
    over_all = study.measure(everywhere, 3, 400, 600, np.random.default_rng(9))
    assert over_all.worst_row < 0.92 <= by_stage.worst_row
    assert by_stage.family_error <= 0.06


def test_rows_with_a_shared_prefix_are_nearer_to_the_base(study, late):
    """The simulation does what it says: after 90 % of the seed variance, a tenth of the difference's is left."""
    scores = study.null_tables(late, 4000, 2, 2, np.random.default_rng(10))
    means = scores.mean(-1)
    variance = [np.var((means[:, row] - means[:, 0])[:, 0] - (means[:, row] - means[:, 0])[:, 1]) for row in (1, 5)]
    # Twice over two seeds: own variance 0.01 / 2 a row, and the remainder 0.08^2 / 2 images a row.
    assert variance == pytest.approx([4 * 0.005 + 4 * 0.0032, 0.4 * 0.005 + 4 * 0.0032], rel=0.08)


def test_the_published_coverage_keeps_its_bounds(study):
    """In every case with a verdict: 93 to 97 % covered and at most 6 % false verdicts; two seeds withheld."""
    shown = coverage_table()
    assert shown is not None
    assert list(shown.notes[: len(study.NOTES)]) == list(study.NOTES)
    keys = [column.key for column in shown.columns]
    lines = [dict(zip(keys, line, strict=True)) for line in shown.lines]
    assert len(lines) >= 36
    for line in lines:
        assert (line["coverage_with_verdict"].text == "withheld") == (line["seeds"].value == 2)
        if line["with_verdict"].value and not line["design"].text.startswith("base"):
            assert 0.93 <= line["coverage"].value <= 0.97 and 0.93 <= line["coverage_with_verdict"].value <= 0.97
            assert line["family_error"].value <= 0.06


def test_unplanned_analyses_have_more_false_verdicts_and_planned_ones_do_not():
    """By the published figures: the more unplanned analyses, the more false tables; spending keeps 5 % (two errors)."""
    cases = json.loads(COVERAGE.read_text())["interim"]
    unplanned, planned = ([case for case in cases if case["is_planned"] is flag] for flag in (False, True))
    by_number = sorted(unplanned, key=lambda case: len(case["analyses"]))
    assert len(by_number[0]["analyses"]) == 1 and by_number[0]["false_tables"] <= 0.05
    assert by_number[-1]["false_tables"] > 0.1
    assert all(case["false_tables"] <= 0.05 + 2 * case["deviation"] for case in planned)


def test_the_command_writes_the_file_that_reports_show(study, tmp_path, capsys):
    """One line a case; without the file, reports have no such table."""
    path = tmp_path / "coverage.json"
    assert coverage_table(path) is None
    study.main(["--tables", "2", "--output", str(path)])
    shown = coverage_table(path)
    assert shown is not None and len(shown.lines) == 48
    assert shown.lines[0][6].text == "withheld" and "independent rows" in capsys.readouterr().out
