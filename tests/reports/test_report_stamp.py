"""A report that its files would give again is not written again."""

from pathlib import Path

from reports.report_stamp import is_current, note_inputs


def test_a_report_is_current_until_a_file_that_it_shows_changes(tmp_path: Path) -> None:
    """Without a note, a page, or after a change of a record or of the pairs, it has to be written."""
    run = tmp_path / "run"
    for name in ("plan.json", "base/seed0/record.json", "report/index.html", "report/report.md", "pairs/target/a.png"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("{}")
    assert not is_current(run)
    note_inputs(run)
    assert is_current(run)
    for name in ("plan.json", "base/seed0/record.json", "pairs/target/a.png"):
        (run / name).write_text('{"a": 1}')
        assert not is_current(run), name
        note_inputs(run)
    (run / "identity").mkdir()
    (run / "identity/record.json").write_text("{}")
    assert not is_current(run)
    note_inputs(run)
    (run / "report/report.md").unlink()
    assert not is_current(run)
