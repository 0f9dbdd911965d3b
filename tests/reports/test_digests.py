"""Files beside records are checked by their SHA-256: what is damaged is named and left out, old records are read."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmark.cli import reports as commands
from benchmark.errors import BenchmarkError
from reports import write
from reports.digests import digests_of
from reports.errors import ReportError
from reports.figures.examples import examples
from reports.pages.publish import publish
from reports.results.load import load
from reports.results.summary import summaries

Run = Callable[..., Path]


@pytest.fixture
def checked_run(make_run: Run, edit: Callable[..., object]) -> Run:
    """A function that writes a run whose records hold the digests of the files beside them."""

    def make(name: str = "quickstart", **options: object) -> Path:
        run = make_run(name, **options)
        add_digests(run, edit)
        return run

    return make


def add_digests(run: Path, edit: Callable[..., object]) -> None:
    for record in run.rglob("record.json"):
        edit(record, files=digests_of(record.parent, "record.json"))


def flip(file: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def kinds(run: Path) -> dict[tuple[str, int | None], tuple[str, str]]:
    return {(problem.row, problem.seed): (problem.kind, problem.reason) for problem in load(run).problems}


def test_sound_files_are_read(checked_run: Run) -> None:
    """A run as it was written has no damage, and every record can tell."""
    results = load(checked_run())
    assert (results.damage, results.unchecked, len(results.records)) == ((), 0, 7)


@pytest.mark.parametrize("name", ["scores.csv", "curve.csv"])
@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_row_with_a_damaged_or_missing_file_is_left_out(
    checked_run: Run, name: str, damage: Callable[[Path], None]
) -> None:
    """One flipped bit, or a deleted file, costs the row and seed; the line names the file, and the others are read."""
    run = checked_run()
    damage(run / "base/seed1" / name)
    results = load(run)
    assert len(results.records) == 6
    kind, reason = kinds(run)["base", 1]
    assert kind == "damaged" and reason.startswith(f"{name} is ") and "record.json" in reason
    assert results.damage == (f"{run}/base/seed1/{reason}",)


def test_an_older_record_is_read_and_told_once(make_run: Run) -> None:
    """Without digests all rows count as before; one line says that damage goes unnoticed."""
    run = make_run()
    results = load(run)
    assert (len(results.records), results.damage, results.unchecked) == (7, (), 7)
    result = CliRunner().invoke(commands.claims, [str(run)])
    assert result.exit_code == 0 and result.stderr.count("without digests") == 1 and "7 records" in result.stderr


def test_the_commands_name_damaged_files(checked_run: Run, tmp_path: Path) -> None:
    """`report` writes the page of the rest and fails; the others go on; each names the file."""
    one, other = checked_run("one"), checked_run("other")
    flip(one / "heads.residual/seed0/scores.csv")
    line = f"damaged: {one}/heads.residual/seed0/scores.csv is damaged: its SHA-256 is not the one in record.json"
    for command, folders in (
        (commands.claims, [one]), (commands.compare, [one, other]), (commands.leaderboard, [tmp_path]),
    ):  # fmt: skip
        result = CliRunner().invoke(command, list(map(str, folders)))
        assert result.exit_code == 0 and line in result.stderr.splitlines(), command.name
    result = CliRunner().invoke(commands.report, [str(one)])
    assert isinstance(result.exception, BenchmarkError) and line in result.stderr.splitlines()
    assert "**Damaged:**" in (one / "report/report.md").read_text()


def test_a_damaged_record_ends_report_with_2(checked_run: Run, command: Callable[..., tuple[int, str, str]]) -> None:
    """The file is named in one line, the exit code is that of a failed input."""
    run = checked_run()
    (run / "base/seed0/record.json").write_text('{"schema": 2, "row": "ba')
    code, _, err = command("report", run)
    assert code == 2 and "Traceback" not in err
    damaged, error = err.splitlines()[-2:]
    assert damaged.startswith(f"damaged: {run}/base/seed0/record.json: not readable as JSON")
    assert error.startswith(f"error: {run}: ")
    assert (run / "report/index.html").is_file()


def test_a_damaged_picture_is_not_shown(checked_run: Run) -> None:
    """A restored image whose pixels changed since the record was written stands in no example."""
    run = checked_run(size=(40, 40))
    flip(run / "base/seed0/images/a.png")
    results = load(run)
    shown = examples(summaries(results), results, results.metric("psnr"))
    assert "a" not in [example.image for example in shown.shown]
    assert any("images/a.png is damaged" in note for note in shown.notes)


@pytest.fixture(scope="module")
def published(run_writer: Run, edit: Callable[..., object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published study, for reading only."""
    run = run_writer(tmp_path_factory.mktemp("published") / "quickstart")
    add_digests(run, edit)
    write(run)
    return publish(run, run.parent / "study")


@pytest.fixture
def study(published: Path, tmp_path: Path) -> Path:
    """A published study."""
    return shutil.copytree(published, tmp_path / "study")


def test_a_study_has_digests_that_sha256sum_reads(study: Path) -> None:
    """The manifest names every other file; the standard tool agrees."""
    names = [line.partition("  ")[2] for line in (study / "SHA256SUMS").read_text().splitlines()]
    files = [path.relative_to(study).as_posix() for path in study.rglob("*") if path.is_file()]
    assert sorted([*names, "SHA256SUMS"]) == sorted(files)
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=study, check=True)
    results = load(study)
    assert (results.damage, results.unchecked) == ((), 0)


@pytest.mark.parametrize(
    "name", ["plan.json", "records.jsonl", "experiment.yaml", "scores/001.csv.gz", "curves/001.csv.gz"]
)
@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_damaged_study_is_not_read(study: Path, name: str, damage: Callable[[Path], None]) -> None:
    """Nothing tells which rows of a damaged file can be trusted, so the study is refused with the file's name."""
    damage(study / name)
    with pytest.raises(ReportError, match=f"{study}/{name} is (damaged|missing)"):
        load(study)


def test_published_records_keep_the_digest_of_the_weights_alone(checked_run: Run, tmp_path: Path) -> None:
    """Digests of pictures would be most of a study, which has no pictures."""
    run = checked_run()
    record = run / "base/seed0/record.json"
    (record.parent / "weights.safetensors").write_bytes(b"weights")
    record.write_text(record.read_text().replace('"files": {', '"files": {"weights.safetensors": "aa", '))
    write(run)
    files = {(item.row, item.seed): item.files for item in load(publish(run, tmp_path / "study")).records}
    assert files["base", 0] == {"weights.safetensors": "aa"} and files["base", 1] == {}
