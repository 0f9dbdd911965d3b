"""The same work for many pairs, in several processes."""

import multiprocessing
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from benchmark.errors import DataError
from benchmark.processes import interrupts_left_to_parent
from benchmark.registry import load_plugins

Result = TypeVar("Result")

_FEWEST_FOR_WORKERS = 8
"""Starting a worker takes about as long as reading this many pairs."""


def each(work: Callable[[int], Result], count: int, workers: int, plugins: Sequence[Path] = ()) -> Iterator[Result]:
    """`work(0)`, `work(1)`, ... `work(count - 1)`, in order. `plugins`: files that define what `work` needs.

    Raises what `work` raises, and DataError if a process dies.
    """
    if workers < 2 or count < _FEWEST_FOR_WORKERS:
        yield from (work(index) for index in range(count))
        return
    # Fresh processes: forking one that already runs threads of torch can hang.
    context = multiprocessing.get_context("spawn")
    start = partial(load_plugins, tuple(plugins))
    try:
        with TemporaryDirectory() as folder, ProcessPoolExecutor(workers, context, start) as pool:
            # By file: to send a source of 50,000 files with every index would take longer than to read the pairs.
            file = Path(folder) / "work"
            file.write_bytes(pickle.dumps(work))
            with interrupts_left_to_parent():
                results = pool.map(partial(_call, file), range(count))
            yield from results
    except BrokenProcessPool as error:
        raise DataError(f"reading images: a process died ({error}); out of memory?") from None


def _call(file: Path, index: int) -> Any:
    return _work(file)(index)


@lru_cache(maxsize=1)
def _work(file: Path) -> Callable[[int], Any]:
    return pickle.loads(file.read_bytes())
