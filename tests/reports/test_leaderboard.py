"""All rows below a folder, ranked."""

import pytest

from reports.comparison.leaderboard import leaderboard, run_folders
from reports.errors import ReportError
from reports.pages.compare_page import leaderboard_page, write


def values(grid, key):
    """Row name -> unrounded value of one column."""
    column = next(index for index, one in enumerate(grid.columns) if one.key == key)
    row = next(index for index, one in enumerate(grid.columns) if one.is_row_header)
    return {line[row].value: line[column].value for line in (*grid.lines, *grid.footer_rows)}


def test_rows_of_all_runs_are_ranked_together(make_run, tmp_path):
    """Runs on the same images make one board, best mean first, with the folder of each row."""
    make_run("one", offsets={"heads.residual": 2.0})
    other = make_run("other", offsets={"base": 4.0})
    (board,) = leaderboard(tmp_path).boards
    ranks = values(board.ranking, "rank")
    assert (ranks["other/base"], ranks["one/heads.residual"]) == (1, 2)
    shown = [row for row, rank in ranks.items() if rank]
    assert shown == sorted(shown, key=lambda row: -values(board.ranking, "psnr")[row])
    assert values(board.ranking, "folder")["other/base"] == str(other)
    assert leaderboard(tmp_path).exclusions is None


def test_other_images_or_another_metric_make_a_board_of_their_own(make_run, tmp_path):
    """Rows are never ranked against rows that were tested on something else; the largest board comes first."""
    make_run("one")
    make_run("alike")
    make_run("small", images=("a", "b"))
    make_run("scored", primary="score")
    boards = leaderboard(tmp_path).boards
    found = [({row.split("/")[0] for row in values(board.ranking, "rank")}, board.metric.name) for board in boards]
    assert found[0] == ({"alike", "one"}, "psnr")
    assert sorted(map(str, found[1:])) == sorted([str(({"scored"}, "score")), str(({"small"}, "psnr"))])
    assert (
        "2 images" in next(board for board in boards if "small/base" in values(board.ranking, "rank")).ranking.caption
    )


def test_a_metric_ranks_all_by_it(make_run, tmp_path):
    """--metric puts runs with other primary metrics together, and turns the order where lower is better."""
    make_run("one", offsets={"base": 3.0})
    make_run("other", primary="score")
    (board,) = leaderboard(tmp_path, "harm").boards
    assert values(board.ranking, "rank")["one/base"] == 6
    assert board.results.plan.primary == "harm"


def test_rows_that_cannot_be_ranked_are_listed_with_the_reason(make_run, edit, tmp_path):
    """Failed, rejected and incomplete rows have no rank, but a line."""
    run = make_run("one", rows={"base": None, "t.failed": "t", "t.rejected": "t", "t.half": "t"})
    for seed in (0, 1):
        edit(run / f"t.failed/seed{seed}/record.json", status="failed", error={"message": "loss is nan"}, scores={})
        edit(run / f"t.rejected/seed{seed}/record.json", status="rejected", error={"message": "gate size"}, scores={})
    (run / "t.half/seed1/record.json").unlink()
    found = leaderboard(tmp_path)
    assert {row for row, rank in values(found.boards[0].ranking, "rank").items() if rank} == {"one/base"}
    assert values(found.exclusions, "what") == {
        "one/t.failed": "failed", "one/t.rejected": "rejected", "one/t.half": "incomplete"
    }  # fmt: skip
    assert values(found.exclusions, "folder")["one/t.half"] == str(run / "t.half")
    reasons = values(found.exclusions, "reason")
    assert reasons["one/t.half"].startswith("1 of 2 seeds finished; seed 1 missing: no record.json")
    assert "seed 0 failed: loss is nan" in reasons["one/t.failed"]


def test_gates_leave_out_rows_that_fail_one(make_run, edit, tmp_path):
    """With --gates a row that fails a gate is not ranked and the gate is named; inconclusive ones stay."""
    run = make_run("one")
    path = run / "base/seed1/record.json"
    gates = edit(path)["gates"]
    edit(path, gates=[gates[0] | {"result": "failed"}, *gates[1:]])
    assert "one/base" in values(leaderboard(tmp_path).boards[0].ranking, "rank")
    found = leaderboard(tmp_path, keeping_gates=True)
    assert "one/base" not in values(found.boards[0].ranking, "rank")
    assert values(found.exclusions, "reason") == {"one/base": "size"}


@pytest.mark.parametrize("content", ["{", '{"schema": 9}', "[]", "\x00", '{"schema": 1}'])
def test_a_broken_run_is_named_and_the_others_are_ranked(make_run, tmp_path, content):
    """A plan.json of any other form costs its own run alone."""
    make_run("one")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/plan.json").write_text(content)
    found = leaderboard(tmp_path)
    assert len(found.boards) == 1
    assert values(found.exclusions, "folder") == {"": str(tmp_path / "broken")}
    assert "plan.json" in values(found.exclusions, "reason")[""]


def test_a_run_in_which_nothing_finished_is_listed(make_run, tmp_path, edit):
    """Without any score there is no board, and each row says why."""
    run = make_run("one", rows={"base": None}, floors=(), seeds=(0,))
    edit(run / "base/seed0/record.json", status="failed", error={"message": "loss is nan"}, scores={})
    found = leaderboard(tmp_path)
    assert found.boards == () and values(found.exclusions, "what") == {"one/base": "failed"}


def test_runs_are_found_in_depth_but_not_in_hidden_folders(make_run, tmp_path):
    """`runs/.stages` may be large and holds no runs; the folder itself may be a run."""
    runs = [make_run("a/deep/one"), make_run("b")]
    make_run(".stages/two")
    assert list(run_folders(tmp_path)) == runs
    assert list(run_folders(runs[1])) == [runs[1]]


def test_a_folder_without_runs_is_told(tmp_path):
    """No folder, or none with a plan.json, is a mistake the user can mend."""
    for folder, says in ((tmp_path, "no run in it"), (tmp_path / "nowhere", "no such folder")):
        with pytest.raises(ReportError, match=says):
            leaderboard(folder)


def test_a_metric_that_no_row_has_is_told_with_those_there_are(make_run, tmp_path):
    """The message lists the metrics."""
    make_run("one")
    with pytest.raises(ReportError, match=r"--metric sharpness: no finished row has it on test; .*psnr_spots"):
        leaderboard(tmp_path, "sharpness")


def test_means_over_different_seeds_are_told(make_run, tmp_path):
    """A note says which seeds each run has, where they differ."""
    make_run("one")
    make_run("other", seeds=(0, 1, 2))
    (board,) = leaderboard(tmp_path).boards
    assert any("different seeds (one: 0, 1; other: 0, 1, 2)" in note for note in board.ranking.notes)


def test_the_page_has_a_section_for_each_board(make_run, tmp_path):
    """Boards stand one after the other with tables of their own, then what is not ranked, with escaped names."""
    make_run("runs/one", rows={"base": None})
    run = make_run("runs/small", rows={"base": None, "t.<b>half": "t"}, images=("a", "b"))
    (run / "t.<b>half/seed1/record.json").unlink()
    page = write(leaderboard_page(leaderboard(tmp_path / "runs")), tmp_path / "out")
    html = page.read_text()
    assert html.index("PSNR, 4 images") < html.index("Not ranked") and "PSNR, 2 images" in html
    assert "t.&lt;b&gt;half" in html and "<b>half" not in html
    tables = {file.name for file in (page.parent / "tables").glob("*.csv")}
    assert len(tables) == 3 and "exclusions.csv" in tables


def test_equal_baselines_stand_once_however_many_metrics_they_have(make_run, edit, tmp_path):
    """A run that was evaluated lacks metrics; its baseline is that of the other run, whose record has more."""
    fewer, whole = make_run("a_fewer"), make_run("b_whole")
    path = fewer / "identity/record.json"
    scores = edit(path)["scores"]["test"]
    edit(path, scores={"test": {name: scores[name] for name in ("psnr", "ssim")}})
    (board,) = leaderboard(tmp_path).boards
    baselines = [name for name in values(board.ranking, "psnr") if name.endswith("/identity")]
    assert baselines == [f"{whole.name}/identity"]


def test_baselines_that_differ_stand_beside_each_other(make_run, tmp_path):
    """`affine` is fitted to the training pairs of its run: two of them are two rows."""
    make_run("one", floors=("identity", "affine"), offsets={"affine": -1.0})
    make_run("other", floors=("identity", "affine"), offsets={"affine": -0.5})
    (board,) = leaderboard(tmp_path).boards
    names = [name for name in values(board.ranking, "psnr") if name.endswith(("/affine", "/identity"))]
    assert sorted(names) == ["one/affine", "one/identity", "other/affine"]
