"""One of the processes that train a stage together; `rank_group.py` starts it with torch's launcher.

python -m benchmark.runner.rank SOCKET
"""

import os
import socket
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from multiprocessing.connection import Connection

import torch
import torch.distributed as dist

from benchmark.inference.device_setup import prepare_machine
from benchmark.interrupts import EXIT_RESUME, exit_now
from benchmark.runner.jobs import end_of_failure
from benchmark.runner.rank_group import RankDone, RankInterrupted, RankTask
from benchmark.runner.stage import train_stage
from benchmark.training.distributed import Ranks

_TIMEOUT = timedelta(minutes=30)
"""How long a rank waits for the others: the first may have to write a large state to a slow disk."""


def main() -> None:
    """Take the work from the socket, carry it out together with the other ranks, report the end."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(sys.argv[1])
        connection = Connection(client.detach())
    stop = threading.Event()
    task: RankTask = connection.recv()
    threading.Thread(target=_listen, args=(connection, stop), name="parent", daemon=True).start()
    try:
        _train(task, connection, stop)
    except KeyboardInterrupt:
        connection.send(RankInterrupted())
        exit_now(0)  # the launcher would end the other ranks, which are about to say the same
    except Exception as error:
        connection.send(end_of_failure(task.stage.key, error))
        exit_now(1)  # not in order: the other ranks wait for this one, and must see that it is gone
    connection.send(RankDone())


def _train(task: RankTask, connection: Connection, stop: threading.Event) -> None:
    ranks = Ranks(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    machine = prepare_machine(task.devices[ranks.rank], int(task.stage.settings.threads))
    if machine.device.type == "cuda":
        torch.cuda.set_device(machine.device)
    # Decisions travel over gloo, so that a rank need not wait for its GPU to make them.
    dist.init_process_group("cpu:gloo,cuda:nccl" if machine.device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    context = replace(task.context, machine=machine)
    on_event = connection.send if ranks.is_first else lambda event: None
    train_stage(task.row, task.stage, task.lease, context, on_event, ranks, stop.is_set)
    dist.barrier()  # the first one has published the stage
    dist.destroy_process_group()


def _listen(connection: Connection, stop: threading.Event) -> None:
    """Note when the process that holds the lease wants to stop; end this one at once when that one is gone."""
    try:
        while True:
            connection.recv()
            stop.set()
    except (EOFError, OSError):
        os._exit(EXIT_RESUME)


if __name__ == "__main__":
    main()
