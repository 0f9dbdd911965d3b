"""The study of one device, in small on the CPU: parts that go on, and the page made of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools/gpu_study.py"


def study(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *options, "--device", "cpu", "--small", "--out", str(folder)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)


@pytest.mark.slow
def test_a_part_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Without time nothing starts (exit code 85); a later call does the rest, the next one nothing. Then the page."""
    late = study(tmp_path, "4", "--minutes", "1", "--started", "0")
    assert late.returncode == 85 and "steps_gunet: waits for the next call" in late.stdout
    assert study(tmp_path, "4", "--minutes", "5").returncode == 0
    steps = json.loads((tmp_path / "part_4.json").read_text("utf-8"))["steps"]
    assert set(steps) == {"steps_gunet", "steps_nafnet"}
    assert all(step["measured"]["ways"]["float32"]["median_ms"] > 0 for step in steps.values())
    assert study(tmp_path, "4", "--minutes", "5").stdout == ""
    assert study(tmp_path).returncode == 0
    page = (tmp_path / "README.md").read_text("utf-8")
    median = steps["steps_nafnet"]["measured"]["ways"]["float32"]["median_ms"]
    assert f"| nafnet tiny | float32 | {median} |" in page and "## 1. Correctness" in page and "Not run." in page


@pytest.mark.slow
def test_without_a_part_there_is_no_page(tmp_path: Path) -> None:
    """One line says what to do first."""
    nothing = study(tmp_path)
    assert nothing.returncode == 2 and "no part_N.json; run `make gpu PART=1" in nothing.stderr
    assert study(tmp_path, "9").returncode == 2


@pytest.mark.slow
def test_bad_input_is_one_line(tmp_path: Path) -> None:
    """A damaged part, a file as the folder, too little time: what is wrong, and what to do."""
    (tmp_path / "part_1.json").write_text('{"title": "x", "st')
    damaged = study(tmp_path, "1")
    assert damaged.returncode == 2 and "part_1.json: is damaged; delete it" in damaged.stderr
    no_folder = study(tmp_path / "part_1.json", "1")
    assert no_folder.returncode == 2 and "give another folder for --out" in no_folder.stderr
    hurried = study(tmp_path / "new", "1", "--minutes", "0")
    assert hurried.returncode == 2 and "part 1 needs 80 s for its first command" in hurried.stderr
    assert "Traceback" not in damaged.stderr + no_folder.stderr + hurried.stderr
