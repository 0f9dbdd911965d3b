"""Files of schema 1 become files of schema 2 that the present models read; no number changes."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from reports.errors import FileFormatError
from reports.schema import EquivalentClaim, PlanFile, Record, TuningFile, read

ROOT = Path(__file__).parents[1]
RECORD: dict[str, Any] = {
    "schema": 1, "experiment": "e", "row": "base", "tables": [], "seed": 0, "status": "failed", "config_hash": "h",
    "config": {"protocol": {"coarse": {"carry": "last", "frozen_norm": 0.1, "loss": {"maps": {}}}}},
    "provenance": {}, "model": None, "gates": [], "scores": {},
    "stages": [
        {"name": "coarse", "key": "k", "reused": False, "steps": 5, "val": {"psnr": 30.25}, "steps_left_out": 2},
    ],
    "error": {"message": "loss is nan", "stage": "psnr", "step": 3},
}  # fmt: skip
PLAN: dict[str, Any] = {
    "schema": 1, "experiment": "e", "primary": "psnr", "margin": 0.2, "seeds": [0], "command": "c",
    "rows": [
        {"row": "base", "table": None, "kind": "trained", "seeds": [0]},
        {"row": "heads.rgb", "table": "heads", "kind": "trained", "seeds": [0]},
        {"row": "identity", "table": None, "kind": "floor", "seeds": [None], "stages": []},
    ],
    "claims": [
        {"id": "a", "text": "x", "reading": "", "expected": None, "form": "better", "better": "base",
         "worse": ["heads.rgb"], "metric": "psnr", "by": 0.0, "at_most": None},
        {"id": "b", "text": "x", "form": "equivalent", "rows": ["base", "heads.rgb"], "metric": "ssim", "margin": 0.01},
        {"id": "c", "text": "x", "form": "within", "row": "base", "gate": "size"},
        {"id": "d", "text": "x", "form": "front", "row": "base", "rivals": ["heads.rgb"], "cost": "macs",
         "metric": "psnr"},
    ],
}  # fmt: skip
TUNING: dict[str, Any] = {
    "schema": 1, "metric": "psnr", "seed": 0,
    "rows": [{"row": "base", "chosen": "low", "tries": [{"candidate": "low", "value": 30.5}]}],
}  # fmt: skip
EXPERIMENT: dict[str, Any] = {
    "report": {"primary": "psnr", "margin": 0.2},
    "protocol": {"coarse": {"carry": "ema", "loss": {"region": 0.1}}},
    "tables": {"a": {"b": {"protocol.coarse.carry": "best", "protocol.coarse.loss.maps.weight": 1.0}}},
}


@pytest.fixture
def migrate_records(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, imported."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    sys.modules.pop("migrate_records", None)
    import migrate_records  # pyright: ignore[reportMissingImports]

    return migrate_records


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder of schema 1."""
    (tmp_path / "base/seed0").mkdir(parents=True)
    files = {"base/seed0/record.json": RECORD, "plan.json": PLAN, "tuning.json": TUNING}
    for name, data in files.items():
        (tmp_path / name).write_text(json.dumps(data))
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    return tmp_path


def test_every_file_is_brought_to_the_present_schema(migrate_records: ModuleType, run: Path) -> None:
    """Fields have their present names and the same values; claims stand as in an experiment file."""
    assert migrate_records.migrate(run) == 4
    record = read(Record, run / "base/seed0/record.json")
    assert (record.stages[0].skipped_steps, record.stages[0].val, record.reason) == (2, {"psnr": 30.25}, "loss is nan")
    assert record.config["protocol"]["coarse"] == {
        "output": "last", "freeze_bn_fraction": 0.1, "loss": {"map_l1": {}},
    }  # fmt: skip
    plan = read(PlanFile, run / "plan.json")
    assert plan.equivalence_margin == 0.2 and [row.kind for row in plan.rows] == ["trained", "trained", "baseline"]
    assert [type(claim).__name__ for claim in plan.claims] == [
        "BetterClaim", "EquivalentClaim", "WithinClaim", "FrontClaim",
    ]  # fmt: skip
    assert isinstance(plan.claims[1], EquivalentClaim) and plan.claims[1].equivalence_margin == 0.01
    assert read(TuningFile, run / "tuning.json").rows[0].candidates[0].value == 30.5
    assert yaml.safe_load((run / "experiment.yaml").read_text()) == {
        "report": {"primary": "psnr", "equivalence_margin": 0.2},
        "protocol": {"coarse": {"output": "ema", "loss": {"mask_bce_dice": 0.1}}},
        "tables": {"a": {"b": {"protocol.coarse.output": "best", "protocol.coarse.loss.map_l1.weight": 1.0}}},
    }


def test_a_second_migration_changes_nothing(migrate_records: ModuleType, run: Path) -> None:
    """What is of schema 2 is left alone."""
    migrate_records.migrate(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert migrate_records.migrate(run) == 0
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_file_that_is_damaged_is_named_and_left_alone(migrate_records: ModuleType, run: Path) -> None:
    """Nothing is written that the present models refuse."""
    file = run / "base/seed0/record.json"
    file.write_text(json.dumps(RECORD | {"status": "fine"}))
    with pytest.raises(FileFormatError, match=r"record\.json: status is 'fine'"):
        migrate_records.migrate(run)
    assert json.loads(file.read_text())["schema"] == 1
