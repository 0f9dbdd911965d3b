"""A file system without locks, such as NFS without lockd: everything works, also two commands at a time."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.files import digest_of
from tests.cli.test_cli import Edited, start

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(sys.platform != "linux" or shutil.which("gcc") is None, reason="compiles a library to preload"),
]
# Every lock is refused as the kernel refuses it there; all other calls of fcntl go on.
WITHOUT_LOCKS = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

static int is_lock(int command) {
    return command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
}

int flock(int descriptor, int operation) { errno = ENOLCK; return -1; }

int lockf(int descriptor, int command, off_t size) { errno = ENOLCK; return -1; }

#define WRAPPED(name)                                                            \\
    int name(int descriptor, int command, ...) {                                 \\
        if (is_lock(command)) { errno = ENOLCK; return -1; }                     \\
        va_list arguments; va_start(arguments, command);                         \\
        void *argument = va_arg(arguments, void *); va_end(arguments);           \\
        int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, #name); \\
        return real(descriptor, command, argument);                              \\
    }

WRAPPED(fcntl)
WRAPPED(fcntl64)
"""
SEARCH = "search: {metric: psnr, trials: 3, parameters: {protocol.coarse.lr: {choices: [1e-3, 2e-3, 4e-3]}}}\n"


@pytest.fixture
def no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All processes that start from now on have a library preloaded with which every lock fails; return its file."""
    library = tmp_path / "without_locks.so"
    (tmp_path / "without_locks.c").write_text(WITHOUT_LOCKS)
    compiler = ["gcc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "without_locks.c"), "-ldl"]
    subprocess.run(compiler, check=True, capture_output=True)
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "cache"))
    probe = "import fcntl, sys\\ntry: fcntl.{}\\nexcept OSError as error: print(error.errno)"
    for call in ("flock(1, fcntl.LOCK_EX)", "lockf(1, fcntl.LOCK_EX)"):
        program = [sys.executable, "-c", probe.replace("\\n", "\n").format(call)]
        said = subprocess.run(program, check=True, capture_output=True, text=True).stdout
        assert said == "37\n", f"the library does not refuse {call}"
    return library


def ended(process: subprocess.Popen[str]) -> str:
    """Return what a command said, which ends well."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0 and "Traceback" not in err, err
    return out + err


def weights_of(run: Path) -> dict[str, str]:
    return {str(file.relative_to(run)): digest_of(file) for file in run.glob("*/seed*/weights.safetensors")}


def test_two_commands_on_one_folder_finish_without_locks(
    no_locks: Path, edited: Edited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the weights that a command has where there are locks."""
    file = edited("seeds: [0]", "seeds: [0]")
    processes = [start("run", file.name, cwd=file.parent) for _ in range(2)]
    codes = [(process.communicate(timeout=300), process.returncode) for process in processes]
    assert [code for _, code in codes] == [0, 0], codes
    assert not any("No locks available" in text or "Traceback" in text for said, _ in codes for text in said), codes
    monkeypatch.delenv("LD_PRELOAD")
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path / "other_cache"))
    ended(start("run", file.name, "--output", "others/small", cwd=file.parent))
    assert weights_of(file.parent / "runs/small") == weights_of(file.parent / "others/small") != {}
    assert no_locks.is_file() and "LD_PRELOAD" not in os.environ


def test_a_search_goes_on_without_locks(no_locks: Path, edited: Edited) -> None:
    """It asks each of its three settings once, over two commands, and a third one has nothing to do."""
    file = edited("seeds: [0]\n", f"seeds: [0]\n{SEARCH}")
    assert no_locks.is_file()
    for trials in (2, 3, 3):
        ended(start("search", file.name, "--trials", trials, cwd=file.parent))
        with (file.parent / "runs/small/trials.csv").open(encoding="utf-8", newline="") as table:
            rates = [trial["protocol.coarse.lr"] for trial in csv.DictReader(table)]
        assert len(rates) == trials == len(set(rates))
