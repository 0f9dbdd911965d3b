"""Published studies: small, byte-stable, extended by adding files, and read like the run they are made from."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports import write
from reports.blind.answers import evaluate as evaluate_answers
from reports.blind.task import Task, make_task
from reports.claims.evaluate_claims import evaluate
from reports.errors import ReportError
from reports.pages.blind_page import read_ranking, write_ranking, write_task
from reports.pages.publish import publish
from reports.results.load import load
from reports.results.summary import summaries
from reports.statistics.preference_ranking import rank_rows
from reports.statistics.preferences import Choice, Outcome

Run = Callable[..., Path]
Edit = Callable[..., dict[str, Any]]

CLAIM = {"id": "c", "text": "as said", "better": "base", "worse": "identity"}
STUDIES = sorted(file.parent for file in (Path(__file__).parents[2] / "reports/published").glob("*/plan.json"))


@pytest.fixture
def reported(make_run: Run, edit: Edit) -> Run:
    """A function that writes a run folder with a claim and a report, without pictures of test images."""

    def make(name: str = "quickstart", **options: Any) -> Path:
        run = make_run(name, size=(26, 26), **options)
        edit(run / "plan.json", experiment="quickstart", claims=[CLAIM])
        for folder in [run / "pairs", *run.glob("*/images"), *run.glob("*/seed*/images")]:
            shutil.rmtree(folder)
        write(run)
        return run

    return make


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _row(task: Task, picture: str) -> str:
    return task.key.pictures[picture].row


def _without_commands(page: Path) -> str:
    """Return a page without its commands: a study has no weights, so the run comes before `restore` and `export`."""
    return re.sub(r'<pre class="command".*?</pre>\s*', "", page.read_text(), flags=re.DOTALL)


def test_a_study_is_read_like_its_run(reported: Run, edit: Edit, tmp_path: Path) -> None:
    """Records, scores, curves, problems, claims and the report are the same, whether read from the run or the study."""
    run = reported()
    edit(run / "heads.residual/seed1/record.json", status="failed", error={"message": "loss is nan"}, scores={})
    shutil.rmtree(run / "heads.direct_rgb/seed0")
    study = publish(run, tmp_path / "study")
    of_run, of_study = load(run), load(study)
    assert of_study.plan == of_run.plan and of_study.records == of_run.records
    assert of_study.notes == of_run.notes and of_study.experiment_yaml == of_run.experiment_yaml
    assert [(one.row, one.seed, one.kind) for one in of_study.problems] == [
        (one.row, one.seed, one.kind) for one in of_run.problems
    ]
    pd.testing.assert_frame_equal(of_study.scores, of_run.scores, check_exact=True)
    pd.testing.assert_frame_equal(of_study.curves, of_run.curves, check_exact=True)
    assert evaluate(of_study, summaries(of_study)) == evaluate(of_run, summaries(of_run))
    page, again = write(run).page, write(study).page
    different = "no record.json: not run yet, or stopped on the way"
    assert _without_commands(again) == _without_commands(page).replace(different, "not published")
    assert again.parent.name == "report_from_records"


def test_a_study_is_a_few_files(reported: Run, tmp_path: Path) -> None:
    """No folder a row, no LaTeX, no HTML: records, plan, experiment, a table each of scores and losses, the report."""
    study = publish(reported(), tmp_path / "study")
    names = {name for name in files_of(study) if not name.startswith("report/figures/")}
    assert names == {
        "records.jsonl", "plan.json", "experiment.yaml", "scores/001.csv.gz", "curves/001.csv.gz", "report/report.md",
        "SHA256SUMS",
    }  # fmt: skip
    text = (study / "report/report.md").read_text()
    assert set(re.findall(r"\((figures/[^)]+)\)", text)) == {
        path.relative_to(study / "report").as_posix() for path in study.glob("report/figures/*")
    }


def test_publishing_again_gives_the_same_bytes(reported: Run, tmp_path: Path) -> None:
    """Over an older study, and into another folder: what has not changed makes no difference in a repository."""
    run = reported()
    first = files_of(publish(run, tmp_path / "study"))
    (tmp_path / "study/scores/007.csv.gz").write_bytes(b"of an older study")
    assert files_of(publish(run, tmp_path / "study")) == first
    assert files_of(publish(run, tmp_path / "other")) == first


def test_publish_says_that_it_replaces_a_study(
    reported: Run, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    """Who chose a name that is taken learns what became of it."""
    arguments = ("publish", reported(), "--out", tmp_path / "study")
    (_, first, _), (_, second, _) = command(*arguments), command(*arguments)
    assert first.startswith("published: ") and second.startswith("published anew, in place of an older study: ")


def test_appending_adds_a_batch(reported: Run, tmp_path: Path) -> None:
    """Another machine's seeds join the study: its files of scores stay as they are, new ones come beside them."""
    study = publish(reported("first", seeds=(0, 1)), tmp_path / "study")
    before = files_of(study)
    publish(reported("second", seeds=(2,)), study, append=True)
    after = files_of(study)
    assert {name for name in after if name.endswith(".gz")} == {
        "scores/001.csv.gz", "scores/002.csv.gz", "curves/001.csv.gz", "curves/002.csv.gz",
    }  # fmt: skip
    assert after["scores/001.csv.gz"] == before["scores/001.csv.gz"]
    results = load(study)
    assert results.plan.seeds == (0, 1, 2) and results.problems == () and results.notes == ()
    assert [record.seed for record in results.records if record.row == "base"] == [0, 1, 2]
    keys = {stage.name: sorted(stage.keys) for stage in results.plan.rows[0].stages}
    assert keys == {"coarse": ["0", "1", "2"], "psnr": ["0", "1", "2"]}
    assert "3 seeds" in after["report/report.md"].decode()


@pytest.mark.slow
def test_appending_goes_on_where_a_killed_process_had_moved_the_study_away(reported: Run, tmp_path: Path) -> None:
    """Nothing of the study is lost, and its report, made of both batches, names no temporary folder."""
    first, second = reported("first", seeds=(0,)), reported("second", seeds=(1,))
    expected = files_of(publish(second, publish(first, tmp_path / "expected/study"), append=True))
    study = publish(first, tmp_path / "killed/study")
    study.rename(study.with_name(".study.former"))
    assert files_of(publish(second, study, append=True)) == expected
    assert [*study.parent.iterdir()] == [study]
    assert not [name for name, data in expected.items() if b".writing" in data]


def test_appending_what_is_there_changes_nothing(reported: Run, tmp_path: Path) -> None:
    """The same run twice adds no batch."""
    run = reported()
    before = files_of(publish(run, tmp_path / "study"))
    assert files_of(publish(run, tmp_path / "study", append=True)) == before


def test_what_does_not_belong_together_is_refused(reported: Run, edit: Edit, tmp_path: Path) -> None:
    """Another experiment, another configuration of a row, a study in place of a run, a folder that is no study."""
    run = reported()
    study = publish(run, tmp_path / "study")
    before = files_of(study)
    with pytest.raises(ReportError, match="is a published study already"):
        publish(study, tmp_path / "again")
    with pytest.raises(ReportError, match="is no published study, so nothing can be appended"):
        publish(run, run, append=True)
    edit(run / "plan.json", experiment="other")
    with pytest.raises(ReportError, match="is of experiment 'quickstart'"):
        publish(run, study, append=True)
    plan = edit(run / "plan.json", experiment="quickstart")
    plan["rows"][0]["config_hashes"]["0"] = "changed"
    edit(run / "plan.json", rows=plan["rows"])
    edit(run / "base/seed0/record.json", config_hash="changed")
    with pytest.raises(ReportError, match="holds base, seed 0 of another configuration"):
        publish(run, study, append=True)
    assert files_of(study) == before


def test_a_run_that_is_damaged_or_without_report_is_refused(reported: Run, tmp_path: Path) -> None:
    """Nothing is left out of a study silently."""
    run = reported()
    (run / "report/report.md").unlink()
    with pytest.raises(ReportError, match=r"report\.md: is missing"):
        publish(run, tmp_path / "study")
    (run / "base/seed0/record.json").write_text("{")
    with pytest.raises(ReportError, match=r"base/seed0/record\.json: not readable as JSON"):
        publish(run, tmp_path / "study")


def test_answers_of_a_blind_test_come_along_and_its_key_does_not(make_run: Run, tmp_path: Path) -> None:
    """Others can rank the answers again; the study holds neither salt nor ids, with which the page could be read."""
    run = make_run()
    task = make_task(load(run), ("base", "heads.residual"), "s3cr3t")
    write_task(task, run)
    for place, person in enumerate(("Ada", "Bo")):
        answers = [
            {"left": one, "right": two, "choice": "right" if _row(task, two) == "base" else "left", "seconds": 1.5}
            for one, two in task.data["pairs"]
        ]
        content = {"schema": 2, "test": task.key.test, "session": f"s{place}", "person": person, "simulated": True}
        (tmp_path / f"{person}.json").write_text(json.dumps(content | {"answers": answers}))
    ranking = evaluate_answers(load(run), [tmp_path / "Ada.json", tmp_path / "Bo.json"])
    write_ranking(ranking, run)
    write(run)
    study = publish(run, tmp_path / "study")
    assert [path.name for path in study.glob("blind/**/*")] == ["ranking.json"]
    published = "".join((study / name).read_text() for name in ("blind/ranking.json", "report/report.md"))
    assert not [secret for secret in ("s3cr3t", "Ada", *task.key.pictures) if secret in published]
    again = read_ranking(study)
    assert again is not None and len(again.answers) == 8
    named: dict[str, Outcome] = {"left": "first", "right": "second", "tie": "tie"}
    choices = [Choice(str(one.person), one.image, one.left, one.right, named[one.choice]) for one in again.answers]
    ranked = rank_rows(choices, [row.row for row in ranking.rows]).rows
    assert [(row.row, row.strength) for row in ranked] == [(row.row, row.strength) for row in ranking.rows]
    assert "Blind test: 8 answers of 2 people" in (write(study).page.parent / "report.md").read_text()
    (run / "blind/ranking.json").unlink()
    write(run)
    assert not (publish(run, tmp_path / "study") / "blind").exists()


def test_what_is_damaged_in_a_study_is_told(reported: Run, tmp_path: Path) -> None:
    """Without a manifest, a cut line of records and a broken table cost what they hold, with a note each."""
    study = publish(reported(), tmp_path / "study")
    (study / "SHA256SUMS").unlink()
    records = (study / "records.jsonl").read_text().splitlines()
    (study / "records.jsonl").write_text("\n".join([records[0][:50], *records[1:]]))
    scores = study / "scores/001.csv.gz"
    scores.write_bytes(scores.read_bytes()[:100])
    results = load(study)
    assert [(one.row, one.seed, one.kind) for one in results.problems] == [("base", 0, "missing")]
    assert any(note.startswith("records.jsonl, line 1: not readable as JSON") for note in results.notes)
    assert any(note.startswith("scores/001.csv.gz: not readable") for note in results.notes)
    assert "base, seed 1: scores.csv is missing." in results.notes


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_shipped_studies_are_small_and_complete(study: Path) -> None:
    """At most 1 MB besides figures; every planned record is there, and its scores average to what it says."""
    files = files_of(study).items()  # a page that someone made here from the records is no part of the study
    counted = [
        data for name, data in files if not name.endswith((".png", ".svg")) and "report_from_records" not in name
    ]
    assert sum(map(len, counted)) <= 1_000_000
    results = load(study)
    assert len(results.records) == sum(len(row.seeds) for row in results.plan.rows)
    assert results.notes == ()
    assert {problem.kind for problem in results.problems} <= {"failed", "rejected"}
    for line in (study / "records.jsonl").read_text().splitlines():
        assert json.loads(line)["schema"] == 2
