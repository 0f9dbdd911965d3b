"""Interrupts: training stops between two steps, and the end of a terminal is one of them."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TRAINING = """
import signal, sys, time
from pathlib import Path
from benchmark.interrupts import deferred_interrupts, exit_now, interrupt_on_termination
folder = Path(sys.argv[1])
interrupt_on_termination()
try:
    with deferred_interrupts() as is_stopping:
        (folder / "ready").touch()
        deadline = time.monotonic() + float(sys.argv[2])
        while not is_stopping() and time.monotonic() < deadline:
            time.sleep(0.01)
        (folder / "state").write_text(str(is_stopping()))
    (folder / "between").touch()
    if is_stopping():
        raise KeyboardInterrupt
    time.sleep(float(sys.argv[2]))
except KeyboardInterrupt:
    print("interrupted", flush=True)
    (folder / "end").touch()
    exit_now(85)
"""


LOADING = """
import os, signal, sys
from importlib.machinery import ExtensionFileLoader
from benchmark.interrupts import interrupt_on_termination

def interrupt(frame, event, argument):
    caller = frame.f_back
    while caller is not None:
        loader = caller.f_locals.get("self")
        if event == "call" and isinstance(loader, ExtensionFileLoader) and loader.name == "torch._C":
            sys.setprofile(None)
            os.kill(os.getpid(), int(sys.argv[1]))
            return
        caller = caller.f_back

interrupt_on_termination()
sys.setprofile(interrupt)
try:
    import torch
    while True:
        pass
except KeyboardInterrupt:
    print(hasattr(torch, "compile"))
"""
"""Sends a signal when torch's library, while it is loaded, calls Python for the first time."""


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 20
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert file.exists()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_wait_for_the_end_of_a_step(sent: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAINING, str(tmp_path), "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_for(tmp_path / "ready")
        process.send_signal(sent)
        out, _ = process.communicate(timeout=30)
    assert (tmp_path / "state").read_text() == "True"
    assert (out, process.returncode) == ("interrupted\n", 85)


def test_outside_training_sighup_interrupts_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TRAINING, str(tmp_path), "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_for(tmp_path / "between")
        process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=30)
    assert (tmp_path / "state").read_text() == "False"
    assert (out, process.returncode) == ("interrupted\n", 85)


def test_nohup_keeps_sighup_ignored(tmp_path: Path) -> None:
    command = ["nohup", sys.executable, "-c", TRAINING, str(tmp_path), "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        wait_for(tmp_path / "ready")
        process.send_signal(signal.SIGHUP)
        wait_for(tmp_path / "between")
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=30) == 0
    assert (tmp_path / "state").read_text() == "False"


def test_a_terminal_that_is_closed_stops_training_and_output_to_it_raises_nothing(tmp_path: Path) -> None:
    main_end, terminal = pty.openpty()
    command = ["setsid", "--ctty", "--wait", sys.executable, "-c", TRAINING, str(tmp_path), "20"]
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        wait_for(tmp_path / "ready")
        os.close(main_end)
        process.wait(timeout=30)
    wait_for(tmp_path / "end")
    assert (tmp_path / "state").read_text() == "True"


@pytest.mark.parametrize("sent", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_waits_until_a_library_is_loaded(sent: signal.Signals) -> None:
    """An error that Python raises while torch loads its library would abort the process with a message of C++."""
    command = [sys.executable, "-c", LOADING, str(int(sent))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert (result.stdout, result.stderr, result.returncode) == ("True\n", "", 0)
