"""What lies in a stage store, and making room in it."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmark.errors import RecordError
from benchmark.lease import LeaseFolderError, LeaseLost
from benchmark.runner.stage_store import StageResult, StageStore
from benchmark.runner.store_admin import StoredStage, chosen, damage, inventory, remove, set_aside

STATE = b"a train state"


def publish(store: StageStore, key: str, steps: int, network: nn.Module) -> None:
    with store.lease(key) as lease:
        assert lease is not None
        store.publish(lease, StageResult("coarse", key, steps, 1.5, 8.0, 1000, {}), network, [])


@pytest.fixture
def store(tmp_path: Path) -> StageStore:
    """Two finished stages, of which a plan names the first, and one that is unfinished."""
    store = StageStore(tmp_path / "runs/.stages")
    for key, steps in (("a" * 32, 3), ("b" * 32, 5)):
        publish(store, key, steps, nn.Conv2d(3, 3, 1))
    store.state_file("c" * 32).write_bytes(STATE + hashlib.sha256(STATE).digest())
    plan = {"rows": [{"row": "identity"}, {"row": "base", "stages": [{"name": "coarse", "keys": {"0": "a" * 32}}]}]}
    (tmp_path / "runs/mine").mkdir()
    (tmp_path / "runs/mine/plan.json").write_text(json.dumps(plan))
    return store


def by_name(store: StageStore) -> dict[str, StoredStage]:
    return {stage.key[0]: stage for stage in inventory(store.root)}


def test_the_inventory_tells_state_steps_and_whose_it_is(store: StageStore) -> None:
    """Also of what is unfinished, and of what was finished once and is damaged."""
    (store.folder("b" * 32) / "weights.safetensors").write_bytes(b"cut")
    found = by_name(store)
    assert {key: stage.state for key, stage in found.items()} == {"a": "finished", "b": "damaged", "c": "unfinished"}
    assert (found["a"].name, found["a"].steps, found["a"].experiments) == ("coarse", 3, ("mine",))
    assert found["b"].experiments == () and found["c"].size_bytes == len(STATE) + 32
    for folder in (store.root / "nothing", store.root.parent):  # run folders must never be taken for stages
        with pytest.raises(RecordError, match="no stage store here"):
            inventory(folder)


def test_what_was_set_aside_is_listed_beside_the_stages_and_deleted_like_them(store: StageStore) -> None:
    """It has a size and belongs to no run; the stages stay."""
    assert set_aside(store.root) == []
    (store.folder("a" * 32) / "weights.safetensors").write_bytes(b"cut")
    with store.lease("a" * 32) as lease:
        assert lease is not None and store.set_aside(lease)
    (aside,) = set_aside(store.root)
    assert aside.key.startswith("a" * 32 + ".") and aside.state == "set aside" and aside.size_bytes > 3
    assert chosen([aside], unused=True) == [aside] and chosen([aside], experiment="mine") == []
    assert remove(store.root, aside) and set_aside(store.root) == []
    assert by_name(store).keys() == {"b", "c"}


def test_stages_of_a_search_are_in_use(store: StageStore) -> None:
    """A search writes records and no plan; files of another form say nothing and stop nothing."""
    record = store.root.parent / "search/trial.0/seed0/record.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"stages": [{"name": "coarse", "key": "b" * 32}]}))
    plan = '{"rows": [1, {"stages": {}}, {"stages": [{"keys": [1]}, {"keys": {"0": ["a"]}}]}]}'
    (store.root.parent / "mine/plan.json").write_text(plan)
    (store.folder("a" * 32) / "meta.json").write_text('{"schema": 1, "other": 2}')
    found = by_name(store)
    assert found["b"].experiments == ("search",) and found["a"].experiments == ()
    assert found["a"].state == "damaged"


def test_damage_is_found_to_the_last_byte(store: StageStore) -> None:
    """A header alone would not tell weights that are not finite; nor is an unfinished stage called damaged."""
    assert all(damage(store.root, stage) is None for stage in inventory(store.root))
    store.state_file("c" * 32).write_bytes(STATE)
    assert "state.pt: is not what was stored" in str(damage(store.root, by_name(store)["c"]))
    broken = nn.Conv2d(3, 3, 1)
    nn.init.constant_(broken.weight, torch.nan)
    shutil.rmtree(store.folder("b" * 32))
    publish(store, "b" * 32, 5, broken)
    assert damage(store.root, by_name(store)["b"]) == "weight holds numbers that are not finite"
    (store.folder("a" * 32) / "weights.safetensors").unlink()
    assert (
        damage(store.root, by_name(store)["a"])
        == str(store.folder("a" * 32) / "weights.safetensors")
        + ": is missing or is not what was stored; the next run trains the stage again"
    )


def test_choices_narrow_each_other(store: StageStore) -> None:
    """By age, by use, by experiment, and the oldest first until the store is small enough."""
    for days, key in ((20, "a"), (10, "b"), (30, "c")):
        for file in store.folder(key * 32).iterdir():
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - days * 86_400))
    stages = inventory(store.root)

    def keys(**choice: Any) -> str:
        return "".join(stage.key[0] for stage in chosen(stages, **choice))

    assert keys() == "cab"
    assert keys(older_than_days=15) == "ca"
    assert keys(older_than_days=15, unused=True) == "c"
    assert keys(experiment="mine") == "a"
    size = {stage.key[0]: stage.size_bytes for stage in stages}
    assert keys(down_to_bytes=size["b"]) == "ca"
    assert keys(down_to_bytes=sum(size.values())) == ""


def test_a_flipped_bit_is_damage(store: StageStore) -> None:
    """A stage is reused only if its files are, to the last bit, those that were stored."""
    key = "a" * 32
    file = store.folder(key) / "weights.safetensors"
    data = bytearray(file.read_bytes())
    data[-2] ^= 0x40
    file.write_bytes(bytes(data))
    assert "is not what was stored" in str(damage(store.root, by_name(store)["a"]))
    assert store.finished(key) is not None and store.finished(key, verify=True) is None
    with pytest.raises(RecordError, match="the next run trains the stage again"):
        store.weights(key)
    assert store.finished("b" * 32, verify=True) is not None
    store.curve_file("b" * 32).unlink()
    assert store.finished("b" * 32) is None and store.damaged_file("b" * 32) == store.curve_file("b" * 32)


def test_a_changed_digit_of_a_result_is_damage(store: StageStore) -> None:
    """The file that holds the digests is itself no longer believed."""
    meta = store.folder("a" * 32) / "meta.json"
    meta.write_text(meta.read_text().replace('"steps": 3', '"steps": 4'))
    assert store.finished("a" * 32) is None and store.damaged_file("a" * 32) == meta


def test_a_damaged_stage_is_set_aside(store: StageStore) -> None:
    """Its files are kept, out of the way of what is trained in its place; a sound stage stays where it is."""
    key = "a" * 32
    weights = store.folder(key) / "weights.safetensors"
    weights.write_bytes(b"cut")
    for name, damaged in ((key, weights), ("b" * 32, None), ("c" * 32, None)):
        with store.lease(name) as lease:
            assert lease is not None and store.set_aside(lease) == damaged
    assert not store.folder(key).exists() and store.finished("b" * 32) is not None
    assert [file.read_bytes() for file in (store.root / ".damaged").glob("a*/weights.safetensors")] == [b"cut"]
    assert by_name(store).keys() == {"b", "c"}


HOLDER = """
import sys, time
from pathlib import Path
from benchmark.runner.stage_store import StageStore
with StageStore(Path(sys.argv[1])).lease(sys.argv[2]) as lease:
    print(lease is not None, flush=True)
    time.sleep(60)
"""


def test_a_stage_that_is_trained_is_not_deleted(store: StageStore) -> None:
    """Until its process ends, be it by kill -9."""
    key = "c" * 32
    stage = by_name(store)["c"]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root), key], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout and holder.stdout.readline() == "True\n"
        assert not remove(store.root, stage) and store.folder(key).is_dir()
        holder.send_signal(signal.SIGKILL)
    assert remove(store.root, stage) and not store.folder(key).exists()


def test_a_lease_outlives_the_folder(store: StageStore) -> None:
    """The owner keeps the lease when the stage is deleted and made again meanwhile."""
    key = "a" * 32
    with store.lease(key) as lease:
        assert lease is not None
        shutil.rmtree(store.folder(key))
        store.state_file(key)
        with store.lease(key) as second:
            assert second is None


def test_a_result_is_not_published_after_the_lease_was_lost(store: StageStore) -> None:
    """Of a process that was paused for so long that another one took the stage over."""
    key = "d" * 32
    impatient = StageStore(store.root, beat_seconds=60, stale_seconds=0)
    with store.lease(key) as paused:
        assert paused is not None
        with impatient.lease(key) as first_look:
            assert first_look is None
        with impatient.lease(key) as lease:
            assert lease is not None and lease.number == paused.number + 1
            with pytest.raises(LeaseLost):
                store.publish(paused, StageResult("coarse", key, 1, 1.5, 8.0, 1000, {}), nn.Conv2d(3, 3, 1), [])
            assert store.finished(key) is None
            store.publish(lease, StageResult("coarse", key, 1, 1.5, 8.0, 1000, {}), nn.Conv2d(3, 3, 1), [])
    assert store.finished(key, verify=True) is not None


def test_a_store_that_cannot_be_written_says_so(store: StageStore, tmp_path: Path) -> None:
    """Finished stages can still be read; no lease is needed for that."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(LeaseFolderError, match=r"file/\.leases: cannot be written"), StageStore(file).lease("a" * 32):
        pass
    shutil.rmtree(store.root / ".leases")
    assert store.finished("a" * 32, verify=True) is not None
    assert not (store.root / ".leases").exists()
