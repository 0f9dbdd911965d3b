"""Where commands write, as a user meets it: the right file, or one line and exit code 2. Real processes, real disks."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MakeRun = Callable[..., Path]


def call(*arguments: object, cwd: Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The exit code of a command and what it says on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *map(str, arguments)],
        cwd=cwd,
        env=env or {**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def assert_one_line(outcome: tuple[int, str], *parts: str) -> None:
    """Exit code 2, and one line that holds the parts."""
    code, err = outcome
    assert code == 2 and err.startswith("error: ") and err.count("\n") == 1, err
    assert all(part in err for part in parts), err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_file_where_no_file_can_be(tmp_path: Path) -> None:
    """A folder of that name, and a file where a folder is needed; both stay as they are."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    assert_one_line(call("schema", "--out", "folder", cwd=tmp_path), "folder: is a folder")
    assert_one_line(call("schema", "--out", "file/schema.json", cwd=tmp_path), "file/schema.json: Not a directory")
    assert contents(tmp_path) == {"file": b"mine"} and not list((tmp_path / "folder").iterdir())


def test_a_missing_folder_is_made_and_a_link_stays(tmp_path: Path) -> None:
    """The target of the link gets what a plain file gets, under the longest name that a file can have."""
    name = "s" * 250 + ".json"
    (tmp_path / "link").symlink_to(Path("deep/down") / name)
    assert call("schema", "--out", "link", cwd=tmp_path) == (0, "")
    assert call("schema", "--out", f"other/{name}", cwd=tmp_path) == (0, "")
    assert (tmp_path / "link").is_symlink()
    files = contents(tmp_path)
    assert files.keys() == {"link", f"deep/down/{name}", f"other/{name}"} and len({*files.values()}) == 1


def test_a_full_disk(small_disk: Path, tmp_path: Path, make_run: MakeRun) -> None:
    """One line that names the place; an earlier file is whole, and nothing else is left on the disk."""
    (small_disk / "schema.json").write_text("old")
    assert_one_line(call("schema", "--out", "disk/schema.json", cwd=tmp_path), "disk/schema.json", "No space left")
    assert contents(small_disk) == {"schema.json": b"old"}
    run = make_run()
    (run / "report").symlink_to(small_disk, target_is_directory=True)
    assert_one_line(call("report", run, cwd=tmp_path), str(run / "report"), "No space left")
    assert not [name for name in contents(small_disk) if ".writing" in name]
    (run / "report").unlink()
    assert call("report", run, cwd=tmp_path)[0] == 0
    assert_one_line(call("publish", run, "--out", small_disk / "study", cwd=tmp_path), "No space left")


def test_a_report_where_no_folder_can_be(tmp_path: Path, make_run: MakeRun) -> None:
    """A file called as the folder of the report stays as it is."""
    run = make_run()
    (run / "report").write_text("mine")
    assert_one_line(call("report", run, cwd=tmp_path), str(run / "report"), "the report cannot be written")
    assert_one_line(call("publish", run, "--out", run / "report", cwd=tmp_path), str(run / "report"))
    assert_one_line(call("leaderboard", run, "--output", run / "report", cwd=tmp_path), str(run / "report"))
    assert (run / "report").read_text() == "mine"


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A pipe as the source of a report, as a plugin and inside a run: nothing waits for a writer."""
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "plugin.py")
    assert_one_line(call("report", "pipe", cwd=tmp_path), "pipe")
    assert_one_line(call("claims", "pipe", cwd=tmp_path), "pipe")
    assert_one_line(call("schema", "--plugin", "plugin.py", cwd=tmp_path), "plugin.py", "is no regular file")
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / "plan.json")
    assert_one_line(call("report", "run", cwd=tmp_path), "plan.json")
    (tmp_path / "audit").mkdir()
    os.mkfifo(tmp_path / "audit" / "trials.csv")
    assert_one_line(call("report", "audit", cwd=tmp_path))


NOBODY = """
import pwd
def nobody(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = nobody
"""


def test_a_report_without_a_home_folder(tmp_path: Path, make_run: MakeRun) -> None:
    """No home, one that cannot be written, a runtime folder that is missing: the page is the same, byte by byte."""
    run = make_run()
    assert call("report", run, cwd=tmp_path)[0] == 0
    page = (run / "report/index.html").read_bytes()
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(NOBODY)
    bare = {name: value for name, value in os.environ.items() if name not in ("HOME", "USER", "LOGNAME")}
    bare = {name: value for name, value in bare.items() if not name.startswith(("XDG_", "MPL"))}
    surroundings = {
        "no home": {"PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}"},
        "a home that cannot be written": {"HOME": "/proc/none", "PYTHONPATH": str(ROOT)},
        "no runtime folder": {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/none", "PYTHONPATH": str(ROOT)},
    }
    for name, changes in surroundings.items():
        (run / "report/index.html").unlink()
        code, err = call("report", run, cwd=tmp_path, env=bare | changes)
        assert code == 0 and "Traceback" not in err and err.count("\n") <= 3, f"{name}: {err}"
        assert (run / "report/index.html").read_bytes() == page, name
