"""Progress of a command that does one thing many times: a bar in a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable

import click

_PLAIN_SECONDS = 5.0


def show_progress(done: Iterable[int], total: int, what: str) -> None:
    """Run `done`, which yields how many of `total` are ready, to its end, and show each number on stderr."""
    if sys.stderr.isatty():
        _bar(done, total, what)
    else:
        _lines(done, total, what)


def _bar(done: Iterable[int], total: int, what: str) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        for count in done:
            progress.update(task, completed=count)


def _lines(done: Iterable[int], total: int, what: str) -> None:
    last = time.perf_counter()
    for count in done:
        if time.perf_counter() - last > _PLAIN_SECONDS:
            last = time.perf_counter()
            click.echo(f"{what} {count}/{total}", err=True)
