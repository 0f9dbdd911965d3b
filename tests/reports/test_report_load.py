"""Reading run folders: whole, damaged and empty ones."""

import csv
import json
import math
import shutil

import pytest

from reports import write
from reports.errors import ReportError
from reports.results.load import load


def reasons(results):
    return {(problem.row, problem.seed): (problem.kind, problem.reason) for problem in results.problems}


def test_a_whole_run_has_all_records_and_no_problem(make_run):
    """Every row and seed of the plan is read, with its scores and its loss curve."""
    results = load(make_run())
    assert [(record.row, record.seed) for record in results.records] == [
        ("base", 0), ("base", 1), ("heads.direct_rgb", 0), ("heads.direct_rgb", 1), ("heads.residual", 0),
        ("heads.residual", 1), ("identity", None),
    ]  # fmt: skip
    assert results.problems == () and results.notes == ()
    assert len(results.scores) == 7 * 4 * 9
    assert set(results.curves["name"]) == {"loss"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"schema": 2, "row": "ba', "not readable as JSON"),
        ('{"schema": 1, "row": "base"}', "schema is 1; this version reads schema 2; bring it to schema 2 by"),
        ('{"schema": 3, "row": "base"}', "schema is 3; this version reads schema 2"),
        ('{"schema": 2, "row": "base"}', "has no 'experiment'; has no 'tables'; 5 more"),
        ("[1]", "not an object"),
        ('{"schema": 2, "value": NaN}', "NaN is not JSON"),
        ("\x00\x01", "not readable as JSON"),
        ({"status": "fine"}, "status is 'fine': Input should be 'done', 'rejected' or 'failed'"),
        ({"scores": 7}, "scores is '7': Input should be an object"),
        ({"scores": {"test": {"psnr": {"mean": "30", "std": 1.0, "n": 4}}}}, "scores.test.psnr.mean is '30'"),
        ({"seed": True}, "seed is 'True': Input should be a valid integer"),
        ({"stages": [{"name": "coarse"}]}, "has no 'stages.0.key'"),
        ({"colour": "red"}, "'colour' is no field of it"),
    ],
)
def test_a_damaged_or_foreign_record_is_a_problem_with_its_reason(make_run, edit, content, says):
    """One line names the file, the field and what is wrong with it; the other records are still read."""
    run = make_run()
    file = run / "base" / "seed0" / "record.json"
    if isinstance(content, dict):
        edit(file, **content)
    else:
        file.write_text(content)
    results = load(run)
    kind, reason = reasons(results)["base", 0]
    assert kind == "damaged" and reason.startswith("record.json: ") and says in reason and "\n" not in reason
    assert len(results.records) == 6


def test_missing_failed_and_rejected_rows_are_problems(make_run, edit):
    """Each kind of row without a result is told apart."""
    run = make_run()
    shutil.rmtree(run / "base" / "seed1")
    failed = {"message": "stage 'psnr' step 37: loss is nan", "stage": "psnr", "step": 37}
    edit(run / "heads.residual" / "seed0" / "record.json", status="failed", error=failed, scores={})
    edit(run / "heads.residual" / "seed1" / "record.json", status="rejected", error={"message": "gate size"}, scores={})
    found = reasons(load(run))
    assert found["base", 1][0] == "missing"
    assert found["heads.residual", 0] == ("failed", "stage 'psnr' step 37: loss is nan")
    assert found["heads.residual", 1] == ("rejected", "gate size")


def test_records_of_another_configuration_or_place_are_left_out(make_run, edit):
    """A stale record, one in the wrong folder and one the plan does not name do not count."""
    run = make_run()
    edit(run / "base" / "seed0" / "record.json", config_hash="older")
    edit(run / "base" / "seed1" / "record.json", row="heads.residual")
    shutil.copytree(run / "heads.residual" / "seed0", run / "heads.old" / "seed0")
    results = load(run)
    found = reasons(results)
    assert {found[key][0] for key in (("base", 0), ("base", 1), ("heads.old/seed0", None))} == {"not of this plan"}
    assert not any(record.row in ("base", "heads.old") for record in results.records)


def test_a_cut_scores_file_is_noted_and_its_whole_lines_are_kept(make_run):
    """An incomplete line is dropped, and that the mean no longer fits the record is said."""
    run = make_run()
    path = run / "base" / "seed0" / "scores.csv"
    text = path.read_text()
    path.write_text(text[: text.rindex(",") + 1])
    results = load(run)
    of_base = results.scores.loc[(results.scores["row"] == "base") & (results.scores["seed"] == 0)]
    assert len(of_base) == 4 * 9 - 1
    assert any("base, seed 0: scores.csv has incomplete" in note for note in results.notes)
    assert any("does not average to record.json in texture" in note for note in results.notes)


def test_images_called_like_missing_values_keep_their_names(make_run):
    """pandas takes "NA", "null" and "" for missing by default; as names of images they are names."""
    results = load(make_run(images=("NA", "null", "1")))
    assert set(results.scores["image"]) == {"NA", "null", "1"}


@pytest.mark.parametrize("name", ["scores.csv", "curve.csv"])
def test_a_table_file_that_is_absent_or_no_table_is_noted(make_run, name):
    """Neither stops the report."""
    run = make_run()
    (run / "base" / "seed0" / name).unlink()
    (run / "base" / "seed1" / name).write_bytes(b"\xff\xfe\x00")
    notes = load(run).notes
    assert any(f"base, seed 0: {name} is missing" in note for note in notes)
    assert any(f"base, seed 1: {name} is no table" in note for note in notes)


def test_infinite_scores_are_left_out(make_run):
    """A number that no mean survives is dropped and noted."""
    run = make_run()
    with (run / "base" / "seed0" / "scores.csv").open("a", newline="") as file:
        csv.writer(file).writerow(("test", "z", "psnr", math.inf))
    results = load(run)
    assert "z" not in set(results.scores["image"])
    assert any("1 left out" in note for note in results.notes)


@pytest.mark.parametrize("content", [None, "{", '{"schema": 3}', '{"schema": 2}', "[]"])
def test_a_folder_without_readable_plan_is_no_run_folder(tmp_path, content):
    """The error is one line that names the file."""
    if content is not None:
        (tmp_path / "plan.json").write_text(content)
    with pytest.raises(ReportError, match=r"plan\.json") as caught:
        write(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_row_may_not_lead_out_of_the_run_folder(make_run, edit):
    """A plan of somebody else cannot make the report read other folders."""
    run = make_run()
    plan = json.loads((run / "plan.json").read_text())
    edit(run / "plan.json", rows=[{**plan["rows"][0], "row": "../other"}])
    with pytest.raises(ReportError, match="no name of a folder"):
        load(run)


def test_a_metric_of_a_plugin_brings_its_facts(make_run, edit):
    """Unit and direction come from the record; built-in metrics keep their own."""
    run = make_run()
    facts = {"sharpness": {"unit": "px", "direction": "lower", "meaning": "Width of edges."}}
    edit(run / "base" / "seed0" / "record.json", metrics=facts)
    results = load(run)
    sharpness = results.metric("sharpness")
    assert (sharpness.unit, sharpness.direction, sharpness.sort_key(2.0)) == ("px", "lower", 2.0)
    assert results.metric("psnr").unit == "dB"
    assert load(make_run("other")).metric("sharpness").direction == "higher"
