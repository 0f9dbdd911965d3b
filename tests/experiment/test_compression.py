"""`model.compress`: which stages rows share, and what is refused."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import ExperimentError
from benchmark.experiment.load import load
from benchmark.experiment.plan import Environment, Plan, PlannedRow, make_plan, source_id
from benchmark.registry import Registry

ROWS = """\
  compression:
    int8: {model.compress: {int8: {}}}
    int8_tuned: {model.compress: {int8: {}}, protocol.psnr.quantiser: int8}
    prune: {model.compress: {prune: {channels: 0.3}}}
    prune_early: {model.compress: {prune: {channels: 0.3, stage: coarse}}}
    taught: {model.compress: {distil: heads.direct_rgb}}
    prune_int8: {model.compress: {prune: {channels: 0.3}, int8: {images: 4}}}
"""


def plan_of(file: Path) -> Plan:
    experiment = load(file, Registry())
    items = [item for row in experiment.rows for item in row.recipe.data.items()]
    return make_plan(
        experiment, {source_id(spec): split for split, spec in items}, Environment(1, "cpu", "2"), Registry()
    )


@pytest.fixture
def rows(experiment_file: Path) -> dict[str, PlannedRow]:
    experiment_file.write_text(experiment_file.read_text() + ROWS)
    return {row.row.removeprefix("compression."): row for row in plan_of(experiment_file).rows}


def keys(row: PlannedRow) -> list[str]:
    return [stage.key for stage in row.stages]


def test_rows_without_compression_keep_their_keys(experiment_file: Path) -> None:
    """Those of version 1.0 of these settings: what is trained stays trained."""
    plan = plan_of(experiment_file)
    experiment_file.write_text(experiment_file.read_text() + ROWS)
    with_others = plan_of(experiment_file)
    for row, same in zip(plan.rows, with_others.rows, strict=False):
        assert (row.row, keys(row), row.config_hash, row.network) == (
            same.row,
            keys(same),
            same.config_hash,
            same.network,
        )
        assert "compress" not in row.config["model"]
        assert all("quantiser" not in row.config["protocol"][stage.name] for stage in row.stages)


def test_int8_after_training_shares_all_stages_and_no_record(rows: dict[str, PlannedRow]) -> None:
    """It trains nothing of its own, and is another network with another record."""
    base, int8 = rows["base"], rows["int8"]
    assert keys(int8) == keys(base)
    assert int8.config_hash != base.config_hash and int8.network != base.network
    assert int8.config["model"]["compress"] == {"int8": {"images": 16}}


def test_a_stage_through_the_quantiser_is_a_stage_of_its_own(rows: dict[str, PlannedRow]) -> None:
    """The stages before it are shared."""
    assert keys(rows["int8_tuned"])[0] == keys(rows["base"])[0]
    assert keys(rows["int8_tuned"])[1] != keys(rows["base"])[1]


def test_pruning_begins_where_the_fine_tuning_does(rows: dict[str, PlannedRow]) -> None:
    """The last stage by default, or the one that is named; rows that prune alike share their training."""
    assert keys(rows["prune"])[0] == keys(rows["base"])[0] and keys(rows["prune"])[1] != keys(rows["base"])[1]
    assert set(keys(rows["prune_early"])).isdisjoint(keys(rows["base"]))
    assert keys(rows["prune_int8"]) == keys(rows["prune"])
    assert rows["prune_int8"].network != rows["prune"].network


def test_a_taught_row_depends_on_its_teacher(rows: dict[str, PlannedRow], experiment_file: Path) -> None:
    """Its stages come after all of the teacher's, of the same seed, and are others when the teacher is another."""
    taught, teacher = rows["taught"], rows["heads.direct_rgb"]
    assert [stage.key for stage in taught.stages_with_teacher] == [*keys(teacher), *keys(taught)]
    assert set(keys(taught)).isdisjoint([*keys(rows["base"]), *keys(teacher)])
    assert taught.network == rows["base"].network  # how it is trained changes neither bytes nor time
    text = experiment_file.read_text()
    assert taught.config["model"]["compress"] == {"distil": {"row": "heads.direct_rgb", "weight": 1.0}}
    for old, new in (
        ("direct_rgb: {model.head: {name: rgb}}", "direct_rgb: {model.head: {name: residual}}"),
        ("{distil: heads.direct_rgb}", "{distil: {row: heads.direct_rgb, weight: 0.5}}"),
        ("{distil: heads.direct_rgb}", "{distil: base}"),
    ):
        experiment_file.write_text(text.replace(old, new))
        changed = next(row for row in plan_of(experiment_file).rows if row.row == "compression.taught")
        assert set(keys(changed)).isdisjoint(keys(taught))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("distil: heads.direct_rbg", "no row 'heads.direct_rbg' in this experiment; did you mean 'heads.direct_rgb'?"),
        ("distil: compression.taught", "compression.taught learns from another row itself; name one that does not"),
    ],
)
def test_a_teacher_is_a_row_that_has_none(experiment_file: Path, row: str, message: str) -> None:
    """The message names file and row."""
    experiment_file.write_text(f"{experiment_file.read_text()}{ROWS}    pupil: {{model.compress: {{{row}}}}}\n")
    with pytest.raises(ExperimentError, match=re.escape(message)) as error:
        load(experiment_file, Registry())
    assert "compression.pupil" in str(error.value) and "small.yaml:" in str(error.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("{prune: {channels: 1.0}}", "less than 1"),
        ("{prune: {channels: 0.3, stage: psrn}}", "no stage 'psrn' in protocol.order; did you mean 'psnr'?"),
        ("{}", "names nothing to do; give int8, prune or distil"),
        ("{int8: {images: 0}}", "greater than 0"),
        ("{int4: {}}", "no such setting"),
    ],
)
def test_mistakes_are_one_line(edited: Callable[[str, str], Path], setting: str, message: str) -> None:
    """With the file, and what is allowed."""
    file = edited("  head: {name: degradation}\n", f"  head: {{name: degradation}}\n  compress: {setting}\n")
    with pytest.raises(ExperimentError) as error:
        load(file, Registry())
    assert message in str(error.value) and "small.yaml:" in str(error.value) and "\n" not in str(error.value)
