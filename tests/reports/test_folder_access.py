"""Folders that are replaced as a whole, whatever ends the process that writes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reports.folder_access import replaced, settle

KILLED = """
import os, signal, sys
from pathlib import Path
from reports.folder_access import replaced
rename = Path.rename
def killed(path, target):
    if sys.argv[2] == "moved":
        rename(path, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.rename = killed
with replaced(Path(sys.argv[1])) as copy:
    (copy / "b").write_text("half")
"""
"""Is killed at the first rename, or just after it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, alone in another."""
    (tmp_path / "place/folder").mkdir(parents=True)
    (tmp_path / "place/folder/a").write_text("old")
    return tmp_path / "place/folder"


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_a_folder_gets_its_new_content_at_the_end(folder: Path) -> None:
    """What is not touched stays; a link to the folder stays a link; a folder that is missing is made."""
    (folder.parent / "link").symlink_to("folder")
    with replaced(folder.parent / "link") as copy:
        (copy / "b").write_text("new")
        assert contents(folder) == {"a": "old"}
    assert contents(folder) == {"a": "old", "b": "new"} and (folder.parent / "link").is_symlink()
    with replaced(folder.parent / "deep/other") as copy:
        (copy / "c").write_text("new")
    assert contents(folder.parent) == {"folder/a": "old", "folder/b": "new", "deep/other/c": "new"}


def test_an_error_leaves_the_earlier_folder(folder: Path) -> None:
    """It names the folder and not the copy; nothing of the copy is left."""
    with pytest.raises(FileNotFoundError, match=r"place/folder/none'$"), replaced(folder) as copy:
        (copy / "a").write_text("half")
        (copy / "none").read_text()
    assert contents(folder.parent) == {"folder/a": "old"} and [*folder.parent.iterdir()] == [folder]


@pytest.mark.parametrize("moment", ["complete", "moved"])
def test_a_kill_leaves_the_earlier_folder(folder: Path, moment: str) -> None:
    """Before the first rename, and between the two, where the next process puts it back; no half file is left."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder), moment], check=False)
    assert killed.returncode == -signal.SIGKILL and folder.exists() == (moment == "complete")
    settle(folder)
    assert contents(folder) == {"a": "old"}
    with replaced(folder) as copy:
        (copy / "b").write_text("new")
    assert contents(folder.parent) == {"folder/a": "old", "folder/b": "new"} and [*folder.parent.iterdir()] == [folder]


def test_the_working_folder_is_not_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell that works in it would be left in a folder that is gone."""
    monkeypatch.chdir(folder)
    with pytest.raises(OSError, match="is the working folder"), replaced(Path()):
        pytest.fail("no copy is made")
    assert contents(folder.parent) == {"folder/a": "old"} and [*folder.parent.iterdir()] == [folder]
