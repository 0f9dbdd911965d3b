"""A PostgreSQL server for tests: that of the system, with its data in a folder of the test."""

import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import let_others_enter

NewDatabase = Callable[[str], str]
_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
_PORT = 15000 + os.getpid() % 1000


@contextmanager
def postgresql(folder: Path) -> Generator[NewDatabase]:
    """Run a server; yield a function that makes a database of a name and returns its URL.

    The test is skipped where the server or psycopg is not installed.
    """
    pytest.importorskip("psycopg")
    if not _PROGRAMS:
        pytest.skip("no PostgreSQL server is installed")
    as_user = []
    folder.mkdir(exist_ok=True)
    if os.getuid() == 0:  # the server refuses to run as root
        as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        shutil.chown(folder, "postgres", "postgres")
        let_others_enter(folder)

    def call(program: str, *arguments: object) -> None:
        command = [*as_user, str(_PROGRAMS[-1] / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)

    def create(name: str) -> str:
        call("createdb", "-h", "127.0.0.1", "-p", _PORT, "-U", "bench", name)
        return f"postgresql://bench@127.0.0.1:{_PORT}/{name}"

    call("initdb", "-D", folder / "data", "-A", "trust", "-U", "bench", "-E", "UTF8")
    options = f"-c listen_addresses=127.0.0.1 -p {_PORT} -k {folder} -c fsync=off"
    call("pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log", "-o", options, "start")
    try:
        yield create
    finally:
        call("pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
