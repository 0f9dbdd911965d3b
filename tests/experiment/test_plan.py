"""A plan shares what is equal and keeps apart what is not."""

from pathlib import Path

import pytest

from benchmark.experiment.load import load
from benchmark.experiment.plan import Environment, Plan, make_plan, select, source_id
from benchmark.registry import Registry

HERE = Environment(engine=1, device="cpu", torch="2.13.0")


def plan_of(file: Path, *sets: str, environment: Environment = HERE, test: str = "t") -> Plan:
    experiment = load(file, Registry(), sets)
    items = [item for row in experiment.rows for item in row.recipe.data.items()]
    prints = {source_id(spec): split[0] if split != "test" else test for split, spec in items}
    return make_plan(experiment, prints, environment, Registry())


def keys(plan: Plan, row: str) -> list[str]:
    return [stage.key for planned in plan.rows if planned.row == row for stage in planned.stages]


def test_a_row_that_drops_the_last_stage_trains_nothing(experiment_file: Path) -> None:
    """`stage_1` is a prefix of the base row: its one stage is the base's first."""
    plan = plan_of(experiment_file)
    assert keys(plan, "stages.stage_1") == keys(plan, "base")[:1]
    assert plan.steps_trained == 2 * (4 + 3)
    assert plan.steps_without_sharing == 2 * (4 + 3) + 4


def test_a_row_that_changes_the_last_stage_trains_that_stage_alone(experiment_file: Path) -> None:
    """The stages before the change keep their keys, the changed one and those after it do not."""
    before, after = plan_of(experiment_file), plan_of(experiment_file, "protocol.psnr.lr=2e-4")
    assert keys(before, "base")[0] == keys(after, "base")[0]
    assert keys(before, "base")[1] != keys(after, "base")[1]


@pytest.mark.parametrize(
    "item",
    [
        "protocol.coarse.steps=5",
        "protocol.coarse.batch=3",
        "protocol.coarse.optimizer.weight_decay=0.01",
        "protocol.coarse.schedule.name=constant",
        "protocol.coarse.loss.l1=0.5",
        "protocol.coarse.augment.rotate90={}",
        "protocol.coarse.precision=bfloat16",
        "model.backbone.width=6",
        "model.head.gain_channels=1",
    ],
)
def test_every_number_that_changes_a_result_changes_the_key(experiment_file: Path, item: str) -> None:
    """What goes into training goes into the key of the first stage."""
    assert keys(plan_of(experiment_file), "base")[0] != keys(plan_of(experiment_file, item), "base")[0]


def test_the_order_of_augmentations_belongs_to_the_key(experiment_file: Path) -> None:
    """Augmentations are applied one after the other with one generator: another order, other patches."""
    orders = ["{flip: {}, rotate90: {}}", "{rotate90: {}, flip: {}}"]
    plans = [plan_of(experiment_file, "protocol.coarse.augment=null", f"protocol.coarse.augment={o}") for o in orders]
    assert keys(plans[0], "base")[0] != keys(plans[1], "base")[0]


def test_another_environment_is_another_key(experiment_file: Path) -> None:
    """Device type, torch version and engine version belong to the key."""
    base = keys(plan_of(experiment_file), "base")
    for other in (Environment(2, "cpu", "2.13.0"), Environment(1, "cuda", "2.13.0"), Environment(1, "cpu", "2.14.0")):
        assert set(base).isdisjoint(keys(plan_of(experiment_file, environment=other), "base"))


def test_gates_and_test_data_change_records_but_not_stages(experiment_file: Path) -> None:
    """What is measured after or before training needs no new training."""
    plan, gated = plan_of(experiment_file), plan_of(experiment_file, "gates.size.limit_bytes=5")
    retested = plan_of(experiment_file, test="other")
    assert keys(plan, "base") == keys(gated, "base") == keys(retested, "base")
    hashes = {p.rows[0].config_hash for p in (plan, gated, retested)}
    assert len(hashes) == 3


def test_the_report_settings_change_nothing(experiment_file: Path) -> None:
    """Another margin of the report leaves every record valid."""
    plan, other = plan_of(experiment_file), plan_of(experiment_file, "report.equivalence_margin=0.2")
    assert [row.config_hash for row in plan.rows] == [row.config_hash for row in other.rows]


def test_seeds_share_nothing(experiment_file: Path) -> None:
    """Each seed trains its own chain."""
    plan = plan_of(experiment_file, "seeds=[0, 1]")
    by_seed = [{stage.key for row in plan.rows if row.seed == seed for stage in row.stages} for seed in (0, 1)]
    assert by_seed[0].isdisjoint(by_seed[1])
    assert plan.steps_trained == 2 * 2 * (4 + 3)


def test_a_selection_keeps_the_baselines(experiment_file: Path) -> None:
    """Floor rows stand in every run, however few rows are asked for."""
    part = select(plan_of(experiment_file), ["base"], [])
    assert [row.row for row in part.rows] == ["base"]
    assert [baseline.row for baseline in part.baselines] == ["identity", "affine", "closing"]
