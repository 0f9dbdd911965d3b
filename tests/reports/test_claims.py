"""Claims are evaluated by intervals alone, and those that are open say what would settle them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reports.claims.evaluate_claims import EvaluatedClaim, claims_table, evaluate, outcome_of
from reports.claims.evidence import gain_of
from reports.errors import ReportError
from reports.grid import on_page
from reports.metrics import metric
from reports.results import Results
from reports.results.load import load
from reports.results.summary import summaries
from reports.schema import PlanFile, parse, to_json
from reports.statistics.family import comparisons_of_report
from reports.statistics.verdicts import ALONE

Run = Callable[..., Path]
Edit = Callable[..., dict[str, Any]]

NUMBERS = st.integers(-50, 50).map(lambda tenths: tenths / 10)
ENDS = st.one_of(st.none(), NUMBERS)
SEEDS = (0, 1, 2, 3, 4)
ROWS = {"base": None, **{f"heads.{name}": "heads" for name in ("worse", "equal", "better")}}
OFFSETS = {"heads.worse": -3.0, "heads.better": 3.0}


def claim(name: str = "c", expected: str | None = None, **form: Any) -> dict[str, Any]:
    return {"id": name, "text": "as said", "reading": "as read", "expected": expected, **form}


def better(row: str, *rivals: str, by: float | None = 0.0, at_most: float | None = None, metric: str = "psnr") -> dict:
    return claim(better=row, worse=list(rivals), metric=metric, by=by, at_most=at_most)


def within(gate: str) -> dict[str, Any]:
    return claim(within={"row": "base", "gate": gate})


def front(row: str, among: str, cost: str = "macs") -> dict[str, Any]:
    return claim(front={"row": row, "among": among, "cost": cost})


def with_claims(results: Results, *claims: dict[str, Any], tables: Mapping[str, str] | None = None) -> Results:
    """The results with these claims in the plan, and with other tables for some rows."""
    plan = to_json(results.plan) | {"claims": claims}
    plan["rows"] = [row | {"table": (tables or {}).get(row["row"], row["table"])} for row in plan["rows"]]
    return replace(results, plan=parse(PlanFile, plan))


@pytest.fixture(scope="module")
def loaded() -> dict[tuple[int, ...], Results]:
    """Seeds -> the run over them, loaded once for all tests."""
    return {}


@pytest.fixture
def evaluated(make_run: Run, loaded: dict[tuple[int, ...], Results]) -> Callable[..., tuple[EvaluatedClaim, ...]]:
    """A function that judges claims by a run of four rows over some seeds, of which one is better and one worse."""

    def make(
        *claims: dict[str, Any], seeds: tuple[int, ...] = SEEDS, tables: Mapping[str, str] | None = None
    ) -> tuple[EvaluatedClaim, ...]:
        if seeds not in loaded:
            loaded[seeds] = load(make_run(rows=ROWS, seeds=seeds, images="abcdefgh", offsets=OFFSETS, size=(26, 26)))
        results = loaded[seeds]
        return evaluate(with_claims(results, *claims, tables=tables), summaries(results))

    return make


@given(NUMBERS, NUMBERS, ENDS, ENDS)
def test_an_interval_holds_only_inside_and_is_refuted_only_outside(
    one: float, other: float, above: float | None, at_most: float | None
) -> None:
    """A claim holds if no value of the interval contradicts it, is refuted if none agrees, and is open otherwise."""
    assume(above is None or at_most is None or above < at_most)
    low, high = sorted((one, other))
    # What a claim says of a value changes at its ends only: these values, with the ends, tell of the whole interval.
    ends = [end for end in (above, at_most) if end is not None and low <= end <= high]
    values = [low, high, *ends, *(min(high, end + 1e-9) for end in ends)]
    agree = [(above is None or value > above) and (at_most is None or value <= at_most) for value in values]
    expected = "holds" if all(agree) else "not resolved" if any(agree) else "refuted"
    assert outcome_of(low, high, above, at_most) == expected


def test_better_rows_are_told_from_worse_ones(evaluated: Callable[..., tuple[EvaluatedClaim, ...]]) -> None:
    """A large difference holds in its direction and is refuted in the other, for a metric where less is better, too."""
    results = [
        one.result
        for one in evaluated(
            better("base", "heads.worse"),
            better("heads.worse", "base"),
            better("heads.better", "heads.worse", "base"),
            better("heads.better", "heads.worse", "base", by=5.0),
            better("base", "identity"),
            better("identity", "base"),
            better("heads.worse", "base", metric="harm"),
            better("heads.worse", "base", by=None, at_most=0.5),
        )
    ]
    assert results == ["holds", "refuted", "holds", "refuted", "holds", "refuted", "holds", "holds"]


def test_a_metric_of_ones_own_is_claimed_in_its_own_direction_and_unit(make_run: Run, edit: Edit) -> None:
    """Where the records say that less is better, the row with less holds the claim; the numbers have its unit."""
    run = make_run(rows=ROWS, seeds=SEEDS, images="abcdefgh", offsets=OFFSETS, size=(26, 26))
    facts = {"unit": "levels", "direction": "lower", "meaning": "max |restored - target|", "decimals": 1}
    for file in run.glob("**/record.json"):
        record = json.loads(file.read_text())
        scores = {**record["scores"]["test"], "largest": record["scores"]["test"]["psnr"]}
        lines = (file.parent / "scores.csv").read_text().splitlines()
        copies = [line.replace(",psnr,", ",largest,") for line in lines if ",psnr," in line]
        (file.parent / "scores.csv").write_text("\n".join([*lines, *copies, ""]))
        edit(file, scores={"test": scores}, metrics={"largest": facts}, files={})
    results = with_claims(load(run), better("heads.worse", "base", metric="largest", by=1))
    assert not results.notes, results.notes
    (less,) = evaluate(results, summaries(results))
    assert less.result == "holds", less.numbers
    assert "heads.worse against base: better by +" in less.numbers and "levels largest [" in less.numbers
    assert less.form == "heads.worse better than base in largest by more than 1 levels"


def test_what_is_open_says_what_would_settle_it(evaluated: Callable[..., tuple[EvaluatedClaim, ...]]) -> None:
    """Rows that are equal are not told apart, with their interval, and with seeds, images or the reason in words."""
    (open_,) = evaluated(better("heads.equal", "base"))
    assert open_.result == "not resolved"
    assert "heads.equal against base: " in open_.numbers and "dB PSNR [−" in open_.numbers
    assert any(word in open_.resolves for word in ("more seed", "more images", "too near"))


def test_equal_rows_are_equivalent_within_a_wide_margin(evaluated: Callable[..., tuple[EvaluatedClaim, ...]]) -> None:
    """The same two rows are equivalent within one margin, not within another."""
    wide, narrow, far = (
        claim(equivalent=[row, "base"], equivalence_margin=margin)
        for row, margin in (("heads.equal", 1.0), ("heads.equal", 0.001), ("heads.worse", 1.0))
    )
    assert [one.result for one in evaluated(wide, narrow, far)] == ["holds", "not resolved", "refuted"]


def test_few_seeds_decide_nothing(evaluated: Callable[..., tuple[EvaluatedClaim, ...]]) -> None:
    """Over two seeds even a large difference is not resolved, and more seeds are asked for."""
    (one,) = evaluated(better("base", "heads.worse"), seeds=(0, 1))
    assert one.result == "not resolved"
    assert "seed" in one.numbers
    assert one.resolves == "1 more seed"


def test_an_unfinished_row_decides_nothing(make_run: Run, edit: Edit) -> None:
    """Where a seed is missing, the claim stays open and the missing seed is named."""
    run = make_run(rows={"base": None, "heads.worse": "heads"}, seeds=SEEDS, offsets=OFFSETS, size=(26, 26))
    edit(run / "plan.json", claims=[better("base", "heads.worse"), better("heads.worse", "identity", by=-9.0)])
    edit(run / "heads.worse/seed3/record.json", status="failed", error={"message": "loss is nan"})
    results = load(run)
    for one in evaluate(results, summaries(results)):  # also against a row that has no seeds
        assert (one.result, one.resolves) == ("not resolved", "finish the other seeds of heads.worse")


def test_rows_on_both_sides_of_the_best_value_are_not_equivalent(make_run: Run) -> None:
    """A metric that is best near 1: 0.9 and 1.1 are as good, but they differ by 0.2."""
    rows = {"base": None, "heads.rough": "heads"}
    run = make_run(rows=rows, seeds=SEEDS, images="abcdefgh", size=(26, 26))
    for row, value in (("base", 0.9), ("heads.rough", 1.1)):
        for seed in SEEDS:
            file = run / row / f"seed{seed}/scores.csv"
            images = "".join(f"test,{name},texture,{value + 0.001 * seed}\n" for name in "abcdefgh")
            file.write_text(f"{file.read_text()}{images}")
    form = claim(equivalent=["heads.rough", "base"], metric="texture", equivalence_margin=0.05)
    results = load(run)
    (one,) = evaluate(with_claims(results, form), summaries(results))
    assert one.result == "refuted"


def test_gates_decide_what_is_within_them(evaluated: Callable[..., tuple[EvaluatedClaim, ...]]) -> None:
    """Passed holds; what was not measured, or not surely, stays open with its reason and what to do."""
    size, v100, here = evaluated(within("size"), within("latency"), within("latency_here"))
    assert (size.result, size.resolves) == ("holds", "")
    assert (v100.result, v100.resolves) == ("not resolved", "measure on V100")
    assert "no V100 here" in v100.numbers
    assert (here.result, here.resolves) == ("not resolved", "measure by the full protocol")


def test_a_failed_gate_refutes(make_run: Run, edit: Edit) -> None:
    """One seed whose gate fails refutes the claim."""
    run = make_run()
    gate = {
        "name": "size",
        "quantity": "size",
        "limit": 10,
        "measured": 11,
        "unit": "bytes",
        "result": "failed",
        "protocol": {},
    }
    edit(run / "plan.json", claims=[within("size")])
    edit(run / "base/seed1/record.json", gates=[gate])
    results = load(run)
    assert evaluate(results, summaries(results))[0].result == "refuted"


def test_the_front_is_left_by_a_cheaper_and_better_rival_only(
    evaluated: Callable[..., tuple[EvaluatedClaim, ...]],
) -> None:
    """All networks here cost the same multiply-adds: a better rival refutes, a worse one does not."""
    tables = {"heads.worse": "worse", "heads.equal": "equal"}
    (beaten,) = evaluated(front("base", "heads"), tables={"heads.equal": "others"})
    unbeaten, open_ = evaluated(front("base", "worse"), front("base", "equal"), tables=tables)
    assert [beaten.result, unbeaten.result, open_.result] == ["refuted", "holds", "not resolved"]
    assert "costs 0.123 against 0.123 GMACs" in beaten.numbers


def test_a_dearer_rival_may_be_better(make_run: Run, edit: Edit) -> None:
    """A rival whose latency lies wholly above the row's does not refute its place; one measured unsteadily may."""
    run = make_run(rows={"base": None, "heads.better": "heads"}, seeds=SEEDS, offsets=OFFSETS, size=(26, 26))
    edit(run / "plan.json", claims=[front("base", "heads", cost="latency_here")])

    def result(measured: float, **protocol: Any) -> str:
        gate = {
            "name": "latency_here",
            "quantity": "latency",
            "limit": 100,
            "measured": measured,
            "unit": "ms",
            "result": "inconclusive",
        }
        for seed in SEEDS:
            edit(run / f"heads.better/seed{seed}/record.json", gates=[{**gate, "protocol": protocol}])
            edit(run / f"base/seed{seed}/record.json", gates=[{**gate, "measured": 30.0, "protocol": {}}])
        results = load(run)
        return evaluate(results, summaries(results))[0].result

    assert result(40.0) == "holds"
    assert result(40.0, spread=0.5) == "not resolved"
    assert result(40.0, unsteady=["busy"]) == "not resolved"
    assert result(20.0) == "refuted"


def test_latencies_of_other_conditions_are_not_compared(make_run: Run, edit: Edit) -> None:
    """Fewer milliseconds on another machine, or of a smaller image, make no network cheaper."""
    rows = {"base": None, "heads.better": "heads"}
    run = make_run(rows=rows, seeds=SEEDS, offsets=OFFSETS, size=(26, 26))
    edit(run / "plan.json", claims=[front("base", "heads", cost="latency_here")])
    here = {"device": "AMD EPYC", "image": [256, 256], "runtime": "eager"}

    def evaluated_at(**other: Any) -> EvaluatedClaim:
        for row, measured, protocol in (("base", 30.0, here), ("heads.better", 20.0, here | other)):
            gate = {"name": "latency_here", "quantity": "latency", "limit": 100, "measured": measured, "unit": "ms"}
            gate |= {"result": "inconclusive", "protocol": protocol}
            for seed in SEEDS:
                edit(run / f"{row}/seed{seed}/record.json", gates=[gate])
        results = load(run)
        return evaluate(results, summaries(results))[0]

    assert evaluated_at().result == "refuted"
    for other in ({"device": "V100"}, {"image": [128, 128]}, {"runtime": "onnx"}):
        open_ = evaluated_at(**other)
        assert (open_.result, open_.resolves) == ("not resolved", "measure both under the same conditions")
        assert "measured under other conditions" in open_.numbers


def test_multiply_adds_of_other_sizes_are_not_compared(make_run: Run, edit: Edit) -> None:
    """A quarter of the pixels takes a quarter of the work: that makes no network cheaper."""
    run = make_run(rows={"base": None, "heads.better": "heads"}, seeds=SEEDS, offsets=OFFSETS, size=(26, 26))
    edit(run / "plan.json", claims=[front("base", "heads")])
    for seed in SEEDS:
        record = run / f"heads.better/seed{seed}/record.json"
        model = edit(record)["model"]
        edit(record, model=model | {"macs": model["macs"] // 4, "macs_shape": [1, 3, 128, 128]})
    results = load(run)
    (one,) = evaluate(results, summaries(results))
    assert (one.result, one.resolves) == ("not resolved", "count both for one size")


def test_the_interval_of_a_latency_spans_those_of_all_seeds(make_run: Run, edit: Edit) -> None:
    """One seed measured surely slower, one surely faster: the two rows are not told apart, and no limit is blamed."""
    rows = {"base": None, "heads.better": "heads"}
    run = make_run(rows=rows, seeds=SEEDS, offsets=OFFSETS, size=(26, 26))
    edit(run / "plan.json", claims=[front("base", "heads", cost="latency_here")])
    for row, measured in (("base", (30.0,) * 5), ("heads.better", (20.0, 20.0, 20.0, 20.0, 40.0))):
        for seed, median in enumerate(measured):
            gate = {"name": "latency_here", "quantity": "latency", "limit": 100, "measured": median, "unit": "ms"}
            gate |= {"result": "passed", "protocol": {}, "interval": [median - 1, median + 1]}
            edit(run / f"{row}/seed{seed}/record.json", gates=[gate])
    results = load(run)
    found = summaries(results)
    (gate,) = [one for one in found["heads.better"].gates if one.name == "latency_here"]
    assert (gate.measured, gate.interval) == (20.0, (19.0, 41.0))
    (one,) = evaluate(results, found)
    assert (one.result, one.resolves) == ("not resolved", "measure longer: the two cannot be told apart")


def test_few_seeds_ask_for_seeds_or_rows_like_these(make_run: Run) -> None:
    """Three seeds of a pair alone do not show its noise; other rows that train alike would."""
    run = make_run(rows={"base": None, "heads.worse": "heads"}, seeds=SEEDS[:3], images="abcdefgh", size=(26, 26))
    results = load(run)
    found = gain_of(results, summaries(results), ALONE, "heads.worse", "base", metric("psnr"))
    assert found.resolves == "more seeds, or more rows like these"


def test_intervals_hold_for_all_claims_at_once(
    evaluated: Callable[..., tuple[EvaluatedClaim, ...]], loaded: dict[tuple[int, ...], Results]
) -> None:
    """Every different pair of rows and metric counts once, whichever way round; more of them widen the intervals."""
    claims = (
        better("base", "heads.worse"),
        better("heads.worse", "base"),
        better("base", "heads.equal", "heads.better"),
        better("base", "heads.worse", metric="ssim"),
        within("size"),
    )
    one, many = evaluated(claims[0]), evaluated(*claims)
    against_base = 4  # three trained rows and a baseline
    assert comparisons_of_report(with_claims(next(iter(loaded.values())), *claims).plan) == against_base + 1
    assert one[0].numbers != many[0].numbers


def test_the_grid_has_a_line_a_claim(evaluated: Callable[..., tuple[EvaluatedClaim, ...]]) -> None:
    """Text, reading, form, numbers and result of each; a result that is not the expected one says so."""
    as_expected = better("base", "heads.worse") | {"id": "a", "expected": "holds"}
    changed = better("base", "heads.worse") | {"id": "b", "expected": "refuted"}
    found = evaluated(as_expected, changed)
    assert [one.is_as_expected for one in found] == [True, False]
    shown = claims_table(found)
    assert shown is not None
    assert [column.key for column in shown.columns] == [
        "id",
        "text",
        "reading",
        "form",
        "result",
        "numbers",
        "resolves",
    ]
    assert shown.lines[0][4].text == "✓ holds"
    assert shown.lines[1][4].text == "✓ holds (the experiment file says: refuted)"
    assert claims_table(()) is None


def test_the_page_shows_a_claim_with_its_reading_in_one_cell(
    evaluated: Callable[..., tuple[EvaluatedClaim, ...]],
) -> None:
    """Reading and form have no column there; the CSV file keeps each by itself."""
    full = claims_table(evaluated(better("base", "heads.worse")))
    assert full is not None
    page = on_page(full)
    assert [column.key for column in page.columns] == ["id", "text", "result", "numbers", "resolves"]
    claimed = page.lines[0][1]
    assert (claimed.value, claimed.text) == ("as said", "as said Read as: as read")
    assert claimed.hint == "evaluated as: base better than heads.worse in PSNR by more than 0 dB"
    assert [cell.value for cell in full.lines[0][2:4]] == ["as read", claimed.hint.removeprefix("evaluated as: ")]


def test_what_brings_nothing_may_even_harm(evaluated: Callable[..., tuple[EvaluatedClaim, ...]]) -> None:
    """Where only a gain is bounded, numbers that reach as far below zero say so; a bound from below settles it."""
    harms, equal, bounded = evaluated(
        better("heads.worse", "base", by=None, at_most=0.5),
        better("heads.equal", "base", by=None, at_most=5.0),
        better("heads.worse", "base", by=-9.0, at_most=0.5),
    )
    assert [one.result for one in (harms, equal, bounded)] == ["holds", "holds", "holds"]
    assert [one.numbers.endswith("(may even lose)") for one in (harms, equal, bounded)] == [True, False, False]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (claim(best="base"), "a claim needs one of better, equivalent, within, front"),
        (better("base", "heads.gone"), "is about row 'heads.gone', which the plan lacks"),
        (front("base", "gone"), "is about table 'gone', which the plan lacks"),
        (better("base", "identity") | {"text": 7}, r"claims.0.BetterClaim.text is '7'"),
    ],
)
def test_a_plan_with_other_claims_is_told(make_run: Run, edit: Edit, wrong: dict[str, Any], message: str) -> None:
    """What this version cannot read in plan.json is one line, not a crash."""
    run = make_run()
    edit(run / "plan.json", claims=[wrong])
    with pytest.raises(ReportError, match=message):
        load(run)


def test_a_claim_on_a_metric_that_no_row_has_says_so_once(
    evaluated: Callable[..., tuple[EvaluatedClaim, ...]],
) -> None:
    """One line names the metric and those that are there, however many rivals the claim has."""
    for claimed in (
        better("base", "heads.equal", "heads.worse", metric="lpips"),
        front("base", "heads") | {"metric": "lpips"},
    ):
        (open_,) = evaluated(claimed, tables={"heads.equal": "heads", "heads.worse": "heads"})
        assert open_.result == "not resolved" and open_.numbers.count("lpips") == 1
        assert open_.numbers.startswith("no finished row has lpips on test; they have fixed_share, harm, ")
        assert open_.resolves == "claim a metric that is scored, or run the rows"
