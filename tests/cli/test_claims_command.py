"""`claims` prints what records say of claims, and its exit code tells a check whether they still say so."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmark.cli import cli
from reports.errors import ReportError

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "reports/published/quickstart_faces1"
SIZE = {"within": {"row": "base", "gate": "size"}}
HEAD = {"better": "base", "worse": "heads.direct_rgb"}
Claiming = Callable[..., Path]


@pytest.fixture
def claiming(tmp_path: Path) -> Claiming:
    """A function that gives the published quickstart, without pictures, some claims by id."""

    def make(**claims: dict[str, Any]) -> Path:
        run = tmp_path / "run"
        shutil.copytree(PUBLISHED, run, ignore=shutil.ignore_patterns("report", "*.png"))
        plan = json.loads((run / "plan.json").read_text())
        plan["claims"] = [{"id": name, "text": f"says {name}", **claim} for name, claim in claims.items()]
        (run / "plan.json").write_text(json.dumps(plan))
        (run / "SHA256SUMS").unlink()  # of the plan as it was
        return run

    return make


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["claims", *map(str, arguments)], standalone_mode=False)


def test_claims_are_printed_with_numbers(claiming: Claiming) -> None:
    """Each with its result, its form, its numbers, and what would resolve it where two seeds do not."""
    done = call(claiming(size=SIZE, head=HEAD))
    assert done.return_value == 0
    assert "✓ size: holds: says size" in done.output
    assert "numbers: base: 0.306 MB of at most 10 MB" in done.output
    assert "~ head: not resolved: says head" in done.output
    assert "resolved by: 1 more seed" in done.output
    assert "2 claims: 1 hold, 0 refuted, 1 not resolved" in done.output


@pytest.mark.parametrize(
    ("expected", "options", "code"),
    [("holds", ["--check"], 0), ("refuted", ["--check"], 1), (None, ["--check"], 0), ("refuted", [], 0)],
)
def test_a_check_fails_where_a_result_is_another(
    claiming: Claiming, expected: str | None, options: list[str], code: int
) -> None:
    """With --check the exit code is 1 if a result is not what the file says; without, it tells only."""
    done = call(claiming(size=SIZE | {"expected": expected}), *options)
    assert done.return_value == code
    assert ("expected: refuted, but the records say: holds" in done.output) == (expected == "refuted")


def test_an_experiment_without_claims_says_so(claiming: Claiming) -> None:
    """Nothing claimed is nothing wrong."""
    done = call(claiming(), "--check")
    assert (done.return_value, "the experiment makes no claims" in done.output) == (0, True)


def test_text_of_a_run_cannot_steer_the_terminal(claiming: Claiming) -> None:
    """Control characters in plan.json are shown as such, not obeyed."""
    done = call(claiming(size=SIZE | {"text": "\x1b[2Jgone", "reading": "\x1b]0;title\x07"}))
    assert done.exit_code == 0 and "[2Jgone" in done.output
    assert "\x1b" not in done.output and "\x07" not in done.output


def test_what_is_no_run_is_one_line(tmp_path: Path) -> None:
    """A folder without plan.json is a mistake that the user can mend."""
    done = call(tmp_path)
    assert isinstance(done.exception, ReportError)
    assert "no plan.json here" in str(done.exception)
