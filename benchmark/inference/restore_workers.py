"""Copies of a network that restore images side by side: small images leave most threads of a network idle.

On the CPU an operation on a small image is too short for several threads. So there is a copy of the network for each
core, up to four, and each restores an image of its own. Large images are restored alone, with all threads, so that no
more features are in memory than for one of them. A GPU has one copy.
"""

import copy
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from benchmark.inference.device_setup import Machine
from benchmark.inference.int8 import FileNetwork
from benchmark.inference.pixels import UnitImage
from benchmark.inference.restore_images import Restored
from benchmark.inference.restore_network import MOST_WHOLE_PIXELS, ImageRestoration, NetworkUse
from benchmark.inference.runtimes import SIZE_FREE_RUNTIMES
from benchmark.model.restorer import Restorer

_MOST_WORKERS = 4


@dataclass(frozen=True)
class Threads:
    """CPU threads of torch.

    Attributes:
        alone: While one image is restored.
        shared: Of each network while several images are.
    """

    alone: int
    shared: int


class RestoreWorkers:
    """Lends copies of a network; see the module."""

    def __init__(self, restores: "list[ImageRestoration]", threads: Threads) -> None:
        """Take the copies, of which there is at least one."""
        self.count = len(restores)
        self._idle, self._threads = list(restores), threads
        self._is_alone, self._changed = False, threading.Condition()

    @contextmanager
    def restore(self, pixels: int) -> "Generator[Callable[[UnitImage], Restored]]":
        """Wait until an image of so many pixels may be restored, and lend a network for it."""
        alone = self.count == 1 or pixels > MOST_WHOLE_PIXELS // self.count
        with self._changed:
            self._changed.wait_for(lambda: self._may_start(alone=alone))
            if len(self._idle) == self.count:  # torch has one number for all threads of a process
                torch.set_num_threads(self._threads.alone if alone else self._threads.shared)
            self._is_alone = alone
            network = self._idle.pop(0)
        try:
            yield network
        finally:
            with self._changed:
                self._is_alone = False
                self._idle.append(network)
                if len(self._idle) == self.count:
                    torch.set_num_threads(self._threads.alone)
                self._changed.notify_all()

    def _may_start(self, *, alone: bool) -> bool:
        return len(self._idle) == self.count if alone else bool(self._idle) and not self._is_alone


def restore_workers(
    restorer: Restorer,
    machine: Machine,
    use: NetworkUse,
    images: int,
    cores: int,
    note: Callable[[str], None],
    file: FileNetwork | None = None,
) -> RestoreWorkers:
    """Return as many copies of a network as are of use.

    Args:
        restorer: The network, on the device.
        machine: Its device, and the threads of torch.
        use: How it is used.
        images: How many are to be restored.
        cores: Of this machine that may be used.
        note: Called with what is found out on the way, once.
        file: What restores in place of the network.
    """
    # Other runtimes prepare the network for each size, which takes long, and share their threads by themselves.
    shares = machine.device.type == "cpu" and use.runtime in SIZE_FREE_RUNTIMES and file is None
    count = max(1, min(_MOST_WORKERS, cores, images)) if shares else 1
    threads = Threads(machine.threads, max(1, min(machine.threads, cores // count)))
    lock, notes = threading.Lock(), list[str]()

    def note_once(line: str) -> None:
        with lock:
            if not notes:
                note(line)
            notes.append(line)

    copies = [restorer, *(copy.deepcopy(restorer) for _ in range(count - 1))]
    restores = [ImageRestoration(network, machine.device, use, note_once, file) for network in copies]
    return RestoreWorkers(restores, threads)
