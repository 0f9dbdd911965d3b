"""Starting worker processes."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def interrupts_left_to_parent() -> Generator[None]:
    """Processes started inside ignore Ctrl-C from their first moment on.

    A terminal sends it to all processes of a command; the parent decides what becomes of its workers, which would
    otherwise each die with a traceback of their own.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
