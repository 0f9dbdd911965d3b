"""Where the study of a search lies: a journal file, an SQLite file, or a PostgreSQL database.

One command at a time has a study open: another one would take its running trials for interrupted ones. A journal or an
SQLite file has a lease beside it, a database an advisory lock, which its server frees when the command dies.
"""

import hashlib
import json
import os
import sqlite3
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy.exc import SQLAlchemyError

from benchmark.errors import BenchmarkError, RecordError, missing_packages, shown
from benchmark.lease import LeaseFolder

_FIRST_BYTES = b'{"op_code":'
_SQLITE, _POSTGRESQL = "sqlite:///", "postgresql"
_SQLITE_BYTES = b"SQLite format 3\0"
_DRIVER = "psycopg"
_PATIENCE_SECONDS = 5.0
"""A database takes a moment to see that a killed command is gone."""


class _NoLock(JournalFileSymlinkLock):
    """The lease of the journal excludes other writers; Optuna's own lock would outlive a killed search."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def default_workers(place: Path | str, workers: int | None) -> int | None:
    """Return how many workers a search may have; None: as many as are of use.

    Raises:
        BenchmarkError: The storage cannot serve so many.
    """
    if not _is_sqlite(place):
        return workers
    if workers and workers > 1:
        raise BenchmarkError(
            f"--storage {place}: SQLite locks the whole file for each entry, so it is for one worker, not {workers}; "
            "give --workers 1, or a journal (any other file name) or a postgresql:// URL as --storage"
        )
    return 1


@contextmanager
def open_storage(place: Path | str, name: str) -> Generator[Callable[[], BaseStorage]]:
    """Hold the storage of a study, which is made if need be, and return what reads it; no other command can meanwhile.

    Args:
        place: A journal, a file `*.db`, `*.sqlite` or `sqlite:///FILE`, or `postgresql://USER@HOST/DATABASE`.
        name: Of the study; a database may hold several, each of which one command may have open.

    Raises:
        RecordError: It is another kind of file, cannot be reached, or another search has it open.
        BenchmarkError: The URL is of another kind, or the driver of its database is not installed.
    """
    if _is_database(place):
        with _open_database(str(place), name) as storage:
            yield lambda: storage
        return
    if "://" in str(place) and not _is_sqlite(place):
        raise BenchmarkError(
            f"--storage {shown(str(place))}: is no storage of a search; give a file, sqlite:///FILE or postgresql://..."
        )
    file = file_of(place)
    if file.name.startswith(":"):
        raise BenchmarkError(f"--storage {place}: a search in memory could not go on; give sqlite:///FILE")
    file.parent.mkdir(parents=True, exist_ok=True)
    _check_kind(file, is_sqlite=_is_sqlite(place))
    lease = LeaseFolder(file.parent).acquire_patiently(f".{file.name}.lease")
    if lease is None:
        raise RecordError(f"{file}: another search is writing to it; wait for it or choose another --output")
    try:
        if _is_sqlite(place):
            _check_sqlite(file)
            with _database(f"{_SQLITE}{file}") as storage:
                yield lambda: storage
        else:
            _drop_torn_line(file)
            yield lambda: _journal(file)
    finally:
        lease.release()


def file_of(place: Path | str) -> Path:
    """Return the file of a storage that is one."""
    return Path(str(place).removeprefix(_SQLITE))


def shown_place(place: Path | str) -> str:
    """Return a storage for messages and files, without a password.

    Raises:
        BenchmarkError: It is no URL that can be read.
    """
    return _url(str(place)).render_as_string(hide_password=True) if _is_database(place) else str(place)


def _url(text: str) -> sqlalchemy.URL:
    try:
        return sqlalchemy.make_url(text)
    except (ValueError, SQLAlchemyError):
        # It may hold a password, so it is not shown.
        raise BenchmarkError(
            "--storage: is no URL of a database; write postgresql://USER@HOST/DATABASE, a port as :5432 behind the "
            "host, and special characters of a password as %XX"
        ) from None


def _is_sqlite(place: Path | str) -> bool:
    return str(place).startswith(_SQLITE) or (
        "://" not in str(place) and Path(place).suffix in (".db", ".sqlite", ".sqlite3")
    )


def _is_database(place: Path | str) -> bool:
    return str(place).startswith(_POSTGRESQL) and "://" in str(place)


@contextmanager
def _open_database(url: str, name: str) -> Generator[BaseStorage]:
    if missing := missing_packages([_DRIVER], "postgresql"):
        raise BenchmarkError(f"--storage {shown_place(url)}: {missing}; or choose a file")
    parsed = _url(url).set(drivername=f"{_POSTGRESQL}+{_DRIVER}")  # alone it would mean psycopg2
    digest = hashlib.sha256(f"restoration-benchmark search {name}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    try_lock = sqlalchemy.text("SELECT pg_try_advisory_lock(:key)").bindparams(key=key)
    with (
        _database(parsed.render_as_string(hide_password=False)) as storage,
        storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
    ):
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not connection.execute(try_lock).scalar():
            if time.monotonic() > deadline:
                raise RecordError(
                    f"{shown_place(url)}: another search has study {name} open; wait for it or use another database"
                )
            time.sleep(0.1)
        yield storage


@contextmanager
def _database(url: str) -> Generator[Any]:
    """Connect to a database, and close all connections to it at the end.

    Raises:
        RecordError: It cannot be reached, now or later.
    """
    storage = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = RDBStorage(url)
        yield storage
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ or error
        reason = str(cause.__cause__ or cause).strip().splitlines()[0]
        what = "cannot be opened" if storage is None else "does not answer any more"
        remedy = "choose" if url.startswith(_SQLITE) else "start it and run the same command again, or choose"
        raise RecordError(f"{shown_place(url)}: {what} ({shown(reason)}); {remedy} another --storage") from None
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _check_sqlite(file: Path) -> None:
    """Check an SQLite file that exists, if it is not empty: its pages, and that it can be locked and written.

    Raises:
        RecordError: It is damaged, or cannot be locked or written.
    """
    if not file.exists() or not file.stat().st_size:
        return
    try:
        with closing(sqlite3.connect(file, timeout=_PATIENCE_SECONDS)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
            verdict: str = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise RecordError(
                f"{file}: cannot be locked: another program writes to it, or its file system has no locks; wait for "
                "the program, or give a journal (a name with another ending) as --storage"
            ) from None
        verdict = str(error)
    if verdict != "ok":
        reason = shown(verdict.strip().splitlines()[-1])
        raise RecordError(f"{file}: cannot be used as SQLite file ({reason}); move it away or choose another --storage")


def _check_kind(file: Path, *, is_sqlite: bool) -> None:
    """Raise RecordError for another kind of file, before anything is written to it."""
    if not file.exists():
        return
    if not file.is_file():
        raise RecordError(f"{file}: is a folder or a device, no file; name a file with --storage")
    expected, kind = (_SQLITE_BYTES, "an SQLite file") if is_sqlite else (_FIRST_BYTES, "an Optuna journal")
    with file.open("rb") as opened:
        first = opened.read(len(expected))
    if first != expected[: len(first)]:  # a kill may have left less of the first line, or nothing
        raise RecordError(f"{file}: not {kind}; move it away or choose another --storage")


def _journal(file: Path) -> BaseStorage:
    """Return the storage in a journal.

    Raises:
        ValueError: A line is damaged. Optuna passes over the last one when it reads, and fails when it writes the next.
    """
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number}: {error}") from None
    return JournalStorage(JournalFileBackend(str(file), _NoLock(str(file))))


def _drop_torn_line(journal: Path) -> None:
    """Remove the incomplete last line that a kill or a full disk has left; the next line would be appended to it."""
    journal.touch()
    os.truncate(journal, journal.read_bytes().rfind(b"\n") + 1)
