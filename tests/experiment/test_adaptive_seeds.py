"""Seeds with interim analyses in an experiment file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import ExperimentError
from benchmark.experiment.load import Experiment, load
from benchmark.experiment.rungs import on_scale
from benchmark.experiment.scales import Scale
from benchmark.registry import Registry
from reports.schema import BetterClaim
from reports.statistics.error_spending import error_spent


def with_seeds(edited: Callable[[str, str], Path], seeds: str) -> Experiment:
    return load(edited("seeds: [0]\n", f"seeds: {seeds}\n"), Registry())


def test_analyses_double_the_seeds_unless_they_are_listed(edited: Callable[[str, str], Path]) -> None:
    """From first to most; the experiment has as many seeds as a row may get."""
    file = edited("seeds: [0]\n", "seeds: {first: 5, most: 30}\n")
    experiment = load(file, Registry())
    assert experiment.seeds == tuple(range(30))
    assert experiment.adaptive_seeds is not None and experiment.adaptive_seeds.analyses == (5, 10, 20, 30)
    listed = load(file, Registry(), ["seeds.interim=[5, 30]"]).adaptive_seeds
    assert listed is not None and listed.analyses == (5, 30)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("{first: 5}", r"small.yaml:\d+: seeds.most: is needed but not given"),
        ("{first: 5, most: 4}", r"seeds.most: must not be below first, 5 \(got '?4'?\)"),
        ("{first: 1, most: 4}", "seeds.first: Input should be greater than or equal to 2"),
        ("{first: 5, most: 40, interim: [5, 20]}", "seeds.interim: must rise from first, 5, to most, 40"),
        ("{first: 5, most: 40, interim: [5, 20, 10, 40]}", "seeds.interim: must rise from first, 5, to most, 40"),
        ("{first: 5, most: 40, stop: futile}", "seeds.stop: Input should be 'resolved'"),
        ("{first: 5, most: 40, intermi: []}", "seeds.intermi: no such setting"),
        ("[]", "seeds: needs at least one seed"),
        ("[0, 0]", "seeds: a seed is given twice"),
    ],
)
def test_seeds_that_make_no_sense_are_refused(edited: Callable[[str, str], Path], seeds: str, message: str) -> None:
    """With the place and what is allowed."""
    with pytest.raises(ExperimentError, match=message):
        with_seeds(edited, seeds)


def test_a_short_rung_has_the_first_seeds_and_no_analyses(edited: Callable[[str, str], Path]) -> None:
    """Interim analyses are planned for the experiment as written."""
    experiment = with_seeds(edited, "{first: 3, most: 12}")
    rung = on_scale(experiment, Scale(steps="1/2"))
    assert rung.seeds == (0, 1, 2) and rung.adaptive_seeds is None
    assert on_scale(experiment, Scale()) is experiment


@pytest.mark.parametrize("name", ["claims", "claims_contest"])
def test_small_claims_are_analysed_after_20_and_40_seeds(root: Path, name: str) -> None:
    """Their error rate of 5 % is spent as 0.5 and 4.5 %; what matters is 0.2 dB, fixed before the run."""
    experiment = load(root / f"experiments/{name}.yaml", Registry())
    adaptive = experiment.adaptive_seeds
    assert adaptive is not None and adaptive.analyses == (20, 40)
    assert error_spent(adaptive.analyses, 0.05, adaptive.exponent) == pytest.approx((0.005, 0.045), rel=1e-3)
    limits = {
        limit
        for claim in experiment.claims
        if isinstance(claim, BetterClaim) and not claim.id.startswith("stage_3")
        for limit in (claim.by, claim.at_most)
    }
    assert experiment.report.equivalence_margin == 0.2 and limits == {0.2, None}


@pytest.mark.parametrize("name", ["claims", "claims_contest"])
def test_large_claims_have_five_seeds_and_512_faces(root: Path, name: str) -> None:
    """On the data and with the settings of the small ones."""
    small, large = (
        load(root / f"experiments/{file}.yaml", Registry()) for file in (name, name.replace("claims", "claims_large"))
    )
    assert large.seeds == (0, 1, 2, 3, 4) and large.adaptive_seeds is None
    base, other = (experiment.rows[0].recipe.config for experiment in (small, large))
    assert other["data"]["test"] == {**base["data"]["test"], "count": 512}
    assert (other["protocol"], other["model"], other["data"]["train"]) == (
        base["protocol"], base["model"], base["data"]["train"],
    )  # fmt: skip
