"""Stopping between two steps instead of within one, when a user or a scheduler asks for it."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def noted_signals() -> Generator[Callable[[], bool]]:
    """Inside, Ctrl-C and SIGTERM are noted, and the function says whether one came; a second Ctrl-C ends at once.

    A second SIGTERM does not: a scheduler sends one to every process, and the parent sends one to each worker.

    Signals that are ignored stay so. Outside the main thread, where no handler may be set, it always says no.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return

    def note(number: int, frame: FrameType | None) -> None:
        if came.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        came.set()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield came.is_set
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: set by other means than Python, which alone could set it again
                signal.signal(number, handler)
