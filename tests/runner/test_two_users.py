"""Two users with one cache, store and run folder: both finish with equal weights, or one line says what is closed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.files import digest_of
from tests.cli.test_cli import ROOT, Edited
from tests.conftest import let_others_enter

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="becomes two users"),
]
_GROUP = 20_000
# All modules are loaded first, by the same command elsewhere: later the interpreter may lie in a closed home.
AS_USER = """
import os, sys
from benchmark.cli import main
user, group, mask, *arguments = sys.argv[1:]
def run(folder):
    os.environ["BENCHMARK_CACHE"] = folder + "/cache"
    sys.argv = ["benchmark", *arguments, "--output", folder + "/runs/small"]
    try:
        main()
    except SystemExit as end:
        return end.code
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core: no process has to be started
code = run(os.getcwd() + "/own" + user)
if code:
    sys.exit(f"as root: {code}")
os.setgroups([]); os.setgid(int(group)); os.setuid(int(user)); os.umask(int(mask, 8))
sys.exit(run(os.getcwd() + "/shared"))
"""


def start_as(user: int, mask: str, file: Path, *options: str) -> subprocess.Popen[str]:
    """Run an experiment as a user of the group with a umask, in folders that the group shares."""
    program = [sys.executable, "-B", "-c", AS_USER, str(user), str(_GROUP), mask, "run", str(file), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": "/nonexistent"}
    return subprocess.Popen(program, cwd=file.parent, env=environment, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and what was said."""
    said = process.communicate(timeout=600)[1]
    assert "as root" not in said and "Traceback" not in said, said
    return process.returncode, said


@pytest.fixture
def shared(edited: Edited, pairs: Path) -> Path:
    """Return an experiment beside a folder that the group may write, and whose new folders belong to the group."""
    file = edited("seeds: [0]", "seeds: [0]")
    let_others_enter(file)
    let_others_enter(pairs / "train")
    folder = file.parent / "shared"
    folder.mkdir()
    os.chown(folder, 0, _GROUP)
    folder.chmod(0o2775)
    return file


def weights_of(file: Path, folder: str) -> dict[str, str]:
    """Return the digests of the weights of all rows below a folder."""
    runs = file.parent / folder / "runs/small"
    return {str(path.relative_to(runs)): digest_of(path) for path in runs.glob("*/seed*/weights.safetensors")}


def test_two_users_of_a_group_share_one_run(shared: Path) -> None:
    """With umask 002 they train it together at the same time, and the weights are those of a user alone."""
    users = [start_as(user, "002", shared) for user in (12345, 12346)]
    for process in users:
        code, said = ended(process)
        assert code == 0, said
    assert weights_of(shared, "shared") == weights_of(shared, "own12345") != {}


@pytest.mark.parametrize(("first", "second"), [("022", "022"), ("077", "002"), ("002", "077")])
def test_what_another_user_made_is_used_or_named(shared: Path, first: str, second: str) -> None:
    """A user who may not write, or not even read, what is there gets one line and exit code 2; weights stay."""
    code, said = ended(start_as(12345, first, shared, "--rows", "base"))
    assert code == 0, said
    before = weights_of(shared, "shared")
    code, said = ended(start_as(12346, second, shared))
    assert code in (0, 2) and weights_of(shared, "shared").items() >= before.items()
    if code == 2:
        assert "Permission denied" in said.splitlines()[-1] or "may not read" in said.splitlines()[-1], said
    assert (code == 0) == (first == "002")
