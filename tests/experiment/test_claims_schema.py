"""Claims of an experiment file: forms, defaults, mistakes; they change no result."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from benchmark.errors import ExperimentError
from benchmark.experiment import document
from benchmark.experiment.load import Experiment, load
from benchmark.experiment.plan import Environment, Plan, make_plan, source_id
from benchmark.experiment.schema import fields_at
from benchmark.registry import Registry
from benchmark.runner.plan_file import plan_file
from reports.schema import BetterClaim, PlanFile, parse, to_json

ROOT = Path(__file__).parents[2]
CLAIMING = ("seed_claims", "seed_claims_contest")
Claimed = Callable[..., Path]


@pytest.fixture
def claimed(experiment_file: Path) -> Claimed:
    """A function that writes claims, each as YAML without id and text, under the small experiment."""

    def write(*claims: str) -> Path:
        lines = [f"  - {{id: c{index}, text: said, {claim}}}" for index, claim in enumerate(claims)]
        with experiment_file.open("a") as file:
            file.write("\n".join(["claims:", *lines, ""]))
        return experiment_file

    return write


def claims_of(file: Path) -> list[dict[str, Any]]:
    return [to_json(claim) for claim in load(file, Registry()).claims]


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (
            "better: bsae, worse: heads.direct_rgb",
            "claims.0.better: no row 'bsae' in this experiment; did you mean 'base'",
        ),
        (
            "better: base, worse: [identity, heads.rgb]",
            "claims.0.worse: no row 'heads.rgb' in this experiment; did you",
        ),
        ("better: base, worse: base", "claims.0.worse: base is compared with itself"),
        ("better: base, worse: identity, by: 1, at_most: 0.5", "claims.0.at_most: must be above by (got 0.5)"),
        ("better: base, worse: []", "claims.0.worse"),
        ("better: base", "claims.0.worse: is needed but not given"),
        ("better: base, wrose: identity, worse: identity", "claims.0.wrose: no such setting; did you mean 'worse'?"),
        ("better: base, worse: identity, metric: pnsr", "claims.0.metric: no metric 'pnsr'; did you mean 'psnr'?"),
        ("better: base, worse: identity, expected: maybe", "claims.0.expected"),
        ("equivalent: [base]", "claims.0.equivalent"),
        ("equivalent: [base, base]", "claims.0.equivalent: base is compared with itself"),
        (
            "equivalent: [base, identity], metric: ssim",
            "claims.0: give an equivalence_margin: report.equivalence_margin is of psnr",
        ),
        ("within: {row: base, gate: weight}", "claims.0.within.gate: no gate 'weight' in this experiment; known:"),
        ("within: {row: identity, gate: size}", "claims.0.within.gate: no gate 'size' in this experiment; known: none"),
        ("front: {row: base, among: haeds, cost: macs}", "claims.0.front.among: no table 'haeds'"),
        ("front: {row: base, among: heads, cost: size}", "claims.0.front.cost: no cost 'size'"),
        (
            "equivalent: [base, identity], margin: 1",
            "claims.0.margin: no such setting; it is called 'equivalence_margin' now",
        ),
        ("reading: hopeful", "claims.0: a claim needs one of better, equivalent, within, front"),
    ],
)
def test_a_mistake_is_told_with_its_line(claimed: Claimed, claim: str, message: str) -> None:
    """What the experiment lacks, and what cannot be meant, is told with file, line and suggestion."""
    file = claimed(claim)
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if "id: c0" in text)
    with pytest.raises(ExperimentError) as error:
        load(file, Registry())
    assert f"{file}:{line}: {message}" in str(error.value)


def test_a_claim_may_name_a_metric_of_ones_own(claimed: Claimed, own_metric: Path) -> None:
    """It is scored for the claim's sake, and so is one of this project that not every row has."""
    file = claimed(
        "better: base, worse: identity, metric: largest_error", "better: base, worse: identity, metric: psnr_y"
    )
    experiment = load(file, Registry((own_metric,)))
    assert [claim.metric for claim in experiment.claims if isinstance(claim, BetterClaim)] == [
        "largest_error",
        "psnr_y",
    ]
    assert experiment.metrics == ("largest_error", "psnr_y")
    with pytest.raises(ExperimentError, match=r"claims.0.metric: no metric 'largest_error'"):
        load(file, Registry())


def test_two_claims_need_two_ids(claimed: Claimed) -> None:
    """An id names one claim."""
    file = claimed("within: {row: base, gate: size}", "within: {row: base, gate: latency}")
    file.write_text(file.read_text().replace("id: c1", "id: c0"))
    with pytest.raises(ExperimentError, match=r"claims.1.id: two claims have the id 'c0'"):
        load(file, Registry())


def planned(experiment: Experiment) -> Plan:
    prints = {source_id(spec): split for split, spec in experiment.rows[0].recipe.data.items()}
    return make_plan(experiment, prints, Environment(1, "cpu", torch.__version__), Registry())


def test_claims_change_no_key(claimed: Claimed) -> None:
    """Keys of stages and hashes of records are the same with and without claims: nothing is trained again for them."""

    def keys(plan: Plan) -> list[tuple[str, ...]]:
        return [(row.config_hash, *(stage.key for stage in row.stages)) for row in plan.rows]

    file = claimed()
    file.write_text(file.read_text().replace("claims:\n", ""))
    before = planned(load(file, Registry()))
    after = planned(load(claimed("better: base, worse: identity"), Registry()))
    assert (len(before.experiment.claims), len(after.experiment.claims)) == (0, 1)
    assert keys(after) == keys(before)


def test_a_plan_holds_the_claims_as_they_are_written(claimed: Claimed) -> None:
    """Every form goes through plan.json to the report unchanged."""
    file = claimed(
        "better: base, worse: [identity], at_most: 2, reading: so",
        "better: base, worse: identity",
        "equivalent: [base, stages.stage_1], metric: ssim, equivalence_margin: 0.01",
        "within: {row: base, gate: size}, expected: holds",
        "front: {row: base, among: heads, cost: macs}",
    )
    experiment = load(file, Registry())
    written = json.loads(json.dumps(to_json(plan_file(planned(experiment), "command", Path()))))
    assert parse(PlanFile, written).claims == experiment.claims
    above, zero, equivalent, within, _ = written["claims"]
    assert (above["worse"], above["at_most"], above["by"], above["reading"]) == (["identity"], 2.0, None, "so")
    assert zero["worse"] == "identity"
    assert (equivalent["metric"], equivalent["equivalence_margin"]) == ("ssim", 0.01)
    assert within["expected"] == "holds"


def test_the_reference_solutions_claims_are_all_there() -> None:
    """Both files about the reference's claims hold the same ones, each in its words, with its reading."""
    experiments = [load(ROOT / "experiments" / f"{name}.yaml", Registry()) for name in CLAIMING]
    ids = [[claim.id for claim in experiment.claims] for experiment in experiments]
    assert ids[0] == ids[1]
    assert {"balance_speed", "degradation_head", "stage_2", "stage_3", "mask_loss", "size", "latency"} <= {*ids[0]}
    assert all(claim.text and claim.reading for claim in experiments[0].claims)


def test_the_settings_of_claims_are_known() -> None:
    """Suggestions for a mistyped key come from the forms of claims."""
    assert {"better", "worse", "at_most", "equivalent", "within", "front"} <= {*fields_at(("claims", 0))}


def test_a_claim_survives_being_written_and_read(claimed: Claimed) -> None:
    """The experiment.yaml of a run, which holds the merged settings, states the same claims again."""
    file = claimed("better: base, worse: identity, by: 0.1", "within: {row: base, gate: size}")
    before = claims_of(file)
    file.write_text(yaml.safe_dump(document.parse(file.read_text(), "again").data, sort_keys=False))
    assert claims_of(file) == before
