"""The numbers of the tables against numbers computed here from the same files."""

import csv
import json
import statistics

import pytest

from reports.grid import on_page
from reports.metrics import metric
from reports.results.load import load
from reports.results.summary import complete, difference, image_scores, ranked, summaries
from reports.statistics.verdicts import compare_with_base
from reports.tables import differences, score_tables, training


def values_of(run, row, seed, name):
    """image -> value, read with the csv module."""
    folder = run / row if seed is None else run / row / f"seed{seed}"
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as file:
        return {line["image"]: float(line["value"]) for line in csv.DictReader(file) if line["metric"] == name}


def ranking_of(run):
    results = load(run)
    return score_tables.ranking(list(summaries(results).values()), metric(results.plan.primary))


def differences_of(run):
    """table -> grid"""
    results = load(run)
    found = differences.tables_against_base(summaries(results), results, metric(results.plan.primary))
    return {one.table: one.grid for one in found}


def mean_of(run, row, seed, name):
    return statistics.fmean(values_of(run, row, seed, name).values())


def lines_of(grid):
    """row -> column key -> value"""
    keys = [column.key for column in grid.columns]
    cells = [dict(zip(keys, line, strict=True)) for line in (*grid.lines, *grid.footer_rows)]
    return {line["row"].value: {key: cell.value for key, cell in line.items()} for line in cells}


def bold_of(grid):
    keys = [column.key for column in grid.columns]
    return {
        (line[keys.index("row")].value, key) for line in grid.lines for key, c in zip(keys, line, strict=True) if c.best
    }


def test_ranking_holds_means_over_seeds_and_their_spread(make_run):
    """Primary metric, spread and the other metrics equal those computed from scores.csv."""
    run = make_run()
    ranking = lines_of(ranking_of(run))
    for row, seeds in (("base", (0, 1)), ("heads.direct_rgb", (0, 1)), ("identity", (None,))):
        means = [mean_of(run, row, seed, "psnr") for seed in seeds]
        assert ranking[row]["psnr"] == pytest.approx(statistics.fmean(means))
        assert ranking[row]["harm"] == pytest.approx(statistics.fmean(mean_of(run, row, s, "harm") for s in seeds))
    spread = abs(mean_of(run, "base", 0, "psnr") - mean_of(run, "base", 1, "psnr"))
    assert ranking["base"]["psnr_spread"] == pytest.approx(spread)
    assert ranking["identity"]["psnr_spread"] is None


def test_rows_are_ranked_best_first_with_floor_rows_apart(make_run):
    """Floor rows have no rank, however good."""
    offsets = {"heads.residual": 3.0, "heads.direct_rgb": -3.0, "identity": 9.0}
    ranking = ranking_of(make_run(offsets=offsets))
    assert [line[1].value for line in ranking.lines] == ["heads.residual", "base", "heads.direct_rgb"]
    assert [line[0].value for line in ranking.lines] == [1, 2, 3]
    assert [(line[0].value, line[1].value) for line in ranking.footer_rows] == [(None, "identity")]


def test_lower_harm_ranks_first_and_is_bold(make_run):
    """The direction of a metric turns ranking and bold around."""
    offsets = {"heads.residual": 3.0, "heads.direct_rgb": -3.0}
    ranking = ranking_of(make_run(offsets=offsets, primary="harm"))
    assert [line[1].value for line in ranking.lines] == ["heads.direct_rgb", "base", "heads.residual"]
    assert ("heads.direct_rgb", "harm") in bold_of(ranking)
    assert ("heads.residual", "psnr") in bold_of(ranking)


@pytest.mark.parametrize(
    ("name", "value", "reference", "gain"),
    [
        ("psnr", 31.0, 30.0, 1.0),
        ("harm", 0.3, 0.5, 0.2),
        ("texture", 1.1, 0.7, 0.2),
        ("psnr_y601_u8", 30.0, 31.0, -1.0),
    ],
)
def test_gain_follows_the_direction_of_the_metric(name, value, reference, gain):
    """Positive is better, for metrics that want to be high, low or near 1."""
    assert metric(name).gain(value, reference) == pytest.approx(gain)


def test_variants_take_unit_and_direction_of_their_metric():
    """`psnr_spots_y` is a variant of psnr_spots, not of psnr; an unknown name has no unit."""
    assert (metric("harm_y").unit, metric("harm_y").direction) == ("levels", "lower")
    assert "PSNR spots" in metric("psnr_spots_y").meaning
    assert (metric("psnrx").unit, metric("psnrx").direction) == ("", "higher")


def test_bold_stays_among_rows_with_equally_many_seeds(make_run, edit):
    """A row that lost a seed is ranked but neither bold nor the reason that others are not."""
    run = make_run(offsets={"heads.residual": 3.0})
    edit(run / "heads.residual" / "seed1" / "record.json", status="failed", error={"message": "x"}, scores={})
    ranking = ranking_of(run)
    assert ranking.lines[0][1].value == "heads.residual"
    assert {row for row, _ in bold_of(ranking)} <= {"base", "heads.direct_rgb"}
    assert ("base", "psnr") in bold_of(ranking) or ("heads.direct_rgb", "psnr") in bold_of(ranking)


def test_differences_pair_seeds_and_images(make_run):
    """Mean, seeds, spread and share of images improved equal those computed from scores.csv."""
    run = make_run()
    line = lines_of(differences_of(run)["heads"])["heads.residual"]
    by_seed = [mean_of(run, "heads.residual", seed, "psnr") - mean_of(run, "base", seed, "psnr") for seed in (0, 1)]
    better = [
        value > values_of(run, "base", seed, "psnr")[image]
        for seed in (0, 1)
        for image, value in values_of(run, "heads.residual", seed, "psnr").items()
    ]
    assert line["psnr_difference"] == pytest.approx(statistics.fmean(by_seed))
    assert [line["psnr_difference_seed0"], line["psnr_difference_seed1"]] == pytest.approx(by_seed)
    assert line["psnr_difference_spread"] == pytest.approx(abs(by_seed[0] - by_seed[1]))
    assert line["improved_share"] == pytest.approx(statistics.fmean(better))


def test_differences_use_only_seeds_that_both_rows_finished(make_run, edit):
    """A seed that one of the rows lost does not enter the mean."""
    run = make_run()
    edit(run / "heads.residual" / "seed0" / "record.json", status="failed", error={"message": "x"}, scores={})
    line = lines_of(differences_of(run)["heads"])["heads.residual"]
    expected = mean_of(run, "heads.residual", 1, "psnr") - mean_of(run, "base", 1, "psnr")
    assert line["psnr_difference"] == pytest.approx(expected)
    assert line["psnr_difference_seed0"] is None and line["psnr_difference_spread"] is None


def test_a_floor_row_is_held_against_every_seed_of_base(make_run):
    """Floor rows have one value and stand in every table of differences."""
    run = make_run()
    line = lines_of(differences_of(run)["heads"])["identity"]
    floor = mean_of(run, "identity", None, "psnr")
    assert line["psnr_difference_seed1"] == pytest.approx(floor - mean_of(run, "base", 1, "psnr"))


def test_improved_images_follow_the_direction(make_run):
    """Less harm in every image is an improvement of all of them, though the difference is negative."""
    results = load(make_run(offsets={"heads.residual": -40.0}))
    rows = summaries(results)
    harm = metric("harm")
    found = difference(rows["heads.residual"], rows["base"], harm, image_scores(results, "harm"))
    assert found is not None and found.mean < 0 < found.gain
    assert (found.improved_share, found.pairs) == (1.0, 8)


def test_sharing_counts_steps_that_another_row_trained(make_run, edit):
    """Base trains the coarse stage (150 steps) for two other rows; an unknown key is of an earlier run."""
    run = make_run()
    path = run / "heads.residual" / "seed1" / "record.json"
    stages = json.loads(path.read_text())["stages"]
    edit(path, stages=[{**stages[0], "key": "of an earlier run"}, stages[1]])
    found = training.costs_of(list(summaries(load(run)).values()))
    assert found["base"].trained_steps == 500 and found["base"].reused_steps == 0
    assert (found["heads.residual"].reused_steps, found["heads.residual"].shared_steps) == (300, 150)
    assert training.sharing_summary(found.values()) == (
        "This run trained 900 steps. Sharing saved 450 more steps (33 % of what the rows need): another row had "
        "trained the same stages. 150 steps came from the stage store, from earlier runs."
    )
    assert found["heads.direct_rgb"].trained_seconds == pytest.approx(2 * 9.1)


def test_stage_table_averages_over_seeds(make_run):
    """One line a stage, with the mean of the validation metric and whether its weights were reused."""
    results = load(make_run())
    grid = training.stage_table(summaries(results)["heads.residual"])
    assert grid is not None
    lines = [{column.key: cell for column, cell in zip(grid.columns, line, strict=True)} for line in grid.lines]
    stored = [record.stages for record in results.records if record.row == "heads.residual"]
    assert [line["stage"].value for line in lines] == ["coarse", "psnr"]
    assert [line["reused"].text for line in lines] == ["reused", "trained"]
    expected = statistics.fmean(stages[1].val["psnr"] for stages in stored)
    assert lines[1]["val_psnr"].value == pytest.approx(expected)


def test_the_worst_result_of_a_gate_over_the_seeds_counts(make_run, edit):
    """A gate that one seed fails is failed; what is shown is the median of what was measured."""
    run = make_run()
    path = run / "base" / "seed1" / "record.json"
    gates = json.loads(path.read_text())["gates"]
    edit(path, gates=[gates[0], gates[1], {**gates[2], "measured": 130.0, "result": "failed"}])
    row = summaries(load(run))["base"]
    gate = next(gate for gate in row.gates if gate.name == "latency_here")
    assert gate.result == "failed"
    assert gate.measured == pytest.approx((gates[2]["measured"] + 130.0) / 2)


def test_tables_that_mix_environments_say_so(make_run, edit):
    """A row from another machine is marked in the ranking and in its own table, not elsewhere."""
    run = make_run(rows={"base": None, "heads.a": "heads", "stages.b": "stages"})
    for seed in (0, 1):
        path = run / "heads.a" / f"seed{seed}" / "record.json"
        edit(path, provenance=json.loads(path.read_text())["provenance"] | {"environment": "cuda-bfloat16"})
    by_table = {table: " ".join(grid.notes) for table, grid in differences_of(run).items()}
    assert "cuda-bfloat16" in by_table["heads"] and "cuda-bfloat16" in " ".join(ranking_of(run).notes)
    assert "environments" not in by_table["stages"]


def test_complete_keeps_rows_with_the_most_seeds(make_run, edit):
    """Only these can be compared without favour."""
    run = make_run()
    edit(run / "base" / "seed0" / "record.json", status="failed", error={"message": "x"}, scores={})
    rows = ranked(list(summaries(load(run)).values())[:3], metric("psnr"))
    assert {row.row for row in complete(rows)} == {"heads.direct_rgb", "heads.residual"}


def test_differences_stand_with_interval_word_and_what_is_needed(make_run):
    """The cells are those of the verdict; a note says why there is no word, and per-seed values are for the CSV."""
    run = make_run(seeds=range(5), offsets={"heads.residual": 3.0})
    results = load(run)
    found = compare_with_base(results, summaries(results), metric("psnr"))["heads.residual"].estimate
    grid = differences_of(run)["heads"]
    line = lines_of(grid)["heads.residual"]
    assert found is not None
    assert (line["low"], line["high"], line["resolution"]) == (found.low, found.high, found.resolution)
    assert line["verdict"] == "gain" and line["seeds_needed"] is None  # nothing is left open
    other = compare_with_base(results, summaries(results), metric("psnr"))["heads.direct_rgb"]
    assert other.verdict == "inconclusive" and other.estimate is not None
    needed = other.estimate.precision.needed(results.plan.equivalence_margin)
    assert lines_of(grid)["heads.direct_rgb"]["seeds_needed"] in (needed.seeds, needed.together[0])
    assert "psnr_difference_seed0" not in [column.key for column in on_page(grid).columns]
    assert lines_of(grid)["identity"]["verdict"] is None
    two = differences_of(make_run("two", seeds=(0, 1)))["heads"]
    assert "This table has no verdicts: 2 seeds; a verdict needs 3." in two.notes


def test_a_row_whose_seeds_spread_unlike_the_others_is_pointed_out(make_run, edit):
    """More than three times the median of the table."""
    run = make_run(seeds=(0, 1, 2))
    assert not any("three times" in note for note in differences_of(run)["heads"].notes)
    for row, step in (("base", 0.1), ("heads.residual", 0.1), ("heads.direct_rgb", 1.0)):
        for seed in (0, 1, 2):
            scores = {"test": {"psnr": {"mean": 30 + step * seed, "std": 0, "n": 4}}}
            edit(run / row / f"seed{seed}" / "record.json", scores=scores)
    notes = [note for note in differences_of(run)["heads"].notes if "three times" in note]
    assert len(notes) == 1 and notes[0].endswith("a third: heads.direct_rgb.")
