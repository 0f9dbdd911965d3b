"""Where commands write, as a user meets it: the right file, or one line and exit code 2. Real disks."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MakeRun = Callable[..., Path]
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(command: Callable[..., tuple[int, str, str]]) -> Call:
    """The exit code of a command and what it says on stderr."""

    def run(*arguments: object, cwd: Path) -> tuple[int, str]:
        code, _, err = command(*arguments, cwd=cwd)
        return code, err

    return run


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


def test_a_file_where_no_file_can_be(call: Call, tmp_path: Path) -> None:
    """A folder of that name, and a file where a folder is needed; both stay as they are."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    assert_one_line(call("schema", "--out", "folder", cwd=tmp_path), "folder: is a folder")
    assert_one_line(call("schema", "--out", "file/schema.json", cwd=tmp_path), "file/schema.json: Not a directory")
    assert contents(tmp_path) == {"file": b"mine"} and not list((tmp_path / "folder").iterdir())


def test_a_missing_folder_is_made_and_a_link_stays(call: Call, tmp_path: Path) -> None:
    """The target of the link gets what a plain file gets, under the longest name that a file can have."""
    name = "s" * 250 + ".json"
    (tmp_path / "link").symlink_to(Path("deep/down") / name)
    assert call("schema", "--out", "link", cwd=tmp_path) == (0, "")
    assert call("schema", "--out", f"other/{name}", cwd=tmp_path) == (0, "")
    assert (tmp_path / "link").is_symlink()
    files = contents(tmp_path)
    assert files.keys() == {"link", f"deep/down/{name}", f"other/{name}"} and len({*files.values()}) == 1


def test_a_full_disk(call: Call, small_disk: Path, tmp_path: Path, make_run: MakeRun) -> None:
    """One line that names the place; an earlier file is whole, and nothing else is left on the disk."""
    (small_disk / "schema.json").write_text("old")
    assert_one_line(call("schema", "--out", "disk/schema.json", cwd=tmp_path), "disk/schema.json", "No space left")
    assert contents(small_disk) == {"schema.json": b"old"}
    run = make_run(rows={"base": None})
    (run / "report").symlink_to(small_disk, target_is_directory=True)
    assert_one_line(call("report", run, cwd=tmp_path), str(run / "report"), "No space left")
    assert not [name for name in contents(small_disk) if ".writing" in name]
    (run / "report").unlink()
    assert call("report", run, cwd=tmp_path)[0] == 0
    before = contents(small_disk)
    assert_one_line(call("publish", run, "--out", small_disk / "study", cwd=tmp_path), "disk/study", "No space left")
    assert contents(small_disk) == before and not (small_disk / "study").exists()


def test_what_is_no_file_is_not_read(call: Call, tmp_path: Path) -> None:
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
