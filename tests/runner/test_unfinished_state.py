"""The train state of an interrupted stage: continued from if it is what was stored, else set aside and named."""

import dataclasses
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.experiment.plan import PlannedRow
from benchmark.runner import stage as stage_module
from benchmark.runner.context import Context, with_cached_sources
from benchmark.runner.events import JobDied, StageDamaged, StageProgress
from benchmark.runner.jobs import TrainStage, run_job
from benchmark.runner.stage_store import StageStore


class Interrupt(KeyboardInterrupt):
    """Ends a stage in the middle."""


@pytest.fixture
def started(experiment_file: Path) -> tuple[PlannedRow, Context]:
    """A row whose first stage has three reports, and a context with its data."""
    sets = ("protocol.coarse.steps=25",)
    output = experiment_file.parent / "runs/small"
    ready = prepare(Selection(experiment_file, output, (), (), sets, "cpu", (), replace=False))
    return ready.plan.rows[0], with_cached_sources(ready.plan.experiment.data, ready.context, lambda event: None)


def train(row: PlannedRow, context: Context, until: int = 99) -> list[Any]:
    """Train the first stage, interrupted at step `until` after its state was stored; return the events."""
    events: list[Any] = []

    def on_event(event: Any) -> None:
        events.append(event)
        if isinstance(event, StageProgress) and event.progress.step >= until:
            raise Interrupt

    with suppress(Interrupt):
        run_job(TrainStage(row, row.stages[0]), context, on_event)
    return events


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_damaged_state_is_named_and_set_aside(
    started: tuple[PlannedRow, Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_damaged: bool
) -> None:
    """The stage begins anew and ends with the bits of an undisturbed one; a sound state is continued from."""
    row, context = started
    key = row.stages[0].key
    train(row, context)
    expected = context.store.weights(key)
    disturbed = dataclasses.replace(context, store=StageStore(tmp_path / "disturbed"))
    monkeypatch.setattr(stage_module, "SAVE_SECONDS", 0.0)
    train(row, disturbed, until=20)
    state_file = disturbed.store.state_file(key)
    content = bytearray(state_file.read_bytes())
    if is_damaged:
        content[len(content) // 2] ^= 1
        state_file.write_bytes(content)

    events = train(row, disturbed)
    named = [(event.name, event.file) for event in events if isinstance(event, StageDamaged)]
    assert named == ([("coarse", state_file)] if is_damaged else [])
    steps = [event.progress.step for event in events if isinstance(event, StageProgress)]
    assert steps == ([10, 20, 25] if is_damaged else [25])
    aside = [file.read_bytes() for file in (tmp_path / "disturbed/.damaged").glob("*/state.pt")]
    assert aside == ([bytes(content)] if is_damaged else [])
    weights = disturbed.store.weights(key)
    assert all(torch.equal(value, weights[name]) for name, value in expected.items())
    assert not state_file.exists()


def test_a_paused_process_leaves_no_state_in_a_finished_stage(
    started: tuple[PlannedRow, Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is paused amid writing the state; another process finishes the stage; it wakes up and ends the writing."""
    row, context = started
    key = row.stages[0].key
    train(row, context)
    paused = dataclasses.replace(context, store=StageStore(tmp_path / "paused"))
    monkeypatch.setattr(stage_module, "SAVE_SECONDS", 0.0)
    save = stage_module.save_checkpoint

    def save_after_pause(file: Path, state: Any, checkpoint: Any) -> None:
        shutil.copytree(context.store.folder(key), file.parent, dirs_exist_ok=True)
        (paused.store.root / ".leases" / f"{key}.2").touch()  # the other process's lease
        save(file, state, checkpoint)
        assert file.exists()

    monkeypatch.setattr(stage_module, "save_checkpoint", save_after_pause)
    assert isinstance(train(row, paused)[-1], JobDied)
    assert paused.store.finished(key, verify=True) and not paused.store.state_file(key).exists()
