"""Runs commands in forked processes, which need not import torch again; for `test_kill_series.py`.

    python kill_driver.py      reads lines `LOG ARGUMENT ...` on stdin, runs `benchmark ARGUMENT ...` in a session of
                               its own, writes its pid; after the line `wait PID` its exit code

No report is written. Leases are stale after a second. Workers are forked, not spawned, and close the pipes of their
parent's other workers.
"""

import importlib
import multiprocessing
import os
import shlex
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import benchmark.lease as leases

leases.BEAT_SECONDS, leases.STALE_SECONDS = 0.2, 1.0  # before others read them

import torch  # noqa: E402

import benchmark.runner.stage as stages  # noqa: E402
import reports  # noqa: E402
from benchmark import processes  # noqa: E402
from benchmark.cli import main  # noqa: E402

stages.SAVE_SECONDS = 0.0
for module in (
    "benchmark.cli.run",
    "benchmark.cli.experiment_setup",
    "benchmark.runner.run",
    "benchmark.cli.search_output",
    "benchmark.search.confirm",
):
    importlib.import_module(module)  # once, for all commands
reports.write = lambda folder: SimpleNamespace(page=folder, damage=())  # which takes longer than all the rest
fork = multiprocessing.get_context("fork")
run_worker = processes._run_worker  # pyright: ignore[reportPrivateUsage]


def run_forked_worker(connection: Any, target: Any, arguments: Any) -> None:
    for file in [*Path("/proc/self/fd").iterdir()]:
        with suppress(OSError):  # the listing itself has one, which is closed by now
            if str(file.readlink()).startswith("socket:") and int(file.name) != connection.fileno():
                os.close(int(file.name))
    run_worker(connection, target, arguments)


def start(log: str, arguments: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
        sys.argv = ["benchmark", *arguments]
        main()
    except SystemExit as done:
        sys.stdout.flush()
        os._exit(done.code if isinstance(done.code, int) else 0)
    except BaseException:
        traceback.print_exc()
    os._exit(70)


processes._run_worker = run_forked_worker  # pyright: ignore[reportPrivateUsage]
processes.multiprocessing.get_context = lambda method: fork  # type: ignore[assignment]
torch.set_num_threads(1)
for line in sys.stdin:
    first, *others = shlex.split(line)
    if first == "wait":
        print(os.waitstatus_to_exitcode(os.waitpid(int(others[0]), 0)[1]), flush=True)
    else:
        print(start(str(Path(first).absolute()), others), flush=True)
