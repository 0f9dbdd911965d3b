"""A full disk, other users, and file systems that lack something: named as what they are, and nothing is lost."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from torch import nn

from benchmark.runner.stage_store import StageResult, StageStore
from tests.cli.test_cli import ROOT, Command, Edited, call, start

# A loss that lets the disk be full from the n-th file on that is flushed to it, as `$WRITES` says.
FILLING = '''\
"""L1; the disk is full after a while."""

import errno
import os

from torch import Tensor

from heads import Restoration
from losses import Batch, Loss

left = int(os.environ.get("WRITES", "1000000"))
sync = os.fsync


def fsync(descriptor: int) -> None:
    global left
    left -= 1
    if left < 0:
        raise OSError(errno.ENOSPC, "No space left on device", "state.pt")
    sync(descriptor)


os.fsync = fsync


class FillingL1(Loss):
    origin = "a test"
    formula = "mean |restored - target|"

    def forward(self, restoration: Restoration, batch: Batch) -> Tensor:
        return (restoration.image - batch.target).abs().mean()
'''


@pytest.mark.parametrize("writes", [pytest.param(0, marks=pytest.mark.slow), 5])
def test_a_full_disk_stops_the_run_and_fails_no_row(
    command: Command, edited: Edited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """One line, exit code 2, no failed record; the same command goes on."""
    (tmp_path / "filling_l1.py").write_text(FILLING)
    file = edited("loss: {l1: 1.0}, augment", "loss: {filling_l1: 1.0}, augment")
    run = ["run", file.name, "--plugin", "filling_l1.py"]
    with monkeypatch.context() as disk:
        disk.setenv("WRITES", str(writes))
        disk.setattr(os, "fsync", os.fsync)  # the plugin replaces it
        code, _, err = command(*run)
    check_full_disk(tmp_path, code, err)
    code, _, err = command(*run)
    assert code == 0, err


def check_full_disk(folder: Path, code: int, err: str) -> None:
    assert code == 2, err
    last = err.strip().splitlines()[-1]
    assert last.startswith("error: ") and "No space left on device" in last and "Traceback" not in err
    assert "FAILED" not in err and not list(folder.rglob("error.txt"))


@pytest.mark.slow
def test_a_full_disk_stops_a_run_with_workers(edited: Edited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rows run side by side in processes of their own, the end is the same."""
    (tmp_path / "filling_l1.py").write_text(FILLING)
    file = edited("loss: {l1: 1.0}, augment", "loss: {filling_l1: 1.0}, augment")
    run = ["run", file.name, "--plugin", "filling_l1.py"]
    monkeypatch.setenv("WRITES", "0")
    with start(*run, cwd=tmp_path, threads=2) as process:
        _, err = process.communicate(timeout=120)
    check_full_disk(tmp_path, process.returncode, err)
    monkeypatch.delenv("WRITES")
    code, _, err = call(*run, cwd=tmp_path)
    assert code == 0, err


AS_ANOTHER_USER = """
import os, sys
from pathlib import Path
from benchmark.errors import BenchmarkError
from benchmark.runner.stage_store import StageStore
"".encode("utf-8-sig")  # which the other user might not be allowed to import
os.setgroups([]); os.setgid(12345); os.setuid(12345)
for root, action in zip(sys.argv[1::2], sys.argv[2::2]):
    store = StageStore(Path(root))
    try:
        if action == "read":
            print(store.finished("a" * 32, verify=True).steps, len(store.weights("a" * 32)))
        else:
            with store.lease("a" * 32): print("leased")
    except BenchmarkError as error:
        print(error)
"""


def as_another_user(*actions: tuple[StageStore, str]) -> list[str]:
    """What another user is told in one process: of each store and action, `read` or `lease`, a line."""
    arguments = [str(argument) for store, action in actions for argument in (store.root, action)]
    program = [sys.executable, "-c", AS_ANOTHER_USER, *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@contextmanager
def umask(mask: int) -> Generator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def store_with_a_stage(root: Path) -> StageStore:
    store = StageStore(root)
    with store.lease("a" * 32) as lease:
        assert lease is not None
        store.publish(lease, StageResult("coarse", "a" * 32, 3, 1.5, 8.0, 1000, {}), nn.Conv2d(3, 3, 1), [])
    return store


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_finished_stage_of_another_user_is_used(tmp_path: Path) -> None:
    """Reading needs no lease; where one is needed, or reading is not allowed, one line names the folder or the file."""
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(0o755)
    with umask(0o022):
        store, closed = store_with_a_stage(tmp_path / "store"), store_with_a_stage(tmp_path / "closed")
    (closed.folder("a" * 32) / "weights.safetensors").chmod(0o600)
    with umask(0o077):
        private = store_with_a_stage(tmp_path / "private")
    result, lease, weights, folder = as_another_user(
        (store, "read"), (store, "lease"), (closed, "read"), (private, "read")
    )
    assert result == "3 2"
    assert "store/.leases: cannot be written (Permission denied)" in lease
    assert "weights.safetensors: this user may not read it; ask its owner" in weights
    assert "may not read it" in folder


def has_mount_namespaces() -> bool:
    """Whether this process may mount folders that no other process sees."""
    program = ["unshare", "--mount", "true"]
    return sys.platform == "linux" and os.geteuid() == 0 and subprocess.run(program, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not has_mount_namespaces(), reason="mounts a folder read-only")
def test_a_store_and_a_cache_on_a_read_only_mount_are_used(
    edited: Edited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished stages are used and reported; what would have to be written gives one line and exit code 2."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("BENCHMARK_CACHE", str(cache))
    file = edited("seeds: [0]", "seeds: [0]")
    code, _, err = call("run", file.name, "--rows", "base", cwd=file.parent)
    assert code == 0, err
    mounts = " && ".join(f"mount --bind {at} {at} && mount -o remount,ro,bind {at}" for at in ("runs/.stages", cache))
    benchmark = f"{sys.executable} -m benchmark run {file.name} --rows base --output runs/second"

    def run_read_only(*options: str) -> subprocess.CompletedProcess[str]:
        script = " ".join([mounts, "&&", benchmark, *options])
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        program = ["unshare", "--mount", "sh", "-c", script]
        return subprocess.run(program, cwd=file.parent, env=environment, capture_output=True, text=True, check=False)

    done = run_read_only()
    assert done.returncode == 0, done.stderr
    stages = json.loads((file.parent / "runs/second/base/seed0/record.json").read_text())["stages"]
    assert stages and all(stage["reused"] for stage in stages)
    refused = run_read_only("--set", "protocol.coarse.steps=5", "--replace")
    last = refused.stderr.strip().splitlines()[-1]
    assert refused.returncode == 2 and "FAILED" not in refused.stderr and "Traceback" not in refused.stderr
    assert ".stages" in last and "Read-only file system" in last


def test_the_umask_is_honoured(tmp_path: Path) -> None:
    """With umask 002 a group can write all folders and files of a store, those of leases, too."""
    with umask(0o002):
        store = store_with_a_stage(tmp_path / "store")
    paths = [store.root, *store.root.rglob("*")]
    assert len(paths) >= 7 and all(path.stat().st_mode & 0o020 for path in paths)
