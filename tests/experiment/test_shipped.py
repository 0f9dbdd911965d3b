"""The experiments that come with the project mean what their comments say."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmark.experiment.load import load
from benchmark.experiment.plan import Environment, Plan, make_plan, source_id
from benchmark.registry import Registry


@cache
def plan_of(file: Path) -> Plan:
    experiment = load(file, Registry())
    prints = {source_id(spec): source_id(spec) for row in experiment.rows for spec in row.recipe.data.values()}
    return make_plan(experiment, prints, Environment(engine=1, device="cpu", torch="2.13.0"), Registry())


def test_gunet_full_trains_every_stage_once(root: Path) -> None:
    """Steps counted by hand, in thousands a seed: coarse 100, psnr 50, score 30, long 180."""
    whole = 100 + 50 + 30
    by_hand = {
        "base": whole,
        "backbones": 3 * whole,
        "heads": 3 * whole,
        "losses": 2 * whole + 30,  # ms_ssim_alone differs in the last stage alone
        "improvements": 3 * whole,  # published_head is heads.residual
        "stages": 30 + 50 + 180 + 30,  # order_1_3_2 shares coarse; one_long_stage; literal_1_1: score alone
        "ablations": 7 * whole,
    }
    plan = plan_of(root / "experiments/gunet_full.yaml")
    assert len({row.row for row in plan.rows}) == 26
    assert plan.steps_trained == 3 * 1000 * sum(by_hand.values()) == 11_220_000
    in_all_rows = 22 * whole + 100 + 150 + whole + whole  # stage_1, stages_1_2, order_1_3_2, one_long_stage
    assert plan.steps_without_sharing == 3 * 1000 * in_all_rows


def test_gunet_full_is_the_reference_protocol(root: Path) -> None:
    """Learning rates, batch, patch, flips and limits are those of the reference."""
    base = plan_of(root / "experiments/gunet_full.yaml").rows[0].recipe.config
    protocol = base["protocol"]
    assert [protocol[name]["lr"] for name in protocol["order"]] == [5e-4, 5e-5, 2e-5]
    assert (protocol["coarse"]["batch"], protocol["coarse"]["patch"]) == (8, 480)
    assert set(protocol["coarse"]["loss"]) == {"l1", "color"}
    assert (set(protocol["psnr"]["loss"]), set(protocol["psnr"]["augment"])) == ({"psnr"}, {"horizontal_flip"})
    assert set(protocol["score"]["loss"]) == {"psnr", "ms_ssim"}
    gates = base["gates"]
    assert (gates["size"]["limit_bytes"], gates["latency"]["limit_ms"]) == (10_000_000, 50)
    assert (gates["gpu_memory"]["limit_bytes"], gates["ram"]["limit_bytes"]) == (15_000_000_000, 10_000_000_000)


@pytest.mark.parametrize("row", ["losses", "stages", "ablations"])
def test_gunet_short_asks_what_gunet_full_asks(root: Path, row: str) -> None:
    """Tables that do not change the network have the same rows in both."""
    full, short = (load(root / f"experiments/{name}.yaml", Registry()) for name in ("gunet_full", "gunet_short"))
    names = [[r.name for r in experiment.rows if r.table == row] for experiment in (full, short)]
    assert names[0] == names[1] != []


def test_heads_and_losses_changes_one_thing_at_a_time(root: Path) -> None:
    """Rows differ from base in the head, the losses or, in a table of its own, the learning rate.

    All heads are there, and more than eight sets of losses.
    """
    base, *rows = load(root / "experiments/heads_and_losses.yaml", Registry()).rows
    heads = {row.recipe.model.head.model_dump_json() for row in (base, *rows)}
    assert {row.recipe.config["model"]["head"]["name"] for row in rows} == {
        "degradation",
        "rgb",
        "residual",
        "mask_blend",
        "blend",
    }
    losses = {json.dumps(_losses(row.recipe.config)) for row in (base, *rows) if row.table != "heads"}
    assert len(heads) == 8 and len(losses) == 14
    for row in rows:
        same_head = row.recipe.config["model"] == base.recipe.config["model"]
        assert same_head is (row.table == "losses") or row.table == "learning_rates"
        assert same_head or _losses(row.recipe.config).keys() - {"mask_bce_dice"} == {"l1"}
        assert row.recipe.config["data"] == base.recipe.config["data"]
        stage, of_base = (dict(config["protocol"]["train"]) for config in (row.recipe.config, base.recipe.config))
        for settings in (stage, of_base):
            del settings["loss"]
            if row.table == "learning_rates":
                del settings["lr"]
        assert stage == of_base


def _losses(config: Any) -> dict[str, Any]:
    return config["protocol"]["train"]["loss"]


def test_maps_recovery_tests_what_it_trains_on(root: Path) -> None:
    """Val and test have casts of the range of the augmentation; all rows are scored on the maps, base is not taught."""
    base, *rows = load(root / "experiments/maps_recovery.yaml", Registry()).rows
    cast = base.recipe.config["protocol"]["train"]["augment"]["channel_gain"]
    assert cast["images"] == "degraded"
    assert all(base.recipe.config["data"][split]["gain_range"] == cast["gain_range"] for split in ("val", "test"))
    weights = [_losses(row.recipe.config)["map_l1"]["weight"] for row in (base, *rows)]
    assert 0 < weights[0] < 1e-6 and weights[1:] == [1.0, 1.0]
