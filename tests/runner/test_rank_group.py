"""A stage on several devices as a job: started by torch's launcher, stored once, resumed, failed, tried again."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from benchmark.cli.experiment_setup import Prepared, prepare
from benchmark.cli.options import Selection
from benchmark.errors import ExperimentError
from benchmark.inference.device_setup import present_machine
from benchmark.runner.context import with_cached_sources
from benchmark.runner.events import Event, StageFinished, StageProgress
from benchmark.runner.rank_group import devices_of_ranks
from benchmark.runner.run import run_rows
from reports.schema import Record

ROOT = Path(__file__).parents[2]
TWO = "protocol.coarse.devices_per_stage=2"
PATIENCE_SECONDS = 120.0


def prepared(file: Path, output: Path, *sets: str, plugins: tuple[Path, ...] = ()) -> Prepared:
    return prepare(Selection(file, output, ("base",), (), sets, "cpu", plugins, replace=False))


def run(ready: Prepared, on_event=lambda event: None) -> tuple[list[Event], list[Record]]:
    events: list[Event] = []

    def note(event: Event) -> None:
        events.append(event)
        on_event(event)

    context = with_cached_sources(ready.plan.experiment.data, ready.context, lambda event: None)
    return events, run_rows(ready.plan.rows, context, ("cpu",), note)


def weights(output: Path, ready: Prepared) -> bytes:
    key = ready.plan.rows[0].stages[0].key
    return (output.parent / ".stages" / key / "weights.safetensors").read_bytes()


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and those that these have started."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                yield int(folder.name)
                yield from descendants(int(folder.name))


def ranks_of(pid: int) -> list[int]:
    """Return the ranks among the descendants of a process, the first one first."""
    names = {each: (Path("/proc") / str(each) / "environ").read_bytes() for each in descendants(pid)}
    ranks = {int(match[1]): each for each, text in names.items() if (match := re.search(rb"\0RANK=(\d+)\0", text))}
    return [ranks[number] for number in sorted(ranks)]


def wait_for_launcher(process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not any(b"torch.distributed.run" in command_of(pid) for pid in descendants(process.pid)):
        assert process.poll() is None and time.monotonic() < deadline, "no launcher was started"
        time.sleep(0.05)


def command_of(pid: int) -> bytes:
    with suppress(OSError):
        return (Path("/proc") / str(pid) / "cmdline").read_bytes()
    return b""


def assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any((Path("/proc") / str(pid)).exists() for pid in pids):
        assert time.monotonic() < deadline, "ranks are left"
        time.sleep(0.05)


def test_ranks_get_the_devices_of_the_machine_or_one_line() -> None:
    """The CPU serves any number; GPUs are those that the job was given, and as many as there are."""
    machine = present_machine(torch.device("cpu"))
    assert devices_of_ranks(machine, 3) == ("cpu",) * 3
    gpu = replace(machine, device=torch.device("cuda:2"), devices=("cuda:2", "cuda:0"))
    assert devices_of_ranks(gpu, 2) == ("cuda:2", "cuda:0")
    with pytest.raises(ExperimentError, match="devices_per_stage is 3, and this job has 2 of the 0 CUDA devices"):
        devices_of_ranks(gpu, 3)


@pytest.mark.slow
def test_a_row_with_a_stage_on_two_devices_is_as_good(experiment_file: Path, tmp_path: Path) -> None:
    """Another key, and weights that differ by rounding alone; validation gives the same PSNR."""
    alone = prepared(experiment_file, tmp_path / "alone/small")
    together = prepared(experiment_file, tmp_path / "together/small", TWO)
    stages = [ready.plan.rows[0].stages for ready in (alone, together)]
    assert stages[0][0].key != stages[1][0].key
    (_, expected), (events, records) = run(alone), run(together)
    assert [record.status for record in records] == ["done"]
    (first, *_) = [event.result for event in events if isinstance(event, StageFinished)]
    assert first.key == stages[1][0].key
    assert first.val["psnr"]["mean"] == pytest.approx(expected[0].stages[0].val["psnr"], abs=1e-3)
    files = [tmp_path / name / ".stages" / own[0].key for name, own in zip(("alone", "together"), stages, strict=True)]
    one_process, ranks = (load_file(folder / "weights.safetensors") for folder in files)
    for name, value in one_process.items():
        np.testing.assert_allclose(ranks[name], value, atol=1e-4)


@pytest.mark.slow
def test_a_killed_rank_ends_the_others_and_the_stage_is_tried_again(experiment_file: Path, tmp_path: Path) -> None:
    """The bytes are those of an undisturbed run, and no rank is left."""
    sets = (TWO, "protocol.coarse.steps=60")
    straight, killed = (prepared(experiment_file, tmp_path / name / "small", *sets) for name in ("straight", "killed"))
    run(straight)
    pids: list[int] = []

    def kill_last(event: Event) -> None:
        if isinstance(event, StageProgress) and not pids:
            pids.extend(ranks_of(os.getpid()))
            os.kill(pids[-1], signal.SIGKILL)

    _, records = run(killed, kill_last)
    assert len(pids) == 2 and [record.status for record in records] == ["done"]
    assert weights(tmp_path / "killed/small", killed) == weights(tmp_path / "straight/small", straight)
    assert_gone(pids)


FRAGILE = """\
from losses import Loss

class Fragile(Loss):
    formula = origin = "mine"

    def forward(self, restoration, batch):
        import os
        if os.environ.get("RANK") == "1":
            raise RuntimeError("wrong shape")
        return (restoration.image - batch.target).abs().mean()
"""


@pytest.mark.slow
def test_an_error_in_one_rank_is_the_failure_of_the_row(experiment_file: Path, tmp_path: Path) -> None:
    """The reason is that of the rank that failed, not that the other one lost its partner; nothing is tried again."""
    (tmp_path / "fragile.py").write_text(FRAGILE)
    loss = "protocol.coarse.loss={fragile: 1.0}"
    ready = prepared(experiment_file, tmp_path / "small", TWO, loss, plugins=(tmp_path / "fragile.py",))
    _, records = run(ready)
    assert [record.status for record in records] == ["failed"]
    assert records[0].error and records[0].error.message.startswith("RuntimeError: wrong shape")


@pytest.mark.slow
def test_a_stopped_stage_goes_on_where_it_was(experiment_file: Path, tmp_path: Path) -> None:
    """SIGTERM stores the state and ends with 85; SIGKILL of the command ends its ranks, too; the bytes are the same.

    A scheduler may send SIGTERM to all processes of the job, also while the ranks are still being started.
    """
    sets = (TWO, "protocol.coarse.steps=300")
    straight = prepared(experiment_file, tmp_path / "straight/small", *sets)
    run(straight)
    options = [str(item) for setting in sets for item in ("--set", setting)]
    output = tmp_path / "stopped/small"
    command = [sys.executable, "-m", "benchmark"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    plan = [*command, "plan", str(experiment_file), "--write", "--device", "cpu", "--output", str(output), *options]
    subprocess.run([*plan, "--rows", "base"], env=environment, check=True, capture_output=True)
    subprocess.run([*command, "job", str(output), "base/network"], env=environment, check=True, capture_output=True)
    job = [*command, "job", str(output), "base/seed0/coarse"]
    with subprocess.Popen(job, env=environment, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        wait_for_launcher(process)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait() == 85
    for number, code in ((signal.SIGTERM, 85), (signal.SIGKILL, -9)):
        with subprocess.Popen(job, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr
            assert any("coarse step" in line for line in process.stderr)
            pids = ranks_of(process.pid)
            assert len(pids) == 2
            process.send_signal(number)
            threading.Thread(target=process.stderr.read, daemon=True).start()
            assert process.wait() == code
        assert_gone(pids)
        assert len(list((tmp_path / "stopped/.stages").glob("*/state.pt"))) == 1
    subprocess.run(job, env=environment, check=True, capture_output=True)
    assert weights(output, straight) == weights(tmp_path / "straight/small", straight)
