"""Comparisons of the rows of a run: which rows are pooled, which get a verdict, and why others do not."""

import json
from functools import partial

import numpy as np
import pytest

from reports.metrics import metric
from reports.results.load import load
from reports.results.summary import summaries
from reports.schema import PlannedStage, PlanRow
from reports.statistics.intervals import DIFFERENCE_ERROR_RATE, compare
from reports.statistics.ranks import order_of
from reports.statistics.seed_noise import seed_noise_groups
from reports.statistics.verdicts import ALONE, MEANINGS, Family, compare_pair, compare_with_base, family_of_report


@pytest.fixture
def make_run(make_run):
    """Runs with the smallest pictures: nothing here looks at them."""
    return partial(make_run, size=(28, 28))


ROWS = {"base": None, "heads.a": "heads", "heads.b": "heads", "heads.c": "heads", "stages.d": "stages"}


def found_of(run, name="psnr"):
    results = load(run)
    return compare_with_base(results, summaries(results), metric(name))


def contrast_of(run, row, reference, name="psnr", family=ALONE):
    results = load(run)
    return compare_pair(results, summaries(results), row, reference, metric(name), family)


def array_of(run, row, seeds, name="psnr"):
    """(seeds, images), read straight from the run's table of scores."""
    scores = load(run).scores
    chosen = scores[(scores["row"] == row) & (scores["metric"] == name) & (scores["split"] == "test")]
    return np.stack([chosen[chosen["seed"] == seed].sort_values("image")["value"].to_numpy() for seed in seeds])


def planned(row, *stages, seeds=(0, 1), kind="trained"):
    """A planned row whose stages have the given keys, one a seed."""
    made = tuple(
        PlannedStage(name=f"stage{i}", steps=10, keys={str(s): f"{key}-{s}" for s in seeds})
        for i, key in enumerate(stages)
    )
    return PlanRow(row=row, table=None, kind=kind, seeds=seeds, stages=made)


def test_a_seed_noise_group_is_the_first_stage_that_differs():
    """Groups are named after the stage where rows leave the base; rows that may not be pooled are alone."""
    base = planned("base", "a", "ab", "abc")
    rows = [
        planned("early", "x", "xb", "xbc"),
        planned("early_too", "y", "yb", "ybc"),
        planned("late", "a", "ab", "abz"),
        planned("middle", "a", "ac", "acb"),
        planned("ends", "a"),
        planned("goes_on", "a", "ab", "abc", "abcd"),
        planned("twin_of_early", "x", "xb", "xbd"),
        planned("no_keys"),
        planned("short", "s", "sb", "sbc").model_copy(
            update={
                "stages": tuple(
                    PlannedStage(name=f"stage{i}", steps=2, keys={"0": f"s{i}-0", "1": f"s{i}-1"}) for i in range(3)
                )
            }
        ),
        PlanRow(row="identity", table=None, kind="baseline", seeds=(None,)),
    ]
    alone = ("ends", "goes_on", "twin_of_early", "no_keys", "short", "identity")
    assert seed_noise_groups(rows, base) == {"early": "0", "early_too": "0", "late": "2", "middle": "1"} | {
        row: f"row {row}" for row in alone
    }


def test_keys_are_read_from_the_plan(make_run):
    """plan.json tells the key of each stage by seed; a plan without them is read, too."""
    run = make_run()
    assert load(run).plan.rows[1].stages[1].keys == {"0": "psnr-heads.direct_rgb-0", "1": "psnr-heads.direct_rgb-1"}
    data = json.loads((run / "plan.json").read_text())
    for row in data["rows"]:
        row.pop("stages")
    (run / "plan.json").write_text(json.dumps(data))
    assert load(run).plan.rows[1].stages == ()


def test_verdicts_equal_the_statistics_of_the_same_scores(make_run):
    """All rows of the report, pooled as one group and simultaneous with those of baselines; a baseline is separate."""
    run = make_run(rows=ROWS, seeds=(0, 1, 2), offsets={"heads.a": 2.0, "heads.b": -2.0})
    found = found_of(run)
    scores = {row: array_of(run, row, (0, 1, 2)) for row in ROWS}
    groups = dict.fromkeys(scores, "1")
    expected = compare(scores, "base", noise_groups=groups, comparisons=5, error_rate=DIFFERENCE_ERROR_RATE)
    assert {row: found[row].estimate for row in expected} == pytest.approx(expected)
    assert (found["heads.a"].verdict, found["heads.b"].verdict) == ("gain", "loss")
    assert set(found) == {"heads.a", "heads.b", "heads.c", "stages.d", "identity"}


def test_less_harm_is_a_gain(make_run):
    """Differences are plain, verdicts say what is better."""
    run = make_run(rows=ROWS, seeds=range(5), offsets={"heads.a": -30.0}, primary="harm")
    found = found_of(run, name="harm")["heads.a"]
    assert found.estimate is not None and found.gain is not None
    assert found.estimate.high < 0 < found.gain.low and found.gain.low == pytest.approx(-found.estimate.high)
    assert found.verdict == "gain"


def test_a_value_nearer_to_one_is_a_gain(make_run):
    """For texture, 0.9 is better than 0.8 and 1.2 is worse, whatever the sign of the difference."""
    run = make_run(rows=ROWS, seeds=range(5), offsets={"heads.a": -10.0, "heads.b": 30.0}, primary="texture")
    found = found_of(run, name="texture")
    assert (found["heads.a"].verdict, found["heads.b"].verdict) == ("loss", "loss")
    assert found["heads.b"].estimate is not None and found["heads.b"].estimate.low > 0


def test_other_metrics_have_plain_intervals_and_no_verdicts(make_run):
    """Each interval holds alone, so it is narrower than that of a whole table."""
    run = make_run(rows=ROWS, seeds=range(5), offsets={"heads.a": 30.0})
    found = found_of(run, name="ssim")["heads.a"]
    together = contrast_of(run, "heads.a", "base", "ssim", Family(5, 0.05))
    assert found.verdict is None and found.reason == "verdicts are for the primary metric"
    assert found.estimate is not None and together.estimate is not None
    assert found.estimate.resolution < together.estimate.resolution


def test_one_seed_gives_neither_interval_nor_verdict(make_run):
    """The reason is given."""
    found = found_of(make_run(rows=ROWS, seeds=(0,), offsets={"heads.a": 9.0}))["heads.a"]
    assert (found.estimate, found.verdict, found.reason) == (None, None, "one seed")


def test_two_seeds_give_an_interval_without_a_verdict(make_run):
    """However clear the gain."""
    found = found_of(make_run(rows=ROWS, seeds=(0, 1), offsets={"heads.a": 90.0}))["heads.a"]
    assert found.estimate is not None and found.estimate.low > 0
    assert (found.verdict, found.reason) == (None, "2 seeds; a verdict needs 3")


def test_a_lone_row_needs_five_seeds(make_run):
    """Three seeds of its own do not show its noise well enough."""
    alone = {"base": None, "stages.d": "stages"}
    three = found_of(make_run("three", rows=alone, seeds=range(3), offsets={"stages.d": 9.0}))["stages.d"]
    five = found_of(make_run("five", rows=alone, seeds=range(5), offsets={"stages.d": 9.0}))["stages.d"]
    assert three.verdict is None and "5 seeds" in three.reason
    assert five.verdict == "gain" and five.reason == ""


def test_an_incomplete_row_gets_no_verdict_and_affects_no_other(make_run, edit):
    """It keeps an interval over the seeds it shares with the base; its siblings pool without it."""
    run = make_run(rows=ROWS | {"heads.e": "heads"}, seeds=(0, 1, 2), offsets={"heads.a": 3.0})
    edit(run / "heads.b" / "seed1" / "record.json", status="failed", error={"message": "x"}, scores={})
    found = found_of(run)
    assert (found["heads.b"].verdict, found["heads.b"].reason) == (None, "not all seeds of heads.b finished")
    assert found["heads.b"].estimate is not None and found["heads.b"].estimate.seeds == 2
    assert found["heads.a"].verdict == "gain" and found["heads.a"].estimate is not None
    assert (found["heads.a"].estimate.seeds, found["heads.a"].estimate.pooled) == (3, 5)


def test_rows_with_other_images_are_not_compared(make_run):
    """An image that one seed of a row lacks: no interval, and the reason."""
    run = make_run(rows=ROWS | {"heads.e": "heads"}, seeds=(0, 1, 2))
    path = run / "heads.b" / "seed1" / "scores.csv"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if ",a," not in line))
    found = found_of(run)
    assert found["heads.b"].estimate is None and "not those of base" in found["heads.b"].reason
    assert found["heads.a"].verdict is not None


def test_a_baseline_has_an_interval_from_three_seeds_and_never_a_verdict(make_run):
    """Only the base's seeds and the images are chance then, and two seeds of the base are too few."""
    three = found_of(make_run("three", rows=ROWS, seeds=range(3), offsets={"identity": -9.0}))["identity"]
    two = found_of(make_run("two", rows=ROWS, seeds=range(2), offsets={"identity": -9.0}))["identity"]
    assert three.estimate is not None and three.estimate.high < 0 and three.estimate.pooled == 2
    assert three.verdict is None and "no seeds" in three.reason
    assert two.estimate is None


def test_base_against_a_row_is_the_row_against_base_mirrored(make_run):
    """Same noise, opposite sign, opposite verdict."""
    run = make_run(rows=ROWS, seeds=range(5), offsets={"heads.a": 3.0})
    there, back = contrast_of(run, "heads.a", "base"), contrast_of(run, "base", "heads.a")
    assert there.estimate is not None and back.estimate is not None
    assert (back.estimate.low, back.estimate.high) == pytest.approx((-there.estimate.high, -there.estimate.low))
    assert (there.verdict, back.verdict, back.row, back.reference) == ("gain", "loss", "base", "heads.a")
    assert there.estimate.pooled == 5


def test_a_pair_without_base_pools_the_rows_that_leave_its_reference_together(make_run):
    """Whatever their tables; other metrics than the primary one have no margin."""
    run = make_run(rows=ROWS, seeds=range(5), offsets={"heads.a": 30.0})
    found = contrast_of(run, "heads.a", "stages.d", "ssim")
    assert found.estimate is not None and found.estimate.pooled == 5
    assert (found.verdict, found.reference) == ("gain", "stages.d")


def test_a_pair_has_one_interval_in_a_report(make_run):
    """In the table of its rows, as a pair, and mirrored: the same ends."""
    run = make_run(rows=ROWS, seeds=range(5), offsets={"heads.a": 3.0})
    results = load(run)
    table, family = found_of(run)["heads.a"].gain, family_of_report(results)
    pair = contrast_of(run, "heads.a", "base", family=family).gain
    mirrored = contrast_of(run, "base", "heads.a", family=family).gain
    assert table is not None and pair is not None and mirrored is not None
    assert (pair.low, pair.high) == (table.low, table.high) == pytest.approx((-mirrored.high, -mirrored.low))


def test_ranks_are_the_places_that_a_row_may_have(make_run):
    """Equal rows share their places; a row that is surely better than all is first, and one surely worse is last."""
    run = make_run(rows=ROWS, seeds=range(5), offsets={"heads.a": 9.0, "heads.b": -9.0})
    results = load(run)
    order = order_of(results, summaries(results), metric("psnr"))
    assert {row: order.rank(row) for row in order.rows} == {
        "base": (2, 4), "heads.a": (1, 1), "heads.b": (5, 5), "heads.c": (2, 4), "stages.d": (2, 4),
    }  # fmt: skip
    assert order.may_be_best(order.rows) == ["heads.a"]
    assert order.may_be_best(["base", "heads.b", "heads.c"]) == ["base", "heads.c"]


def test_two_seeds_rank_nothing(make_run):
    """However clear the gain: every row may have every place."""
    results = load(make_run(rows=ROWS, seeds=(0, 1), offsets={"heads.a": 90.0}))
    order = order_of(results, summaries(results), metric("psnr"))
    assert {order.rank(row) for row in order.rows} == {(1, 5)}


def test_a_row_against_a_baseline_has_an_interval(make_run):
    """The baseline has no seeds, so the noise is that of the row; there is no verdict."""
    run = make_run(rows=ROWS, seeds=range(3), offsets={"heads.a": 9.0})
    found = contrast_of(run, "heads.a", "identity")
    assert found.estimate is not None and found.estimate.low > 0 and found.verdict is None
    assert (found.row, found.reference) == ("heads.a", "identity")


def test_every_verdict_is_explained():
    """The seven verdicts, each with a meaning of its own."""
    assert len(set(MEANINGS.values())) == len(MEANINGS) == 7
