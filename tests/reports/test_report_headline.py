"""The sentences on the first screen."""

import json
import shutil

from reports.metrics import metric
from reports.pages.headline import headline
from reports.results.load import load
from reports.results.summary import summaries
from reports.statistics.ranks import order_of
from reports.tables.differences import how_to_read


def answer_of(run):
    results = load(run)
    rows, primary = summaries(results), metric(results.plan.primary)
    return headline(rows, results, primary, order_of(results, rows, primary))


def fail_gate(edit, run, row):
    for seed in (0, 1):
        path = run / row / f"seed{seed}" / "record.json"
        gates = json.loads(path.read_text())["gates"]
        edit(path, gates=[{**gates[0], "measured": 12_000_000, "result": "failed"}, *gates[1:]])


def test_the_leader_is_held_against_base_and_doing_nothing(make_run):
    """A clear lead names its two references, seeds and images, and what was not measured."""
    found = answer_of(make_run(offsets={"heads.residual": 3.0}))
    assert found.leader == "heads.residual"
    assert "better than base and" in found.lead and "better than doing nothing (identity)" in found.lead
    assert "2 seeds and 4 test images" in found.lead and "undecided" not in found.lead
    assert "no V100 here" in found.open_points and "latency_here" in found.open_points


def test_a_leading_base_is_held_against_the_next_row(make_run):
    """Base cannot be compared with itself."""
    found = answer_of(make_run(offsets={"base": 5.0, "heads.direct_rgb": 2.0}))
    assert found.leader == "base"
    assert "better than the next row (heads.direct_rgb)" in found.lead


def test_a_row_that_fails_a_gate_does_not_lead(make_run, edit):
    """It is named as the better one that fails."""
    run = make_run(offsets={"heads.residual": 3.0, "heads.direct_rgb": 1.0})
    fail_gate(edit, run, "heads.residual")
    found = answer_of(run)
    assert found.leader == "heads.direct_rgb"
    assert "heads.residual would score better but fails a gate" in found.lead


def test_when_no_row_keeps_the_gates_none_leads(make_run, edit):
    """The answer says so instead of naming the least bad."""
    run = make_run()
    for row in ("base", "heads.residual", "heads.direct_rgb"):
        fail_gate(edit, run, row)
    found = answer_of(run)
    assert found.leader == "" and "Every finished row fails a gate (size: 3 rows)" in found.lead
    assert "The best of them, " in found.lead


def test_a_lead_of_two_seeds_has_an_interval_but_no_word(make_run):
    """A lead between equal rows is called undecided; its interval is as wide as on the cards, where it is not shown."""
    found = answer_of(make_run(rows={"base": None, "heads.a": "heads"}))
    assert (
        "The interval of the first difference is n/a (2 seeds): it would be wider than all rows lie apart."
        in found.lead
    )
    assert "2 seeds; a verdict needs 3" in found.lead and "undecided" in found.lead


def test_a_clear_lead_of_five_seeds_is_a_gain(make_run):
    """The word stands behind the interval, with what it means."""
    found = answer_of(make_run(seeds=range(5), offsets={"heads.residual": 3.0}))
    assert ". Verdict: gain, clearly better." in found.lead and "undecided" not in found.lead
    assert found.lead.startswith("leads among the rows that fail no gate: ")


def test_an_open_lead_says_what_would_resolve_it(make_run):
    """Equal rows of five seeds are inconclusive at a margin of 0.1 dB, and more seeds or images are asked for."""
    found = answer_of(make_run(seeds=range(5)))
    assert "inconclusive, this run cannot tell. To resolve a true 0.1 dB with a chance of 50 % takes " in found.lead
    assert "but 3 rows may be best" in found.lead


def test_a_row_that_beats_base_but_not_the_next_row_does_not_lead(make_run):
    """Two rows gain 3 dB over base: each may be best, and neither leads."""
    run = make_run(seeds=range(5), offsets={"heads.residual": 3.0, "heads.direct_rgb": 3.02})
    assert "but 2 rows may be best" in answer_of(run).lead


def test_the_fastest_of_rows_as_good_is_named(make_run, edit):
    """Under a budget a row within the margin of the best and faster is the one to look at; a worse one is not."""
    run = make_run(offsets={"heads.residual": 0.6, "heads.direct_rgb": -3.0})
    for row, measured in (("base", 20.0), ("heads.residual", 40.0), ("heads.direct_rgb", 10.0)):
        for seed in (0, 1):
            path = run / row / f"seed{seed}" / "record.json"
            gates = json.loads(path.read_text())["gates"]
            edit(
                path,
                gates=[{**gate, "measured": measured} if gate["name"] == "latency_here" else gate for gate in gates],
            )
    edit(run / "plan.json", equivalence_margin=0.5)
    found = answer_of(run)
    assert found.leader == "heads.residual"
    assert "The fastest of the 2 rows within 0.5 dB of its mean is base: 20.0 ms here" in found.lead
    edit(run / "plan.json", equivalence_margin=0.01)
    assert "The fastest" not in answer_of(run).lead


def test_one_seed_gives_no_certainty(make_run):
    """With one seed the order may be chance, and the reading of the tables says it again."""
    found = answer_of(make_run(seeds=(0,), offsets={"heads.residual": 3.0}))
    assert "may be chance" in found.lead
    assert how_to_read(1, metric("psnr"), 0.0)[0].startswith("There is only one seed")
    assert "undecided" in how_to_read(1, metric("psnr"), 0.0)[0]


def test_a_row_with_fewer_seeds_does_not_lead(make_run):
    """It is named among the missing instead."""
    run = make_run(offsets={"heads.residual": 3.0})
    shutil.rmtree(run / "heads.residual" / "seed1")
    found = answer_of(run)
    assert found.leader != "heads.residual"
    assert "issing: 1 row (heads.residual)" in found.open_points
