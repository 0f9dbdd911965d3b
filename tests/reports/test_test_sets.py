"""Rows x test sets in one table: of a run, of several runs, of a leaderboard."""

import csv
import json

import pytest

from reports.comparison.compare import compare
from reports.comparison.leaderboard import leaderboard
from reports.pages.compare_page import comparison_page, leaderboard_page, write
from reports.pages.run_page import build
from reports.results.load import load
from reports.results.summary import summaries
from reports.tables.test_sets import pivot_table, rows_on_test_sets

BEST = "heads.residual"


def with_set(run, name, offsets, level=30.0):
    """Adds scores on a further test set to a run: row -> how far its PSNR lies above `level`."""
    for path in sorted(run.glob("**/record.json")):
        record = json.loads(path.read_text())
        seed = record["seed"] or 0
        values = {
            image: level + offsets.get(record["row"], 0.0) + 0.1 * place + 0.01 * seed * (1 + place)
            for place, image in enumerate("wxyz")
        }
        with (path.parent / "scores.csv").open("a", newline="") as file:
            csv.writer(file).writerows((name, image, "psnr", value) for image, value in values.items())
        mean = sum(values.values()) / len(values)
        record["scores"][name] = {"psnr": {"mean": mean, "std": 0.0, "n": len(values)}}
        path.write_text(json.dumps(record))
    return run


def cells(grid):
    """Row -> key of a column -> text."""
    keys = [column.key for column in grid.columns]
    lines = (*grid.lines, *grid.footer_rows)
    return {line[0].value: dict(zip(keys, (cell.text for cell in line), strict=True)) for line in lines}


def pivot_of(run):
    results = load(run)
    rows = summaries(results)
    return pivot_table(list(rows.values()), rows_on_test_sets(rows, results), "base")


def test_one_test_set_makes_no_pivot(make_run):
    """The ranking says all there is."""
    assert pivot_of(make_run()) is None


def test_a_row_has_a_rank_and_a_verdict_on_each_set(make_run):
    """Best on test, worst on the further set: places and verdicts are those of each set; baselines have means alone."""
    run = with_set(make_run(seeds=range(5), offsets={BEST: 3.0}), "portraits", {BEST: -5.0})
    table = cells(pivot_of(run))
    assert (table[BEST]["rank_test"], table[BEST]["verdict_test"]) == ("1", "gain")
    assert (table[BEST]["rank_portraits"], table[BEST]["verdict_portraits"]) == ("3", "loss")
    assert float(table[BEST]["psnr_portraits"]) == pytest.approx(25.2, abs=0.01)
    assert (table["identity"]["rank_test"], table["identity"]["verdict_test"]) == ("–", "–")
    assert table["identity"]["psnr_portraits"] == "30.15"
    assert table["base"]["verdict_test"] == "–"


def test_the_margin_holds_on_every_set(make_run):
    """A difference below the margin is negligible on a further set, too."""
    run = with_set(make_run(seeds=range(5)), "portraits", {BEST: 0.05})
    assert cells(pivot_of(run))[BEST]["verdict_portraits"] in ("negligible gain", "equivalent")


@pytest.mark.slow
def test_the_page_of_a_run_has_the_pivot(make_run):
    """In a section of its own, after the test sets one by one."""
    page = build(load(with_set(make_run(), "portraits", {})))
    (section,) = (section for section in page.sections if section.anchor == "test-sets")
    assert section.blocks[0].name == "test_sets"


def test_compare_shows_the_sets_that_runs_share(make_run):
    """The further set is the same in both, so it stands beside test, against the row of reference."""
    one = with_set(make_run("one", seeds=range(5)), "portraits", {})
    other = with_set(make_run("other", seeds=range(5)), "portraits", {BEST: 4.0})
    compared = compare([one, other])
    table = cells(pivot_table(list(summaries(compared.results).values()), compared.sets, compared.reference))
    assert table[f"other/{BEST}"]["rank_portraits"] == "1"
    assert table[f"other/{BEST}"]["verdict_portraits"] == "gain"


def test_compare_leaves_out_a_set_that_differs(make_run):
    """Other pixels under one name: the set is left out, and a note says why."""
    one = with_set(make_run("one"), "portraits", {})
    other = with_set(make_run("other"), "portraits", {}, level=29.0)
    compared = compare([one, other])
    assert [of_set.name for of_set in compared.sets] == ["test"]
    assert any(note.startswith("Test set portraits is left out: ") for note in compared.notes)


def test_a_leaderboard_has_a_pivot_against_its_best_row(make_run, tmp_path):
    """On the further set another row is the best: it gains against the leader of test."""
    with_set(make_run("runs/one", seeds=range(5), offsets={BEST: 3.0}), "portraits", {"base": 4.0})
    with_set(make_run("runs/other", seeds=range(5)), "portraits", {})
    (board,) = leaderboard(tmp_path / "runs").boards
    table = cells(board.pivot)
    assert table["one/base"]["verdict_test"] == "loss" and table["one/base"]["verdict_portraits"] == "gain"
    assert table[f"one/{BEST}"]["rank_test"] == "1"


def test_pages_of_several_runs_can_be_explored(make_run, tmp_path):
    """Data for filter, columns and downloads are in both pages, with a place for the drawer of each trained row."""
    one, other = make_run("runs/one"), make_run("runs/other")
    for name, page in (
        ("compared", comparison_page(compare([one, other]))),
        ("board", leaderboard_page(leaderboard(tmp_path / "runs"))),
    ):
        html = write(page, tmp_path / name).read_text()
        assert 'id="report-data"' in html and "data-explorer" in html
        assert 'id="details-other-heads.residual' in html


def test_an_interval_over_two_seeds_is_as_in_the_report_of_a_run(make_run):
    """Where it is wider than the rows lie apart, `compare` shows n/a, too; the ends stay for the CSV file."""
    table = compare([make_run("one"), make_run("other")]).differences
    shown = next(line for line in table.grid.lines if line[0].value == f"other/{BEST}")
    assert shown[2].text == "n/a (2 seeds)" and isinstance(shown[2].value, float)


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_of_several_runs_work_in_the_browser(opened, make_run, tmp_path, width):
    """Filter, plot and drawer work as on the page of a run, without a complaint, and nothing runs out of the window."""
    one, other = make_run("runs/one"), with_set(make_run("runs/other"), "portraits", {})
    for name, page in (
        ("compared", comparison_page(compare([one, other]))),
        ("board", leaderboard_page(leaderboard(tmp_path / "runs"))),
    ):
        shown = opened(write(page, tmp_path / name), width)
        shown.get_by_label("Filter").fill("other/heads")
        names = shown.locator(".explored tbody tr:visible th").all_inner_texts()
        assert sorted(names) == ["other/heads.direct_rgb", "other/heads.residual"]
        assert shown.locator(".pareto circle").count() == 6
        shown.locator(".explored tbody th a", has_text="residual").locator("visible=true").click()
        assert "seed 1" in shown.locator("[data-drawer]").inner_text()
        shown.keyboard.press("Escape")
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
