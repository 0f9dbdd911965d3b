"""A plan carried out on real files: records, sharing, resume, failure."""

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from benchmark.cli import cli
from benchmark.cli.experiment_setup import prepare
from benchmark.cli.options import Selection
from benchmark.errors import DataError, ExperimentError, RecordError
from benchmark.evaluation.evaluate import score_image
from benchmark.files import read_json, write_json
from benchmark.model import load, restore_image
from benchmark.runner.events import RowFinished, StageDamaged, StageFinished, StageProgress, StageReused
from benchmark.runner.plan_file import write_plan
from benchmark.runner.preflight import all_sides, check_patches, preflight
from tests.runner.small_runs import Run, carry_out, prepared, run

Edited = Callable[[str, str], Path]


FRAGILE = """\
from torch import nn
from backbones import Backbone

class Fragile(Backbone):
    citation = origin = "mine"

    def __init__(self):
        super().__init__()
        self.out_channels = 3
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, image):
        if self.training:
            raise RuntimeError('wrong shape')
        return self.conv(image)
"""


def test_a_run_leaves_complete_records(finished: Run) -> None:
    """Every row and floor has a record with config, costs, gates, stages, scores and provenance, and its files."""
    _, records, output = finished
    assert [record.status for record in records] == ["done"] * 6
    record = read_json(output / "base/seed0/record.json")
    assert (record["schema"], record["row"], record["seed"], record["tables"]) == (2, "base", 0, [])
    assert [stage["name"] for stage in record["stages"]] == ["coarse", "psnr"]
    assert [gate["result"] for gate in record["gates"]] == ["passed", "not_measured"]
    assert record["model"]["params"] > 0 and record["model"]["macs_shape"] == [1, 3, 256, 256]
    assert record["scores"]["test"]["psnr"]["n"] == 3
    assert {"commit", "torch", "device_name", "threads", "allocator", "command", "seconds"} <= record[
        "provenance"
    ].keys()
    assert read_json(output / "heads.direct_rgb/seed0/record.json")["tables"] == ["heads"]
    assert read_json(output / "identity/record.json")["seed"] is None
    for name in ("scores.csv", "curve.csv", "weights.safetensors", "images/picture_02.png"):
        assert (output / "base/seed0" / name).is_file()
    assert [row["row"] for row in read_json(output / "plan.json")["rows"]][:2] == ["base", "heads.direct_rgb"]


def test_scores_belong_to_the_stored_images_and_weights(finished: Run, pairs: Path) -> None:
    """The weights restore the stored images, and scoring those files again gives the recorded numbers."""
    folder = finished[2] / "base/seed0"
    rows = list(csv.DictReader((folder / "scores.csv").read_text().splitlines()))
    restorer = load(folder)
    for name in ("picture_00", "picture_01", "picture_02"):
        images = [
            np.asarray(Image.open(file / f"{name}.png"))
            for file in (folder / "images", pairs / "test/degraded", pairs / "test/target")
        ]
        assert np.array_equal(restore_image(restorer, np.array(images[1]), torch.device("cpu")), images[0])
        recorded = {row["metric"]: float(row["value"]) for row in rows if row["image"] == name}
        assert recorded == pytest.approx(score_image(images[0], images[1], images[2]))
    mean = read_json(folder / "record.json")["scores"]["test"]["psnr"]["mean"]
    assert mean == pytest.approx(np.mean([float(row["value"]) for row in rows if row["metric"] == "psnr"]))


def test_the_identity_floor_is_the_degraded_image(finished: Run, pairs: Path) -> None:
    """Doing nothing fixes nothing, harms nothing, and its images are the degraded ones."""
    _, _, output = finished
    scores = read_json(output / "identity/record.json")["scores"]["test"]
    assert (scores["fixed_share"]["mean"], scores["harm"]["mean"]) == (0.0, 0.0)
    image, degraded = (
        np.asarray(Image.open(f / "picture_00.png")) for f in (output / "identity/images", pairs / "test/degraded")
    )
    assert np.array_equal(image, degraded)


def test_a_shared_stage_is_trained_once(finished: Run) -> None:
    """`stage_1` trains nothing of its own and has the weights of the base row's first stage."""
    events, records, output = finished
    trained = [event.result.key for event in events if isinstance(event, StageFinished)]
    assert len(trained) == len(set(trained)) == 4
    reused = [event.result.key for event in events if isinstance(event, StageReused)]
    row = next(record for record in records if record.row == "stages.stage_1")
    assert [stage.reused for stage in row.stages] == [True]
    assert reused == [row.stages[0].key]
    stored = output.parent / ".stages" / reused[0] / "weights.safetensors"
    assert stored.read_bytes() == (output / "stages.stage_1/seed0/weights.safetensors").read_bytes()


def test_a_second_run_does_nothing(experiment_file: Path, output: Path) -> None:
    """All rows are skipped, no stage is trained, no file changes."""
    before = {file: file.stat().st_mtime_ns for file in output.parent.rglob("*.json") if file.name != "plan.json"}
    events, records, _ = run(experiment_file)
    assert events == [] and records == []
    assert before == {file: file.stat().st_mtime_ns for file in before}


def test_deleted_records_come_back_equal_without_training(experiment_file: Path, output: Path) -> None:
    """With the stage store alone a run writes the same scores again."""
    scores = (output / "base/seed0/scores.csv").read_bytes()
    shutil.rmtree(output)
    events, records, _ = run(experiment_file)
    assert not any(isinstance(event, StageFinished) for event in events)
    assert (output / "base/seed0/scores.csv").read_bytes() == scores
    assert all(stage.reused for record in records for stage in record.stages)


def test_an_interrupted_run_goes_on_from_the_last_finished_stage(experiment_file: Path, finished: Run) -> None:
    """Stopped after a stage, the next run takes it from the store and ends with the weights of an undisturbed one."""
    ready = prepared(experiment_file)
    carry_out(ready, ready.plan.rows, until=StageFinished)
    events, records, output = run(experiment_file)
    assert isinstance(next(event for event in events if isinstance(event, StageReused)), StageReused)
    assert [stage.reused for stage in next(r for r in records if r.row == "base").stages] == [True, False]
    weights = Path("base/seed0/weights.safetensors")
    assert (output / weights).read_bytes() == (finished[2] / weights).read_bytes()


def test_the_steps_of_a_stored_state_are_not_counted_again(edited: Edited, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that was interrupted after its eighth of ten steps has two left, and its end says so."""
    monkeypatch.setattr("benchmark.runner.stage.SAVE_SECONDS", 0.0)
    file = edited("steps: 4, batch: 2", "steps: 10, batch: 2")
    ready = prepared(file)
    events, _ = carry_out(ready, ready.plan.rows, until=StageProgress)
    assert isinstance(events[-1], StageProgress) and events[-1].progress.step == 8
    events, _, _ = run(file)
    finished = next(event for event in events if isinstance(event, StageFinished))
    assert (finished.result.name, finished.result.steps, finished.steps) == ("coarse", 10, 2)


def test_a_row_that_diverges_is_recorded_and_the_others_go_on(edited: Edited) -> None:
    """The record has stage and step; nothing of the failed stage is stored; the next run tries the row again."""
    file = edited("direct_rgb: {model.head: {name: rgb}}", "exploding: {protocol.psnr.lr: 1e30}")
    events, records, output = run(file)
    statuses = {record.row: record.status for record in records}
    assert statuses.pop("heads.exploding") == "failed"
    assert set(statuses.values()) == {"done"}
    error = read_json(output / "heads.exploding/seed0/record.json")["error"]
    assert error["stage"] == "psnr" and error["step"] >= 2
    finished = {folder.parent.name for folder in (output.parent / ".stages").glob("*/meta.json")}
    assert len(finished) == 2
    assert any(isinstance(event, RowFinished) and event.record.status == "failed" for event in events)
    events, records, _ = run(file)
    assert [record.row for record in records] == ["heads.exploding"]


def test_a_stage_that_diverged_is_not_tried_again_by_rows_that_share_it(edited: Edited) -> None:
    """Rows that share the failing stage fail with its reason, without the steps."""
    file = edited("steps: 4, batch: 2, patch: 32, lr: 1e-3", "steps: 4, batch: 2, patch: 32, lr: 1e30")
    _, records, _ = run(file)
    row = next(record for record in records if record.row == "stages.stage_1")
    assert row.status == "failed"
    assert "shares a stage that failed in base/seed0" in row.reason


def test_a_broken_network_fails_its_row_only(edited: Edited, tmp_path: Path) -> None:
    """An exception in somebody's network is recorded with its traceback; the other rows are done."""
    plugin = tmp_path / "fragile.py"
    plugin.write_text(FRAGILE)
    file = edited("direct_rgb: {model.head: {name: rgb}}", "mine: {model.backbone: {name: fragile}}")
    _, records, output = run(file, plugins=(plugin,))
    failed = next(record for record in records if record.row == "heads.mine")
    assert "RuntimeError: wrong shape" in failed.reason
    assert "wrong shape" in (output / "heads.mine/seed0/error.txt").read_text()
    assert [record.status for record in records].count("done") == 5


def test_a_rejected_row_is_recorded_and_not_trained(edited: Edited) -> None:
    """`reject: true` keeps rows that fail the gate from being trained, and says why."""
    file = edited("size: {limit_bytes: 10_000_000}", "size: {limit_bytes: 100, reject: true}")
    events, records, _ = run(file)
    trained = [record for record in records if record.seed is not None]
    assert {record.status for record in trained} == {"rejected"}
    assert all("fails gate size" in record.reason for record in trained)
    assert not any(isinstance(event, StageFinished) for event in events)


def test_records_of_another_configuration_are_not_overwritten(experiment_file: Path, output: Path) -> None:
    """A finished record of other settings is an error that names the ways out; --replace runs the row again."""
    ready = prepared(experiment_file, "protocol.psnr.lr=5e-4")
    assert ready.context.output == output
    with pytest.raises(RecordError, match="--replace"):
        preflight(ready.plan, ready.context, replace=False)
    assert (
        len(preflight(ready.plan, ready.context, replace=True)) == 2
    )  # base and direct_rgb; stage_1 has no psnr stage


@pytest.mark.slow
def test_rows_side_by_side_are_the_rows_one_after_the_other(experiment_file: Path, finished: Run) -> None:
    """Two worker processes with one thread each give the bytes that one process with one thread gives."""
    alone = {file.relative_to(finished[2]): file.read_bytes() for file in finished[2].rglob("*.safetensors")}
    events, records, output = run(experiment_file, threads=2)
    assert len(alone) == 3
    assert alone == {file.relative_to(output): file.read_bytes() for file in output.rglob("*.safetensors")}
    assert [record.status for record in records] == ["done"] * 6
    assert sum(isinstance(event, StageReused) for event in events) == 1
    assert read_json(output / "base/seed0/record.json")["provenance"]["threads"] == 1


@pytest.mark.slow
def test_a_worker_that_dies_fails_its_row_only(edited: Edited, tmp_path: Path) -> None:
    """A process that is killed while it trains leaves a failed record; the other rows are done."""
    plugin = tmp_path / "deadly.py"
    kill = "__import__('os').kill(__import__('os').getpid(), 9)"
    deadly = FRAGILE.replace("if self.training:", "if self.training and not image.is_meta:")
    plugin.write_text(deadly.replace("raise RuntimeError('wrong shape')", kill))
    file = edited("direct_rgb: {model.head: {name: rgb}}", "mine: {model.backbone: {name: deadly}}")
    _, records, output = run(file, plugins=(plugin,), threads=2)
    assert [record.status for record in records].count("done") == 5
    error = read_json(output / "heads.mine/seed0/record.json")["error"]
    assert "process died (exit code -9; killed" in error["message"]


def test_emptied_weights_are_trained_again(experiment_file: Path, output: Path) -> None:
    """Weights that a power cut left empty are no result: `plan` and `run` say so, and they are trained again."""
    good = (output / "base/seed0/weights.safetensors").read_bytes()
    files = set((output.parent / ".stages").glob("*/weights.safetensors"))
    for file in files:
        file.write_bytes(b"")
    shutil.rmtree(output)
    shown = CliRunner().invoke(cli, ["plan", str(experiment_file), "--output", str(output), "--rows", "base"])
    assert shown.output.count("damaged, to be trained again") == 2 and " stored" not in shown.output
    events, records, _ = run(experiment_file)
    assert all(record.status == "done" for record in records)
    assert {event.file for event in events if isinstance(event, StageDamaged)} == files
    assert (output / "base/seed0/weights.safetensors").read_bytes() == good


def test_a_network_that_cannot_be_measured_fails_its_rows_only(edited: Edited, tmp_path: Path) -> None:
    """An exception before training, where cost and gates are measured, concerns the rows of that network alone."""
    plugin = tmp_path / "unmeasurable.py"
    plugin.write_text(FRAGILE.replace("if self.training:", "if True:"))
    file = edited("direct_rgb: {model.head: {name: rgb}}", "mine: {model.backbone: {name: unmeasurable}}")
    _, records, output = run(file, plugins=(plugin,))
    assert sorted(record.status for record in records) == ["done"] * 5 + ["failed"]
    error = read_json(output / "heads.mine/seed0/record.json")["error"]
    assert "cannot be measured: RuntimeError: wrong shape" in error["message"]


def test_a_part_of_the_rows_leaves_the_plan_whole(experiment_file: Path, output: Path) -> None:
    """Running one row of an experiment again does not make the other rows strangers to the report."""
    selection = Selection(experiment_file, output, ("base",), (5,), (), "cpu", (), replace=False)
    ready = prepare(selection)
    assert [(planned.row, planned.seed) for planned in ready.plan.rows] == [("base", 5)]
    assert {(planned.row, planned.seed) for planned in ready.whole.rows} >= {("heads.direct_rgb", 0), ("base", 5)}


def test_a_replaced_row_keeps_nothing_of_the_old_one(edited: Edited, output: Path) -> None:
    """A row that fails where it once succeeded has no weights and scores beside its failed record."""
    folder = output / "base/seed0"
    assert (folder / "weights.safetensors").is_file()
    for record in output.rglob("record.json"):
        record.unlink()
    run(edited("lr: 1e-4", "lr: 1e30"))
    assert read_json(folder / "record.json")["status"] == "failed"
    assert sorted(file.name for file in folder.iterdir()) == ["error.txt", "record.json"]


def test_the_stored_experiment_can_be_planned_again(experiment_file: Path, pairs: Path) -> None:
    """The experiment.yaml of a run folder names folders absolutely, so it is the same experiment from there."""
    (experiment_file.parent / "near").symlink_to(pairs)
    experiment_file.write_text(experiment_file.read_text().replace(str(pairs), "near"))
    first = prepared(experiment_file)
    write_plan(first.whole, first.plan, first.context.output, first.context.command)
    again = prepared(first.context.output / "experiment.yaml").plan
    assert [row.config_hash for row in again.rows] == [row.config_hash for row in first.plan.rows]


def test_a_damaged_stage_is_trained_again(experiment_file: Path, output: Path) -> None:
    """A stage whose meta.json is empty, torn, another type or of another schema counts as not there."""
    files = sorted((output.parent / ".stages").glob("*/meta.json"))
    for meta, damage in zip(files, ("", "{", "[]", '{"schema": 99, "status": "done"}'), strict=True):
        meta.write_text(damage)
    shutil.rmtree(output)
    events, records, _ = run(experiment_file)
    assert sum(isinstance(event, StageFinished) for event in events) == 4
    assert all(record.status == "done" for record in records)


def test_the_same_images_in_two_splits_are_refused(experiment_file: Path) -> None:
    """Testing on what was trained on is an error of the file."""
    text = experiment_file.read_text().replace("/test/", "/train/")
    experiment_file.write_text(text)
    with pytest.raises(DataError, match=r"data\.train and data\.test are the same images"):
        prepared(experiment_file)


def test_the_same_faces_in_two_splits_are_refused(edited: Edited) -> None:
    """Drawn faces of one seed are the same people under any preset, count and size."""
    train = "train: {source: synthetic_faces, seed: 3, count: 9}\n  val: {source: synthetic_faces, seed: 4}\n"
    file = edited(
        "data:\n", "data:\n  " + train + "  test: {source: synthetic_faces, seed: 3, preset: heavy, count: 2}\n"
    )
    lines = file.read_text().splitlines()
    file.write_text("\n".join(line for line in lines if "paired_folders" not in line))
    with pytest.raises(DataError, match=r"data\.train and data\.test share 2 subjects, e\.g\. 'face 0 of seed 3'"):
        prepared(file)


def test_a_patch_larger_than_an_image_is_refused_before_training(edited: Edited) -> None:
    """The message names the image, its side, the stage and its patch."""
    ready = prepared(edited("steps: 3, batch: 2, patch: 32", "steps: 3, batch: 2, patch: 80"))
    with pytest.raises(DataError, match=r"picture_00.* 64 pixels .*protocol\.psnr\.patch is 80"):
        check_patches(ready.plan, ready.context, all_sides)


def test_a_loss_that_needs_larger_patches_is_refused_before_training(edited: Edited) -> None:
    """MS-SSIM on 32 pixels is reported by `preflight`."""
    ready = prepared(edited("loss: {psnr: 1.0}", "loss: {ms_ssim: 1.0}"))
    with pytest.raises(ExperimentError, match="at least 161"):
        preflight(ready.plan, ready.context, replace=False)


def test_json_on_disk_has_no_nan(tmp_path: Path) -> None:
    """NaN and infinity are not JSON: writing them is an error, not a file others cannot read."""
    with pytest.raises(ValueError):
        write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not (tmp_path / "x.json").exists()
    write_json(tmp_path / "x.json", {"näme": [1, None]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"näme": [1, None]}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_a_row_too_large_for_the_machine_is_not_tried(edited: Edited) -> None:
    """It fails at once with what to lower; the others are done."""
    file = edited("direct_rgb: {model.head: {name: rgb}}", "huge: {protocol.psnr.batch: 100000000}")
    _, records, _ = run(file)
    failed = [record for record in records if record.status == "failed"]
    assert [record.row for record in failed] == ["heads.huge"]
    message = failed[0].reason
    assert "protocol.psnr needs at least" in message and "lower batch or patch" in message
    assert [record.status for record in records].count("done") == 5


def test_maps_are_scored_where_they_are_supervised(edited: Edited) -> None:
    """A row with loss `mask_bce_dice` has the IoU of its mask; an unsupervised mask is not scored."""
    mask = "model.head: {name: mask_blend}"
    file = edited(
        "direct_rgb: {model.head: {name: rgb}}",
        f"free: {{{mask}}}\n    told: {{{mask}, protocol.psnr.loss.mask_bce_dice: 0.1}}",
    )
    _, records, output = run(file)
    scored = {
        record.row: set(record.scores["test"]) & {"region_iou", "gain_error", "spots_error"} for record in records
    }
    assert {row: names for row, names in scored.items() if names} == {"heads.told": {"region_iou"}}
    assert "region_iou" in (output / "heads.told/seed0/scores.csv").read_text()


def test_a_reused_stage_is_judged_on_the_val_of_its_run(
    experiment_file: Path, finished: Run, output: Path, pairs: Path, tmp_path: Path
) -> None:
    """Val is no part of a stage's key: another run that shares the stage scores its weights on its own val images."""
    shutil.rmtree(output)  # the store beside it stays
    for role, origin in (("degraded", "target"), ("target", "degraded")):
        shutil.copytree(pairs / "val" / origin, tmp_path / "swapped" / role)
    experiment_file.write_text(experiment_file.read_text().replace(f"{pairs}/val", str(tmp_path / "swapped")))
    events, after, _ = run(experiment_file)
    assert not any(isinstance(event, StageFinished) for event in events)
    values = [
        [stage.val["psnr"] for record in sorted(records, key=lambda r: r.row) for stage in record.stages]
        for records in (finished[1], after)
    ]
    assert all(old != new for old, new in zip(*values, strict=True))
    assert all("val_fingerprint" not in stage.model_dump() for record in after for stage in record.stages)


def test_a_reused_stage_keeps_the_provenance_of_its_training(
    experiment_file: Path, finished: Run, output: Path
) -> None:
    """The record says where the row was tested, and of each stage where, when and for which row it was trained."""
    shutil.rmtree(output)
    ready = prepared(experiment_file)
    machine = dataclasses.replace(ready.context.machine, device_name="another machine")
    ready = dataclasses.replace(ready, context=dataclasses.replace(ready.context, machine=machine))
    _, after = carry_out(ready, ready.plan.rows)
    (old, new) = ({record.row: record for record in records}["stages.stage_1"] for records in (finished[1], after))
    assert new.provenance["device_name"] == "another machine" != old.provenance["device_name"]
    assert new.stages[0].provenance == old.stages[0].provenance
    facts = new.stages[0].provenance
    assert (facts["row"], facts["experiment"]) == ("base/seed0", "small") and facts["finished"].endswith("Z")
    assert facts["device_name"] == old.provenance["device_name"] and "command" not in facts
    assert {"torch", "threads", "device", "commit"} <= facts.keys()
