"""One store and two hosts: processes with different host names, killed and paused at random moments.

Both run on this machine; each calls itself by another host name, so neither can look up whether the other's process is
alive, and must wait until a lease is stale.
"""

import itertools
import json
import multiprocessing
import os
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import benchmark.lease
from benchmark.lease import LeaseLost
from benchmark.runner.stage_store import StageResult, StageStore

KILLS = int(os.environ.get("KILLS", "200"))
SEED = int(os.environ.get("KILL_SEED", "0"))
BEAT, STALE = 0.15, 1.5
BATCH = 60
"""Stages that the two hosts train at a time."""
PAUSED_SHARE = 0.1
"""Of the kills, those that are pauses, longer than it takes until a lease is stale."""
PATIENCE_SECONDS = 120.0


def work(root: Path, host: str, keys: list[str], log: Path, seed: int) -> None:
    """Train the stages that nobody else trains, in random order, until all are finished; log what happens to each."""
    benchmark.lease.host_id = lambda: host
    rng, store = random.Random(seed), StageStore(root, BEAT, STALE)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(event: str, key: str, number: int) -> None:
        line = {"event": event, "key": key, "number": number, "time": time.monotonic(), "pid": os.getpid()}
        os.write(descriptor, (json.dumps(line) + "\n").encode())

    while todo := [key for key in keys if store.finished(key) is None]:
        rng.shuffle(todo)
        for key in todo:
            with store.lease(key) as lease:
                if lease is None or store.finished(key, verify=True) is not None:
                    continue
                note("begin", key, lease.number)
                time.sleep(rng.uniform(0.0, 0.04))
                try:
                    store.publish(lease, result_of(key), nn.Linear(1, 1), [(1, "loss", 0.5)])
                    note("published", key, lease.number)
                except (LeaseLost, OSError):
                    if lease.is_current():
                        raise
                    note("refused", key, lease.number)
        time.sleep(0.02)


def result_of(key: str) -> StageResult:
    return StageResult("coarse", key, 1, 1.0, 1.0, 1, {"psnr": {"mean": 30.0, "std": 0.0, "n": 1}})


class Hosts:
    """Two hosts with a process each, which is started again when it is killed."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root, self.log = root, log
        self.killed: dict[int, float] = {}
        """When each process was killed, by its pid, in seconds of the monotonic clock."""
        self.paused = set[int]()
        """Pids of the processes that were paused."""
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["benchmark.runner.stage_store", "torch"])
        self.started = 0

    def start(self, host: str, keys: list[str]) -> BaseProcess:
        self.started += 1
        process = self.context.Process(target=work, args=(self.root, host, keys, self.log, SEED + self.started))
        process.start()
        return process

    def train(self, keys: list[str], kills: int, rng: random.Random) -> Counter[str]:
        """Let both hosts train the stages, and kill or pause one of their processes that often; return how often."""
        processes = {host: self.start(host, keys) for host in ("left", "right")}
        counts, deadline = Counter[str](), time.monotonic() + PATIENCE_SECONDS
        while any(process.is_alive() for process in processes.values()):
            assert time.monotonic() < deadline, "stages are left"
            time.sleep(rng.uniform(0.02, 0.2))
            host = rng.choice([*processes])
            process = processes[host]
            if counts.total() < kills and process.is_alive() and process.pid is not None:
                if rng.random() < PAUSED_SHARE:
                    with suppress(ProcessLookupError):  # it has just ended by itself
                        os.kill(process.pid, signal.SIGSTOP)
                        self.paused.add(process.pid)
                        time.sleep(STALE * rng.uniform(1.0, 2.0))
                        os.kill(process.pid, signal.SIGCONT)
                        counts["paused"] += 1
                    continue
                process.kill()
                process.join()
                self.killed[process.pid] = time.monotonic()
                counts["killed"] += 1
                processes[host] = self.start(host, keys)
        assert [process.exitcode for process in processes.values()] == [0, 0]
        return counts


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path / ".stages", tmp_path / "log.jsonl")


def events(log: Path) -> Iterator[dict[str, Any]]:
    return map(json.loads, log.read_text().splitlines())


def check(hosts: Hosts, keys: list[str]) -> None:
    """No stage is lost, each is published once, by the owner of its last lease; only pauses make two train at once."""
    store, by_key = StageStore(hosts.root, BEAT, STALE), defaultdict[str, list[dict[str, Any]]](list)
    for event in events(hosts.log):
        by_key[event["key"]].append(event)
    for key in keys:
        assert store.finished(key, verify=True) is not None
        begun = sorted((event for event in by_key[key] if event["event"] == "begin"), key=lambda event: event["number"])
        published = [event["number"] for event in by_key[key] if event["event"] == "published"]
        numbers = [event["number"] for event in begun]
        assert len(set(numbers)) == len(numbers), "a fencing number was given twice"
        meta = json.loads((hosts.root / key / "meta.json").read_text())
        assert published in ([], [meta["fencing_number"]]), "published twice"
        assert meta["fencing_number"] in numbers
        ends = {(event["pid"], event["number"]): event["time"] for event in by_key[key] if event["event"] != "begin"}
        for owner, successor in itertools.pairwise(begun):
            end = ends.get((owner["pid"], owner["number"]), hosts.killed.get(owner["pid"], 0.0))
            assert end <= successor["time"] or owner["pid"] in hosts.paused, "two trained it at the same time"


def test_two_hosts_share_the_stages_and_a_killed_host_loses_none(hosts: Hosts) -> None:
    """The other host takes over what a killed process had begun, once its lease is stale."""
    keys = [f"{number:032x}" for number in range(12)]
    hosts.train(keys, 2, random.Random(SEED))
    check(hosts, keys)


@pytest.mark.torture
def test_kills_and_pauses_at_random_moments(hosts: Hosts) -> None:
    """No stage lost, each published once, none trained twice at once by killed owners; paused ones are refused."""
    rng, counts, batches = random.Random(SEED), Counter[str](), 0
    while counts.total() < KILLS:
        keys = [f"{batches * BATCH + number:032x}" for number in range(BATCH)]
        done = hosts.train(keys, KILLS - counts.total(), rng)
        check(hosts, keys)
        counts, batches = counts + done, batches + 1
    outcomes = Counter(event["event"] for event in events(hosts.log))
    print(f"{dict(counts)} on {batches * BATCH} stages: {dict(outcomes)}")
