"""`report --watch`: the page follows the run, says what is still to come, and ends current."""

import shutil

import pytest
from click.testing import CliRunner

from benchmark.cli.reports import report
from reports import write
from reports.errors import ReportError
from reports.pages import files
from reports.pages.watch import watch
from reports.results.load import load
from reports.results.summary import still_to_come

ROWS = {"base": None, "heads.a": "heads"}


@pytest.fixture
def going_on(make_run, tmp_path):
    """A run of which heads.a has no record yet, and a function that brings one."""
    run = make_run(rows=ROWS)
    kept = tmp_path / "kept"
    shutil.move(run / "heads.a", kept)

    def bring(seed):
        shutil.copytree(kept / f"seed{seed}", run / "heads.a" / f"seed{seed}")

    return run, bring


@pytest.mark.slow
def test_the_page_follows_the_run_and_ends_when_all_is_there(going_on):
    """It is written once at first, then once for each change and not when nothing changed; the last one is final."""
    run, bring = going_on
    looks = iter([lambda: None, lambda: bring(0), lambda: None, lambda: bring(1)])
    updates, pages = [], []
    for update in watch(run, 7, wait=lambda _: next(looks)()):
        updates.append(update)
        pages.append(update.page.read_text())
    assert [update.there for update in updates] == [3, 4, 5] and {update.planned for update in updates} == {5}
    assert updates[1].new == ("heads.a/seed0/curve.csv", "heads.a/seed0/record.json")
    assert ['http-equiv="refresh" content="7"' in page for page in pages] == [True, True, False]
    assert "still to come: heads.a (seeds 0, 1)" in pages[0] and "heads.a (seed 1)" in pages[1]
    assert "still to come" not in pages[2]
    watched = {path.name: path.read_bytes() for path in (run / "report").rglob("*") if path.is_file()}
    write(run)
    assert watched == {path.name: path.read_bytes() for path in (run / "report").rglob("*") if path.is_file()}


def test_an_interrupt_leaves_a_page_that_does_not_reload(going_on):
    """It still says that it is partial."""
    run, _ = going_on

    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(watch(run, 5, wait=interrupted))
    page = (run / "report" / "index.html").read_text()
    assert "refresh" not in page and "still to come" in page
    assert "**Partial:** 3 of 5 records are there" in (run / "report" / "report.md").read_text()


@pytest.mark.slow
def test_an_interrupt_of_the_first_writing_leaves_a_page_that_does_not_reload(going_on, monkeypatch):
    """The page is there, but its writer has not yet said so when the interrupt comes."""
    run, _ = going_on
    save = files.save

    def interrupted(*arguments, **options):
        monkeypatch.undo()
        assert 'content="5"' in save(*arguments, **options).read_text()
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(watch(run, 5))
    assert "refresh" not in (run / "report" / "index.html").read_text()


def test_what_is_to_come_names_rows_and_counts_the_rest(make_run):
    """Failed rows have a record and are not awaited; of many rows only the first are named."""
    run = make_run(
        rows={"base": None} | {f"heads.{i}": "heads" for i in range(12)}, seeds=(0,), floors=(), images=("a",)
    )
    for i in range(12):
        shutil.rmtree(run / f"heads.{i}")
    text = still_to_come(load(run))
    assert text.startswith("1 of 13 records are there; still to come: heads.0 (seed 0), heads.1 (seed 0)")
    assert text.endswith("and 4 more rows.")


def test_a_failed_row_is_not_awaited(make_run, edit):
    """Its record is there, so the run is complete."""
    run = make_run(rows=ROWS, seeds=(0,))
    edit(run / "heads.a" / "seed0" / "record.json", status="failed", error={"message": "x"}, scores={})
    assert [update.is_complete for update in watch(run, 5)] == [True]


def test_the_command_watches_a_finished_run_once_and_refuses_what_is_no_run(make_run, tmp_path):
    """A line with the page and the counts; a search or a file cannot be watched."""
    run = make_run(rows={"base": None}, seeds=(0,))
    done = CliRunner().invoke(report, [str(run), "--watch"])
    assert done.exit_code == 0 and "2 of 2 records" in done.output
    refused = CliRunner().invoke(report, [str(tmp_path), "--watch"])
    assert refused.exit_code != 0 and "--watch needs a run" in str(refused.exception)
    with pytest.raises(ReportError, match=r"no plan\.json"):
        next(watch(tmp_path / "nowhere", 1))


def test_rows_and_seeds_that_were_not_chosen_are_not_awaited(make_run, edit):
    """`--rows base --seeds 0`: the run is complete, nothing is called partial or missing, no claim or table breaks."""
    run = make_run(rows=ROWS)
    shutil.rmtree(run / "heads.a")
    shutil.rmtree(run / "base" / "seed1")
    assert "still to come" in still_to_come(load(run))
    edit(run / "plan.json", chosen=["base/seed0"])
    results = load(run)
    assert (still_to_come(results), results.problems, results.plan.seeds) == ("", (), (0,))
    text = write(run).page.with_name("report.md").read_text()
    assert "2 of 2 records finished" in text and "chosen rows and seeds only" in text
    assert "Partial" not in text and "issing" not in text


def test_a_chosen_row_without_a_record_is_awaited(make_run, edit):
    """What was chosen and has not run yet is still to come; what ran before stays in the report."""
    run = make_run(rows=ROWS)
    shutil.rmtree(run / "heads.a" / "seed1")
    edit(run / "plan.json", chosen=["heads.a/seed1"])
    assert "still to come: heads.a (seed 1)" in still_to_come(load(run))
