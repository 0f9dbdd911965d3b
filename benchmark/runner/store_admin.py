"""What lies in a stage store: how much, how old, for whom, and whether it is sound; and how to make room."""

import re
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from benchmark.errors import RecordError
from benchmark.files import read_json
from benchmark.runner.stage_store import StageStore
from benchmark.training.train_state import read_state

_DAY_SECONDS = 86_400
_ASIDE = ".damaged"
"""Where the store puts stages, and train states, that are not what was stored."""
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class StoredStage:
    """One folder of the store. `steps` and `seconds` are what training took; 0 where it is not finished."""

    key: str
    """With a number behind it where the stage is set aside: `KEY.N`."""
    name: str
    state: Literal["finished", "unfinished", "damaged", "set aside"]
    """Damaged: finished once, but its files cannot be read any more; the next run sets it aside and trains it again."""
    steps: int
    seconds: float
    size_bytes: int
    age_days: float
    """Since its files last changed."""
    experiments: tuple[str, ...]
    """The run folders beside the store whose plan or records name it."""


def inventory(root: Path) -> list[StoredStage]:
    """Return all stages in a store but those set aside, oldest first. Raises RecordError if the folder is no store."""
    # A folder that holds anything but stages is none: deleting there would delete results.
    names = {entry.name for entry in root.iterdir()} if root.is_dir() else {""}
    if not all(name in (".leases", _ASIDE) or _KEY.fullmatch(name) for name in names):
        raise RecordError(f"{root}: no stage store here; `run` makes one beside its run folders (runs/.stages)")
    store, named = StageStore(root), _experiments_by_key(root.parent)
    stages = [_stored(store, folder.name, named) for folder in root.iterdir() if _KEY.fullmatch(folder.name)]
    return sorted(stages, key=lambda stage: (-stage.age_days, stage.key))


def set_aside(root: Path) -> list[StoredStage]:
    """Return what runs have set aside in a store because it was damaged, oldest first; no run uses it."""
    stages = [
        StoredStage(folder.name, "", "set aside", 0, 0.0, *_size_and_age(folder), ())
        for folder in (root / _ASIDE).glob("*")
        if folder.is_dir() and not folder.is_symlink()
    ]
    return sorted(stages, key=lambda stage: (-stage.age_days, stage.key))


def damage(root: Path, stage: StoredStage) -> str | None:
    """Read the weights or the train state of a stage to the last byte; return what is wrong, None if nothing."""
    store = StageStore(root)
    try:
        if stage.state == "unfinished":
            read_state(store.state_file(stage.key))
            return None
        weights = store.weights(stage.key)
    except RecordError as error:
        return str(error)
    return next(
        (f"{name} holds numbers that are not finite" for name, w in weights.items() if not w.isfinite().all()), None
    )


def chosen(
    stages: Sequence[StoredStage],
    *,
    older_than_days: float | None = None,
    unused: bool = False,
    experiment: str | None = None,
    down_to_bytes: int | None = None,
) -> list[StoredStage]:
    """Return the stages that a choice takes, oldest first.

    Args:
        stages: All of the store, also those set aside, in the order in which they go: oldest first.
        older_than_days: Only those whose files did not change for so long.
        unused: Only those that no run folder names.
        experiment: Only those that this run folder names, and no other.
        down_to_bytes: Only the oldest of them, and no more than it takes for the store to keep to this size.
    """
    taken = [
        stage
        for stage in stages
        if (older_than_days is None or stage.age_days > older_than_days)
        and (experiment is None or stage.experiments == (experiment,))
        and not (unused and stage.experiments)
    ]
    if down_to_bytes is None:
        return taken
    excess = sum(stage.size_bytes for stage in stages) - down_to_bytes
    removed_before = accumulate((stage.size_bytes for stage in taken), initial=0)
    return [stage for stage, size in zip(taken, removed_before, strict=False) if size < excess]


def remove(root: Path, stage: StoredStage) -> bool:
    """Delete a stage. False, and nothing is touched, while a process trains it."""
    if stage.state == "set aside":
        shutil.rmtree(root / _ASIDE / stage.key)
        return True
    store = StageStore(root)
    with store.lease(stage.key) as lease:
        if lease is not None:
            (store.folder(stage.key) / "meta.json").unlink(missing_ok=True)  # from here on nobody takes it for finished
            shutil.rmtree(store.folder(stage.key))
        return lease is not None


def _size_and_age(folder: Path) -> tuple[int, float]:
    """Return the bytes of the files in a folder, and the days since the last one changed."""
    files = [file for file in folder.iterdir() if file.is_file()]
    changed = max((file.stat().st_mtime for file in files), default=folder.stat().st_mtime)
    return sum(file.stat().st_size for file in files), max(0.0, time.time() - changed) / _DAY_SECONDS


def _stored(store: StageStore, key: str, named: Mapping[str, tuple[str, ...]]) -> StoredStage:
    result = store.finished(key)
    size_bytes, age_days = _size_and_age(store.folder(key))
    return StoredStage(
        key=key,
        name=result.name if result else "",
        state="finished" if result else "damaged" if store.damaged_file(key) else "unfinished",
        steps=result.steps if result else 0,
        seconds=result.seconds if result else 0.0,
        size_bytes=size_bytes,
        age_days=age_days,
        experiments=named.get(key, ()),
    )


def _experiments_by_key(runs: Path) -> dict[str, tuple[str, ...]]:
    """Stage key -> names of the run folders whose plan or records name it; a search has records alone."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    for file in runs.glob("*/plan.json"):
        for row in _entries(read_json(file), "rows"):
            for stage in _entries(row, "stages"):
                keys = stage.get("keys")
                for key in keys.values() if isinstance(keys, dict) else ():
                    named[str(key)].add(file.parent.name)
    for file in runs.glob("*/*/seed*/record.json"):
        for stage in _entries(read_json(file), "stages"):
            named[str(stage.get("key"))].add(file.parents[2].name)
    return {key: tuple(sorted(folders)) for key, folders in named.items()}


def _entries(data: Any, name: str) -> list[dict[str, Any]]:
    """Return the mappings in a list of a parsed file; none where it has another form."""
    entries = data.get(name) if isinstance(data, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
