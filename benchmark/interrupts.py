"""Interrupts: Ctrl-C, SIGTERM and SIGHUP stop a command between two training steps, and the same command resumes it."""

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from importlib.machinery import ExtensionFileLoader
from types import FrameType
from typing import NoReturn

EXIT_RESUME = 85
"""Exit code for schedulers: start the same command again, it resumes. 130, the shell's own, does not say so."""

_LOADING_SECONDS, _DROPPED_SECONDS = 0.05, 0.01
"""After which a signal is sent again that came while a library was loaded, or that the interpreter dropped."""
_WATCH_SECONDS = 0.5
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class ResumableInterrupt(KeyboardInterrupt):
    """An interrupt of a command that resumes when it is started again."""


RESUMES = "what is finished is stored, the same command goes on from there"


@contextmanager
def noted_as_resumable() -> Generator[None]:
    """Note on what ends a command inside, an interrupt or an error of the system, that the command can be resumed."""
    try:
        yield
    except (KeyboardInterrupt, OSError) as error:
        error.add_note(RESUMES)
        raise


@contextmanager
def resumable_interrupts() -> Generator[None]:
    """Convert every KeyboardInterrupt inside into a ResumableInterrupt, which leads to the exit code 85."""
    with noted_as_resumable():
        try:
            yield
        except KeyboardInterrupt as error:
            raise ResumableInterrupt from error


@contextmanager
def deferred_interrupts() -> Generator[Callable[[], bool]]:
    """Note Ctrl-C, SIGTERM and SIGHUP instead of raising KeyboardInterrupt.

    A second Ctrl-C raises at once. A second SIGTERM or SIGHUP does not: a scheduler sends one to every process, and the
    parent process sends another one to each of its workers. Signals that are ignored stay ignored.

    Yields:
        A function that returns whether a signal came. Outside the main thread, where Python allows no signal handler,
        it always returns False.
    """
    signal_came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield signal_came.is_set
        return

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and signal_came.is_set():
            raise KeyboardInterrupt
        _drop_lost_terminal(number)
        signal_came.set()

    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in handlers.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield signal_came.is_set
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # None: installed by C code, so Python cannot install it again
                signal.signal(number, handler)


@contextmanager
def stopped_when(is_due: Callable[[], bool]) -> Generator[Callable[[], bool]]:
    """Interrupt what runs inside once it is due, as Ctrl-C does; the interrupt ends there.

    Args:
        is_due: Asked twice a second, from another thread.

    Yields:
        A function that returns whether it was interrupted.
    """
    number = next((each for each in (signal.SIGTERM, signal.SIGINT) if callable(signal.getsignal(each))), signal.SIGINT)
    lock, stopped, ended = threading.Lock(), threading.Event(), threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_SECONDS):
            if is_due():
                with lock:
                    if not ended.is_set():
                        stopped.set()
                        signal.pthread_kill(threading.main_thread().ident or 0, number)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield stopped.is_set
        with lock:
            ended.set()
        if stopped.is_set():
            time.sleep(_LOADING_SECONDS)  # the signal may be on its way
    except KeyboardInterrupt:
        if not stopped.is_set():
            raise
    finally:
        ended.set()
        watcher.join()


def interrupt_on_termination() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt in this process, as Ctrl-C does, unless they are ignored (nohup).

    While a library of C++ is loaded, the interrupt waits: many abort the process if Python raises an error then. Also
    repeats a KeyboardInterrupt that falls into a destructor or a callback, where the interpreter would drop it.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise_interrupt)
    sys.unraisablehook = _repeat_interrupt


def exit_now(code: int) -> NoReturn:
    """End this process with an exit code, without the interpreter's own end.

    `sys.exit` is not enough: if Ctrl-C came inside a nested `exec`, of which imports have many, the interpreter
    remembers the interrupt although it was caught, and ends as if the signal had killed it.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def _raise_interrupt(number: int, frame: FrameType | None) -> None:
    _drop_lost_terminal(number)
    if _is_loading_library(frame):
        _send_later(number, _LOADING_SECONDS)
    else:
        raise KeyboardInterrupt


def _is_loading_library(frame: FrameType | None) -> bool:
    """Return whether the interpreter loads an extension module, or torch, which sets up its own after loading it."""
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "torch":
            return True
        frame = frame.f_back
    return False


def _send_later(number: int, seconds: float) -> None:
    """Send a signal to the main thread in a moment, from another thread: from here, it would be dropped again."""
    main_thread = threading.main_thread().ident or 0
    threading.Timer(seconds, signal.pthread_kill, (main_thread, number)).start()


def _drop_lost_terminal(number: int) -> None:
    """After SIGHUP, discard output to a terminal that is gone: writing to it would raise OSError."""
    if number in (signal.SIGINT, signal.SIGTERM):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                os.dup2(null, descriptor)
    os.close(null)


def _repeat_interrupt(unraisable: "sys.UnraisableHookArgs") -> None:
    """Send SIGINT again if the interpreter dropped a KeyboardInterrupt."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _send_later(signal.SIGINT, _DROPPED_SECONDS)
    else:
        sys.__unraisablehook__(unraisable)
