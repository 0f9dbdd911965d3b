"""Interim analyses: which rows stop, which get more seeds, and what the report makes of rows that stopped."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import ExperimentError
from benchmark.experiment.adaptive_seeds import AdaptiveSeeds
from benchmark.experiment.plan import Environment, Plan
from benchmark.runner.row_leases import leases_of
from benchmark.runner.stage_store import StageStore
from benchmark.search.interim import RowSeeds, after_analysis, mark_stops, seeds_so_far
from reports.claims.evaluate_claims import evaluate
from reports.results.load import load
from reports.results.summary import summaries
from reports.statistics.error_spending import interim_critical_values
from reports.statistics.ranks import order_of
from reports.statistics.verdicts import compare_with_base
from reports.tables.differences import tables_against_base

ANALYSES = (5, 10, 20)
ROWS = ("base", "t.better", "t.near", "t.worse")
IMAGES = 6
WriteRun = Callable[..., Path]


def same(count: int) -> dict[str, RowSeeds]:
    return dict.fromkeys(ROWS, RowSeeds(count))


def test_resolved_rows_stop_and_the_others_get_more_seeds(write_run: WriteRun, tmp_path: Path) -> None:
    """The base row has as many as any other; what has stopped stays."""
    seeds = same(5)
    second = after_analysis(load(write_run(tmp_path / "first", seeds)), seeds, ANALYSES)
    assert second == {
        "base": RowSeeds(10),
        "t.better": RowSeeds(5, stopped_at=5),
        "t.near": RowSeeds(10),
        "t.worse": RowSeeds(5, stopped_at=5),
    }
    third = after_analysis(load(write_run(tmp_path / "second", second)), second, ANALYSES)
    assert third["t.better"] == second["t.better"] and third["base"].count == third["t.near"].count


def test_a_row_is_open_as_long_as_a_claim_that_names_it_is(write_run: WriteRun, tmp_path: Path) -> None:
    """A claim between two resolved rows that is not resolved keeps both."""
    claim = {"id": "exactly", "text": "One dB.", "better": "t.better", "worse": "base", "by": 0.99, "at_most": 1.01}
    seeds = same(5)
    following = after_analysis(load(write_run(tmp_path / "run", seeds, [claim])), seeds, ANALYSES)
    assert following["t.better"] == RowSeeds(10) and following["t.worse"].stopped_at == 5


def test_nothing_is_decided_before_all_records_are_there(write_run: WriteRun, tmp_path: Path) -> None:
    """An analysis of part of the seeds would be one that nobody planned."""
    seeds = same(5)
    run = write_run(tmp_path / "run", seeds)
    (run / "t.near/seed3/record.json").unlink()
    assert after_analysis(load(run), seeds, ANALYSES) == seeds


def test_a_failed_row_stays_and_the_others_go_on(write_run: WriteRun, tmp_path: Path) -> None:
    """It is tried again by the next command."""
    seeds = same(5)
    run = write_run(tmp_path / "run", seeds)
    file = run / "t.worse/seed3/record.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"status": "failed", "scores": {}}))
    following = after_analysis(load(run), seeds, ANALYSES)
    assert following["t.worse"] == RowSeeds(5) and following["t.near"] == RowSeeds(10)


def test_after_the_last_analysis_nothing_changes(write_run: WriteRun, tmp_path: Path) -> None:
    """Rows that are still open stay open."""
    seeds = same(20)
    assert after_analysis(load(write_run(tmp_path / "run", seeds)), seeds, ANALYSES) == seeds


def test_a_stopped_row_keeps_its_interval(write_run: WriteRun, tmp_path: Path) -> None:
    """Whatever the other rows and base get later; it is marked as biased on every page."""
    seeds = same(5)
    before = load(write_run(tmp_path / "first", seeds))
    after = load(write_run(tmp_path / "second", after_analysis(before, seeds, ANALYSES)))
    first, second = (
        compare_with_base(results, summaries(results), results.metric("psnr")) for results in (before, after)
    )
    assert second["t.better"].estimate == first["t.better"].estimate
    assert (second["t.better"].verdict, second["t.better"].stopped_at) == ("gain", 5)
    assert (second["t.near"].stopped_at, second["t.near"].estimate.seeds) == (None, 10)  # pyright: ignore
    rows = summaries(after)
    table = tables_against_base(rows, after, after.metric("psnr"))[0].grid
    shown = {line[0].text: line[1].text for line in table.lines}
    assert shown["t.better"].endswith("†") and not shown["t.near"].endswith("†")
    assert "after 5 seeds t.better and t.worse" in " ".join(table.notes)
    assert order_of(after, rows, after.metric("psnr")).rank("t.better") == (1, 1)


def test_the_interval_of_an_analysis_has_its_level_of_the_planned_family(write_run: WriteRun, tmp_path: Path) -> None:
    """Also after rows have stopped: three comparisons were planned."""
    counts = {**same(10), "t.better": RowSeeds(5, 5), "t.worse": RowSeeds(5, 5)}
    results = load(write_run(tmp_path / "run", counts))
    compared = compare_with_base(results, summaries(results), results.metric("psnr"))
    for row, analysis in (("t.better", 0), ("t.near", 1)):
        estimate = compared[row].estimate
        assert estimate is not None
        precision = estimate.precision
        image = max(precision.image_variance, precision.seed_variance)
        variance = max(precision.seed_variance + precision.image_variance - precision.remainder, image)
        spread = precision.seed_variance**2 / precision.seed_degrees + precision.image_variance**2 / (IMAGES - 1)
        degrees = np.asarray(variance**2 / spread)
        limit = interim_critical_values(ANALYSES, analysis, 3, precision.correlation, degrees, 0.04)
        assert estimate.resolution == pytest.approx(float(limit) * variance**0.5)
        assert precision.comparisons == 3


def test_a_claim_about_a_stopped_row_says_that_its_estimate_is_biased(write_run: WriteRun, tmp_path: Path) -> None:
    """Its interval is that of the analysis."""
    claim = {"id": "gain", "text": "It is better.", "better": "t.better", "worse": "base"}
    counts = {**same(10), "t.better": RowSeeds(5, 5)}
    results = load(write_run(tmp_path / "run", counts, [claim]))
    entry = evaluate(results, summaries(results))[0]
    assert entry.result == "holds" and "5 seeds (then stopped: the estimate is biased)" in entry.numbers


def plan() -> Plan:
    class Named:
        def __init__(self, row: str) -> None:
            self.row = row

    return Plan(None, Environment(1, "cpu", "2"), tuple(map(Named, ROWS)), ())  # type: ignore[arg-type]


def test_decisions_stand_in_the_plan_and_in_the_records(write_run: WriteRun, tmp_path: Path) -> None:
    """A later command goes on from there."""
    adaptive = AdaptiveSeeds(first=5, most=20, interim=list(ANALYSES))
    assert seeds_so_far(plan(), adaptive, tmp_path) == same(5)
    counts = {**same(10), "t.better": RowSeeds(5, 5)}
    run = write_run(tmp_path / "run", counts)
    assert seeds_so_far(plan(), adaptive, run) == counts
    leases, name = leases_of("t.better/seed1", run, store := StageStore(tmp_path / ".stages"))
    with leases.hold(name):  # by a process that writes this record
        mark_stops(run, counts, store)
        assert "stopped_at" not in json.loads((run / "t.better/seed1/record.json").read_text())
    mark_stops(run, counts, store)
    assert json.loads((run / "t.better/seed1/record.json").read_text())["stopped_at"] == 5
    records = {row: json.loads((run / row / "seed0/record.json").read_text()) for row in ("base", "t.better")}
    assert records["t.better"]["stopped_at"] == 5 and "stopped_at" not in records["base"]
    assert load(run).damage == ()


def test_analyses_cannot_be_planned_anew_within_a_run(write_run: WriteRun, tmp_path: Path) -> None:
    """They are fixed beforehand, or the error rate is not kept."""
    run = write_run(tmp_path / "run", same(5))
    with pytest.raises(ExperimentError, match=r"must be fixed before a run, so choose another --output"):
        seeds_so_far(plan(), AdaptiveSeeds(first=5, most=40), run)
