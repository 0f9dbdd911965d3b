"""A search in an SQLite file: a damaged, locked or failing file is one line that says so, and it stays as it is."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from benchmark.errors import RecordError
from benchmark.experiment.search_settings import Tpe
from benchmark.experiment.search_space import Parameter, Range, Search
from benchmark.search import storage
from benchmark.search.study import open_study, resume
from reports.metrics import metric

SEARCH = Search(metric("psnr"), 3, Tpe(), 0, (Parameter("a.lr", 1e-3, Range(1e-5, 1e-1, True, None, False)),))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a study in it."""
    with open_study(tmp_path / "study.db", "small", SEARCH, "x", replace=False) as study:
        resume(study, SEARCH)
    return tmp_path / "study.db"


def opened(file: Path) -> int:
    with open_study(file, "small", SEARCH, "x", replace=False) as study:
        resume(study, SEARCH)
        return len(study.trials)


def with_zeros(content: bytes, start: int, count: int) -> bytes:
    return content[:start] + bytes(count) + content[start + count :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda content: content[: len(content) // 2],
    "cut within the first page": lambda content: content[:1000],
    "first page": lambda content: with_zeros(content, 100, 3996),
    "a page": lambda content: with_zeros(content, 4096, 4096),
    "all other pages": lambda content: with_zeros(content, 4096, len(content)),
    "another program's": lambda content: content[:16] + b"x" * 4000,
}


def test_a_sound_file_goes_on(file: Path) -> None:
    """What the damaged ones below are compared with."""
    assert opened(file) == opened(file) == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_line(file: Path, damage: str) -> None:
    """Found before the search begins; nothing is written to it."""
    content = DAMAGES[damage](file.read_bytes())
    file.write_bytes(content)
    with pytest.raises(RecordError, match=r"study\.db: .*; (move it away or )?choose another --storage") as error:
        opened(file)
    assert "\n" not in str(error.value) and "start it" not in str(error.value)
    assert file.read_bytes() == content


def test_a_locked_file_is_told_as_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is where the file system has no locks."""
    monkeypatch.setattr(storage, "_PATIENCE_SECONDS", 0.1)
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RecordError, match="cannot be locked: another program writes to it, or its file system has"):
            opened(file)
    assert opened(file) == 1


def test_a_file_that_fails_amid_a_search_is_one_line(file: Path) -> None:
    """SQLite's own reason, not Optuna's guess."""
    with (
        pytest.raises(RecordError, match=r"study\.db: does not answer any more \(no such table: trials\)"),
        open_study(file, "small", SEARCH, "x", replace=False) as study,
        closing(sqlite3.connect(file)) as other,
    ):
        other.execute("DROP TABLE trials")
        study.ask()
