"""`compare` and `leaderboard` on a part of the published records."""

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmark.cli import cli
from reports.errors import ReportError


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], standalone_mode=False)


def part(published: Path, rows: set[str], to: Path) -> Path:
    """A copy of a published study with a few of its rows."""
    shutil.copytree(published, to, ignore=shutil.ignore_patterns("report", "curves"))
    plan = json.loads((to / "plan.json").read_text())
    plan["rows"] = [row for row in plan["rows"] if row["row"] in rows]
    (to / "plan.json").write_text(json.dumps(plan))
    keep_records(to, lambda record: record["row"] in rows)
    (to / "SHA256SUMS").unlink()  # of the whole study
    return to


def keep_records(study: Path, is_kept: Callable[[dict[str, Any]], bool]) -> None:
    lines = (study / "records.jsonl").read_text().splitlines(keepends=True)
    (study / "records.jsonl").write_text("".join(line for line in lines if is_kept(json.loads(line))))


@pytest.fixture
def runs(root: Path, tmp_path: Path) -> Path:
    """Two runs that were tested on the same faces, two and three seeds, three rows each."""
    published = root / "reports/published"
    part(published / "quickstart_faces1", {"base", "heads.direct_rgb", "identity"}, tmp_path / "runs/quick")
    part(published / "heads_and_losses", {"base", "heads.rgb", "identity"}, tmp_path / "runs/heads")
    return tmp_path / "runs"


def test_compare_shows_rows_differences_and_what_differs(runs: Path) -> None:
    """The published numbers stand in one table, over the seeds both have, with the notes below."""
    records = runs / "heads/records.jsonl"
    records.write_text(records.read_text().replace('"torch":"2.15.0"', '"torch":"2.14.0"'))
    output = call("compare", runs / "quick", runs / "heads").output
    lines = {line.split()[0]: line.split() for line in output.splitlines() if "_rgb " in line or ".rgb " in line}
    assert lines["quickstart/heads.direct_rgb"][1] == "−1.003"
    assert "PSNR of each row minus that of quickstart/base" in output
    assert "* Compared over 2 common seeds (0 and 1); left out: 2 of heads_and_losses." in output
    assert "* quickstart against heads_and_losses: torch 2.15.0 against 2.14.0." in output


def test_compare_writes_csv_and_a_report(runs: Path, tmp_path: Path) -> None:
    """--format csv is a table for programs alone; --output leaves the page and its tables."""
    done = call("compare", runs / "quick", runs / "heads", "--format", "csv", "--output", tmp_path / "out")
    lines = {line["row"]: line for line in csv.DictReader(io.StringIO(done.stdout))}
    assert set(lines) == {
        "quickstart/heads.direct_rgb", "quickstart/identity", "heads_and_losses/base", "heads_and_losses/heads.rgb"
    }  # fmt: skip
    difference = lines["heads_and_losses/base"]
    by_seed = [float(difference[f"psnr_difference_seed{seed}"]) for seed in (0, 1)]
    assert float(difference["psnr_difference"]) == pytest.approx(sum(by_seed) / 2)
    assert "What was checked, and what differs" in (tmp_path / "out/index.html").read_text()
    assert (tmp_path / "out/tables/differences.csv").read_text() == done.stdout


def test_compare_says_why_not(runs: Path) -> None:
    """Other test images are a mistake the user can mend, told in a line that names both sides."""
    scores = runs / "heads/scores/001.csv.gz"
    before = gzip.decompress(scores.read_bytes())
    assert before.startswith(b"row,seed,split,image,psnr,")
    scores.write_bytes(gzip.compress(before.replace(b"identity,,test,face_0000,", b"identity,,test,face_0000,1")))
    done = call("compare", runs / "quick", runs / "heads")
    assert isinstance(done.exception, ReportError)
    head, reason = str(done.exception).splitlines()
    assert head == "quickstart and heads_and_losses cannot stand in one table:"
    assert "scores differently in quickstart and heads_and_losses on 1 of 16 test images (psnr)" in reason


@pytest.mark.parametrize("arguments", [("compare", "nowhere", "nothing"), ("leaderboard", "nowhere")])
def test_folders_that_are_no_runs_are_told(arguments: tuple[str, ...]) -> None:
    """A wrong path is an error of ours, not a traceback."""
    assert isinstance(call(*arguments).exception, ReportError)


def test_leaderboard_ranks_all_runs_and_lists_the_rest(runs: Path) -> None:
    """Rows of both runs stand in one ranking; a row that lacks a seed and a broken run are named below."""
    keep_records(runs / "heads", lambda record: (record["row"], record["seed"]) != ("heads.rgb", 2))
    (runs / "broken").mkdir()
    (runs / "broken/plan.json").write_text("{")
    output = call("leaderboard", runs).output
    ranks = {line.split()[1]: line.split()[0] for line in output.splitlines() if line[:4].strip().isdigit()}
    assert ranks == {"quickstart/base": "1", "heads_and_losses/base": "2", "quickstart/heads.direct_rgb": "3"}
    assert "incomplete" in next(line for line in output.splitlines() if "heads_and_losses/heads.rgb" in line)
    assert "unreadable run" in output


def test_leaderboard_takes_metric_gates_and_form(runs: Path) -> None:
    """--metric orders by another metric; CSV has every column unrounded."""
    done = call("leaderboard", runs, "--metric", "harm", "--gates", "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(done.stdout)))
    ranked = [float(line["harm"]) for line in lines if line["rank"]]
    assert len(ranked) == 4 and ranked == sorted(ranked)
    assert {line["folder"] for line in lines} == {str(runs / "quick"), str(runs / "heads")}


def test_markdown_is_a_pipe_table(runs: Path) -> None:
    """--format markdown prints what a README can take."""
    output = call("leaderboard", runs, "--format", "markdown").output
    assert "| --: | :-- |" in output and "| 1 | quickstart/base |" in output


@pytest.mark.parametrize("command", ["compare", "leaderboard"])
def test_help_has_examples(command: str) -> None:
    """Each command shows how it is called."""
    assert f"python -m benchmark {command} runs" in call(command, "--help").output
