"""Rows of several experiments in one table, and the reasons why not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.comparison.compare import compare
from reports.comparison.scored_images import ScoredImages, mismatch
from reports.errors import ReportError
from reports.pages.compare_page import comparison_page, write


def values(grid, key):
    """Row name -> unrounded value of one column."""
    column = next(index for index, one in enumerate(grid.columns) if one.key == key)
    row = next(index for index, one in enumerate(grid.columns) if one.is_row_header)
    return {line[row].value: line[column].value for line in (*grid.lines, *grid.footer_rows)}


def mean(run, row, seed, metric="psnr"):
    return json.loads((run / row / f"seed{seed}" / "record.json").read_text())["scores"]["test"][metric]["mean"]


def with_data(run, **data):
    """Writes the settings of data and protocol into experiment.yaml (JSON is YAML)."""
    (run / "experiment.yaml").write_text(json.dumps({"name": run.name, **data}))
    return run


def test_rows_of_two_experiments_are_set_against_the_base_of_the_first(make_run):
    """Each row is called experiment/row, and its difference is that of the records, seed by seed."""
    one, other = make_run("one"), make_run("other", offsets={"heads.residual": 1.5})
    found = compare([one, other])
    assert found.reference == "one/base"
    assert set(values(found.ranking, "rank")) == {
        "one/base", "one/heads.direct_rgb", "one/heads.residual", "one/identity",
        "other/base", "other/heads.direct_rgb", "other/heads.residual",
    }  # fmt: skip
    expected = [mean(other, "heads.residual", seed) - mean(one, "base", seed) for seed in (0, 1)]
    for seed in (0, 1):
        shown = values(found.differences.grid, f"psnr_difference_seed{seed}")
        assert shown["other/heads.residual"] == pytest.approx(expected[seed])
    assert values(found.differences.grid, "psnr_difference")["other/heads.residual"] == pytest.approx(np.mean(expected))


def test_only_common_seeds_count(make_run):
    """Means, differences and counts are over the seeds both have; the others are named."""
    one, other = make_run("one", seeds=(0, 1, 2)), make_run("other", seeds=(1, 2, 3))
    found = compare([one, other])
    assert found.results.plan.seeds == (1, 2)
    assert values(found.ranking, "psnr")["one/base"] == pytest.approx(np.mean([mean(one, "base", s) for s in (1, 2)]))
    assert values(found.ranking, "seeds")["other/base"] == 2
    assert "Compared over 2 common seeds (1 and 2); left out: 0 of one; 3 of other." in found.notes


def test_one_common_seed_is_said_to_give_no_verdict(make_run):
    """A single shared seed still makes a table, with a warning."""
    found = compare([make_run("one", seeds=(0, 1)), make_run("other", seeds=(1, 2))])
    assert found.differences.grid.notes == ("This table has no verdicts: one seed.",)
    assert all(line[2].text == "–" for line in found.differences.grid.lines)


def test_enough_seeds_give_words_across_experiments(make_run):
    """With five seeds a pair needs no other rows: a large difference is a gain, and its interval excludes none."""
    one = make_run("one", rows={"base": None}, seeds=range(5))
    other = make_run("other", rows={"base": None, "t.worse": "t"}, seeds=range(5), offsets={"base": 3, "t.worse": -3})
    table = compare([one, other]).differences
    assert values(table.grid, "verdict") == {"other/base": "gain", "other/t.worse": "loss", "one/identity": None}
    assert values(table.grid, "low")["other/base"] > 0 > values(table.grid, "high")["other/t.worse"]


def test_every_reason_is_told_at_once(make_run):
    """Other images, a lacking metric and no common seed: one line each, with what to do."""
    one, other = make_run("one", seeds=(0, 1)), make_run("other", seeds=(2, 3), images=("a", "e"))
    with pytest.raises(ReportError) as caught:
        compare([one, other], metric="sharpness")
    head, *reasons = str(caught.value).splitlines()
    assert head == "one and other cannot stand in one table:"
    assert [reason.split(";")[0] for reason in reasons if "test images differ" in reason] == [
        "- the test images differ: one has 4 (4 images), other has 2 (2 images), 1 of equal names"
    ]
    assert sum("has no sharpness on test; it has" in reason for reason in reasons) == 2
    assert any("one finished 0 and 1; other finished 2 and 3" in reason for reason in reasons)
    assert len(reasons) == 4


def test_other_pixels_under_equal_names_are_found(make_run):
    """Doing nothing scores otherwise on other pixels, so equal names and settings do not deceive."""
    one, other = make_run("one"), make_run("other", offsets={"identity": -2.01})
    for run in (one, other):
        with_data(run, data={"test": {"source": "paired_folders", "degraded": "pairs"}})
    with pytest.raises(ReportError, match="scores differently in one and other on 4 of 4 test images"):
        compare([one, other])


def test_equal_pixels_are_known_wherever_they_lie(make_run):
    """Other paths in data.test do not matter where doing nothing scores the same on each image."""
    runs = [
        with_data(make_run(name), data={"test": {"source": "paired_folders", "degraded": f"/{name}"}})
        for name in ("one", "other")
    ]
    assert (
        "Same test data in one and other: row identity scores the same on each of 4 test images." in compare(runs).notes
    )


@pytest.mark.parametrize("same", [True, False])
def test_without_an_identity_row_settings_have_to_agree(make_run, same):
    """Equal settings of data.test are accepted and said to be the only evidence; different ones are not."""
    one = with_data(make_run("one"), data={"test": {"source": "synthetic_faces", "seed": 2}})
    other = make_run("other", floors=())
    with_data(other, data={"test": {"source": "synthetic_faces", "seed": 2 if same else 3}})
    if same:
        assert any("by the names of 4 test images and the settings" in note for note in compare([one, other]).notes)
    else:
        with pytest.raises(ReportError, match="missing in other; `python -m benchmark run` adds them"):
            compare([one, other])


def test_a_run_without_result_is_a_reason(make_run, edit):
    """An experiment in which nothing finished is named, and no other reason is made up."""
    one, other = make_run("one"), make_run("other", rows={"base": None}, floors=())
    for seed in (0, 1):
        edit(other / "base" / f"seed{seed}" / "record.json", status="failed", error={"message": "nan"}, scores={})
    with pytest.raises(ReportError, match="other has no scores of test images"):
        compare([one, other])


def test_what_differs_besides_is_noted(make_run, edit):
    """Training data, protocol, versions and gates: a line each; what is equal is not mentioned."""
    one = with_data(
        make_run("one"), data={"train": {"count": 10}, "val": {"count": 2}}, protocol={"coarse": {"lr": 0.1}}
    )
    other = make_run("other")
    with_data(other, data={"train": {"count": 20}, "val": {"count": 2}}, protocol={"coarse": {"lr": 0.2}})
    for record in other.glob("*/seed*/record.json"):
        data = json.loads(record.read_text())
        data["gates"][1]["limit"] = 30
        edit(record, gates=data["gates"], provenance=data["provenance"] | {"torch": "2.15.0"})
    notes = [note for note in compare([one, other]).notes if "one against other" in note]
    assert notes == [
        "one against other: training data: count 10 against 20.",
        "one against other: protocol of the base row: coarse.lr 0.1 against 0.2.",
        "one against other: torch 2.13.0+cpu against 2.15.0.",
        "one against other: gate latency at most 50 ms (V100) against at most 30 ms (V100).",
    ]


def test_an_unreadable_experiment_file_does_no_harm(make_run):
    """experiment.yaml serves notes alone: cut, recursive or unsafe YAML is passed over."""
    one, other = make_run("one"), make_run("other")
    (one / "experiment.yaml").write_text("data: [")
    (other / "experiment.yaml").write_text("data: &x {train: *x, test: !!python/object:os.system {}}")
    assert compare([one, other]).ranking.lines


def test_any_row_may_be_the_reference(make_run):
    """Swapping row and reference turns the sign of their difference."""
    runs = [make_run("one"), make_run("other", offsets={"base": 0.7})]
    there = values(compare(runs).differences.grid, "psnr_difference")["other/base"]
    back = values(compare(runs, reference="other/base").differences.grid, "psnr_difference")["one/base"]
    assert there == pytest.approx(-back) and there > 0


def test_an_unknown_reference_is_told_with_those_there_are(make_run):
    """The message lists the rows that could be meant."""
    with pytest.raises(ReportError, match=r"--reference one/bass: no row of that name .* one/base, "):
        compare([make_run("one"), make_run("other")], reference="one/bass")


def test_experiments_of_equal_names_are_told_apart_by_folder(make_run, edit):
    """Two runs of one experiment are called by their folders."""
    runs = [make_run("first"), make_run("second")]
    for run in runs:
        edit(run / "plan.json", experiment="same")
    assert "second/base" in values(compare(runs).differences.grid, "psnr_difference")


def test_a_run_against_itself_is_refused(make_run):
    """One folder, or the same one twice, is no comparison."""
    run = make_run("one")
    for folders in ([run], [run, run.parent / "." / "one"]):
        with pytest.raises(ReportError, match="two different run folders"):
            compare(folders)


def test_floor_rows_that_differ_are_all_kept(make_run):
    """`affine` is fitted on the training data: where it scores otherwise, both stand in the table."""
    floors = ("identity", "affine")
    found = compare([make_run("one", floors=floors), make_run("other", floors=floors, offsets={"affine": -1.0})])
    shown = {row for row in values(found.ranking, "psnr") if row.endswith(("identity", "affine"))}
    assert shown == {"one/identity", "one/affine", "other/affine"}


def test_rows_without_result_are_listed(make_run, edit):
    """A failed seed leaves its row with the other one, and is told with the reason."""
    one, other = make_run("one"), make_run("other")
    edit(other / "base" / "seed1" / "record.json", status="failed", error={"message": "loss is nan"}, scores={})
    found = compare([one, other])
    assert values(found.problems, "reason") == {"other/base": "loss is nan"}
    assert values(found.ranking, "seeds")["other/base"] == 1


def test_the_page_has_the_notes_and_both_experiments(make_run, tmp_path):
    """The report of a comparison is self-contained and escapes the names of rows."""
    rows = {"base": None, "heads.<img src=x>": "heads"}
    found = compare([make_run("one", rows=rows), make_run("other", rows=rows)])
    page = write(comparison_page(found), tmp_path / "comparison")
    html = page.read_text()
    assert "Comparison of one and other" in html and "row identity scores the same" in html
    assert "<img src=x>" not in html and "http://" not in html.replace("http://www.w3.org", "")
    assert (page.parent / "report.md").is_file() and (page.parent / "tables" / "differences.csv").is_file()


def test_a_run_is_never_overwritten_by_a_comparison(make_run):
    """--output that names a run folder is refused."""
    runs = [make_run("one"), make_run("other")]
    with pytest.raises(ReportError, match="is the folder of a run"):
        write(comparison_page(compare(runs)), runs[0])


SCORES = st.dictionaries(
    st.sampled_from("abcdef"), st.floats(0, 100, allow_nan=False), min_size=1
).map(lambda scores: {(image, "psnr"): value for image, value in scores.items()})  # fmt: skip


@given(SCORES, st.data())
def test_a_change_of_any_image_is_noticed_from_either_side(scores, data):
    """The same scores always fit; one value moved by a thousandth never does, whichever comes first."""
    one = ScoredImages("one", frozenset(image for image, _ in scores), scores, {})
    assert mismatch(one, replace(one, experiment="other")) == ""
    key = data.draw(st.sampled_from(sorted(scores)))
    other = replace(one, experiment="other", untouched={**scores, key: scores[key] + 1e-3})
    assert mismatch(one, other) and mismatch(other, one)


def test_what_an_evaluated_run_lacks_is_no_difference(make_run, edit):
    """A run of `evaluate` has scores alone: one note says so, none says that settings differ."""
    one, other = make_run("one"), make_run("other", rows={"base": None})
    with_data(one, model={"backbone": "gunet"}, protocol={"steps": 9})
    for seed in (0, 1):
        edit(other / f"base/seed{seed}/record.json", model=None, stages=[], gates=[])
    notes = compare([other, one]).notes
    assert sum("other was evaluated, not trained by `run`" in note for note in notes) == 1
    assert not any(" against not set" in note or "not set against" in note for note in notes)
