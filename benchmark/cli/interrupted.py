"""What commands that train tell whoever started them when they are interrupted."""

from collections.abc import Generator
from contextlib import contextmanager

EXIT_RESUME = 85
"""Exit code for schedulers: start the command again, it goes on. 130, the shell's own, says less."""


class ToBeResumed(KeyboardInterrupt):
    """Interrupted in training: the same command goes on."""


@contextmanager
def to_be_resumed() -> Generator[None]:
    """Inside, an interruption is one that the same command goes on from."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise ToBeResumed from error
