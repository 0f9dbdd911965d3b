"""The cards on the first screen: what to choose, how sure that is, what to run next; and why nothing beats nothing."""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reports import write
from reports.metrics import metric
from reports.pages import Card, Finding
from reports.pages.cards import choice_cards
from reports.pages.commands import run_command, run_folder
from reports.pages.next_run import next_card
from reports.pages.no_gain import no_gain
from reports.results.further_tests import further_tests
from reports.results.load import load
from reports.results.summary import Summary, summaries
from reports.schema import PlanFile
from reports.statistics.ranks import order_of
from reports.tables.differences import tables_against_base
from reports.tables.interval_text import is_vacuous, scale, without_vacuous_intervals
from reports.tables.settings import settings_table
from reports.tables.training import last_stages

Run = Callable[..., Path]
Edit = Callable[..., dict[str, Any]]
PSNR = metric("psnr")
ROOT = Path(__file__).parents[2]


def cards_of(run: Path) -> tuple[Card, ...]:
    results = load(run)
    rows, margin = summaries(results), results.plan.equivalence_margin
    compared = tables_against_base(rows, results, PSNR)
    stages = last_stages(list(rows.values()), PSNR, margin)
    is_better = no_gain(rows, results, PSNR) is None
    next_run = next_card(rows, compared, stages, results, PSNR, beats_baselines=is_better)
    return (*choice_cards(rows, results, PSNR, order_of(results, rows, PSNR), further_tests(results, rows)), next_run)


def finding_of(run: Path) -> Finding | None:
    results = load(run)
    return no_gain(summaries(results), results, PSNR)


def rows_of(run: Path) -> dict[str, Summary]:
    return summaries(load(run))


def edit_stages(edit: Edit, run: Path, **changes: Any) -> None:
    """Change the last stage of every record."""
    for path in run.glob("*/seed*/record.json"):
        stages = json.loads(path.read_text())["stages"]
        edit(path, stages=[*stages[:-1], stages[-1] | changes])


def set_latencies(edit: Edit, run: Path, latencies: Mapping[str, float]) -> None:
    for row, measured in latencies.items():
        for path in run.glob(f"{row}/seed*/record.json"):
            gates = json.loads(path.read_text())["gates"]
            edit(
                path,
                gates=[gate | ({"measured": measured} if gate["name"] == "latency_here" else {}) for gate in gates],
            )


def test_a_clear_lead_is_proven_and_says_how_to_ship_it(make_run: Run) -> None:
    """Five seeds of a much better row: proven; size, time with its protocol, and both commands name its folder."""
    best, *_ = cards_of(make_run(seeds=range(5), offsets={"heads.residual": 3.0}))
    facts = dict(best.facts)
    assert (best.row, best.certainty, best.is_proven) == ("heads.residual", "proven better than base", True)
    assert facts["against base"].startswith("+") and "[+" in facts["against base"]
    assert "against doing nothing (identity)" in facts and facts["file"].endswith(" MB")
    assert " ms (quick protocol" in facts["one image"]
    assert [shlex.split(command)[3:5] for command in best.commands] == [
        ["restore", "runs/quickstart/heads.residual/seed0"],
        ["export", "runs/quickstart/heads.residual/seed0"],
    ]


def test_two_seeds_are_leads_and_nothing_is_proven(make_run: Run) -> None:
    """However large the lead: the card says so, and an interval wider than the scale of the scores is not shown."""
    best, *_ = cards_of(make_run(rows={"base": None, "heads.a": "heads"}, offsets={"heads.a": 3.0}, floors=()))
    assert best.certainty == "leads, not proven: 2 seeds, needs at least 3" and not best.is_proven


@pytest.mark.parametrize(("half_width", "seeds", "is_shown"), [(0.4, 2, True), (5.0, 2, False), (5.0, 3, True)])
def test_intervals_of_two_seeds_wider_than_the_scale_are_not_shown(
    make_run: Run, half_width: float, seeds: int, is_shown: bool
) -> None:
    """The scale is how far trained rows and doing nothing lie apart: here 2 dB."""
    rows = rows_of(make_run(offsets={"heads.direct_rgb": -0.2}))
    widest = scale(list(rows.values()), PSNR)
    assert 1.5 < widest < 2.7
    assert is_vacuous(0.1 - half_width, 0.1 + half_width, seeds, widest) != is_shown


def test_tables_of_two_seeds_keep_the_ends_of_hidden_intervals_in_their_files(make_run: Run) -> None:
    """A margin of rows that differ by nothing but noise: the page says n/a, the cell keeps its number."""
    run = make_run(rows={"base": None, "heads.a": "heads"}, floors=())
    results = load(run)
    rows = summaries(results)
    (table,) = tables_against_base(rows, results, PSNR)
    grid = without_vacuous_intervals(table.grid, "psnr", {"psnr": scale(list(rows.values()), PSNR)}, seeds=2)
    places = {column.key: place for place, column in enumerate(grid.columns)}
    (line,) = grid.lines
    assert line[places["low"]].text == "n/a (2 seeds)" and isinstance(line[places["low"]].value, float)


def test_the_fastest_row_as_good_as_the_best_is_the_second_card(make_run: Run, edit: Edit) -> None:
    """Within the margin of the best and faster; a faster row that is worse by more is not taken."""
    run = make_run(offsets={"heads.residual": 0.6, "heads.direct_rgb": -3.0})
    set_latencies(edit, run, {"base": 20.0, "heads.residual": 40.0, "heads.direct_rgb": 10.0})
    edit(run / "plan.json", equivalence_margin=0.9)
    _, fastest, _ = cards_of(run)
    assert fastest.row == "base" and dict(fastest.facts)["one image"].startswith("20.0 ms")
    edit(run / "plan.json", equivalence_margin=0.01)
    _, fastest, _ = cards_of(run)
    assert (fastest.row, fastest.certainty) == ("heads.residual", "the same row")


def test_of_equally_fast_rows_the_better_is_named_on_the_card_and_below_it(make_run: Run, edit: Edit) -> None:
    """Rows with one network have one latency: card and text name the same row, the one with the higher mean."""
    run = make_run(offsets={"heads.residual": 2.0, "heads.direct_rgb": 1.0})
    set_latencies(edit, run, {"base": 20.0, "heads.residual": 40.0, "heads.direct_rgb": 20.0})
    edit(run / "plan.json", equivalence_margin=5.0)
    _, fastest, _ = cards_of(run)
    assert fastest.row == "heads.direct_rgb"
    assert (
        "The fastest of the 3 rows within 5 dB of its mean is heads.direct_rgb: 20.0 ms"
        in (write(run).page).read_text()
    )


def test_more_seeds_are_asked_for_with_command_and_time(make_run: Run) -> None:
    """Two seeds: one more gives first verdicts. Its time is that of the records, 31 s for each row and seed."""
    run_next = cards_of(make_run(offsets={"identity": -6.0}))[-1]
    assert run_next.certainty == "more seeds"
    assert dict(run_next.facts)["takes about"].startswith("93.0 s")
    assert run_next.commands == ("python -m benchmark run experiments/quickstart.yaml --seeds 2",)


@pytest.mark.parametrize("margin", [0.05, 0.08, 0.11, 0.15])
def test_the_next_run_trains_the_rows_that_it_settles_and_no_others(make_run: Run, edit: Edit, margin: float) -> None:
    """A row that needs more seeds is left out of the command and named with its number, also where it is the best."""
    images = [f"face_{number}" for number in range(24)]
    run = make_run(seeds=range(5), images=images, size=(26, 26), offsets={"heads.residual": 0.1, "identity": -6.0})
    edit(run / "plan.json", equivalence_margin=margin)
    run_next = cards_of(run)[-1]
    settled, *left_out = run_next.notes
    words = shlex.split(" ".join(run_next.commands))
    trained = {word for before, word in pairwise(words) if before == "--rows"}
    for row in ("heads.residual", "heads.direct_rgb"):
        assert (row in settled and bool(run_next.commands)) == (row in trained or (bool(words) and not trained))
        assert not (row in trained and any(row in note for note in left_out))


def test_rows_that_the_next_run_leaves_open_are_named_with_the_seeds_that_they_need() -> None:
    """Some need a few seeds more than those of the command, some more than anyone will train."""
    run_next = cards_of(ROOT / "reports/published/seed_claims")[-1]
    settled, others = run_next.notes
    match = re.search(r"\((\d+) in all\)", settled)
    needed = dict(re.findall(r"(\S+) \(([\d,]+)(?:, with [\d,]+ images)?\)", others.partition("seeds in all: ")[2]))
    counts = [int(seeds.replace(",", "")) for seeds in needed.values()]
    assert match and max(counts) > 20 and min(counts) > int(match[1])
    assert not needed.keys() & {*shlex.split(run_next.commands[0])}


def test_an_unfinished_run_is_finished_first(make_run: Run) -> None:
    """The same command goes on, with the time of what is missing."""
    run = make_run()
    (run / "heads.residual/seed1/record.json").unlink()
    run_next = cards_of(run)[-1]
    assert run_next.certainty == "finish this run" and dict(run_next.facts)["takes about"].startswith("31.0 s")
    assert run_next.commands == ("python -m benchmark run experiments/quickstart.yaml",)


def test_rows_that_still_learn_are_trained_longer(make_run: Run, edit: Edit) -> None:
    """Twice the steps in the longest stage, into a folder of its own."""
    run = make_run(seeds=range(5))
    edit_stages(edit, run, late_gain_psnr=0.5)
    run_next = cards_of(run)[-1]
    assert run_next.certainty == "train longer" and "3 rows still gained" in run_next.notes[0]
    assert shlex.split(run_next.commands[0])[5:] == [
        "--set", "protocol.coarse.steps=300", "--output", "runs/quickstart_longer",
    ]  # fmt: skip


def test_a_run_that_beats_nothing_says_so_with_its_causes(make_run: Run, edit: Edit) -> None:
    """Still learning, few steps, undone steps: each cause is in the records, and each says what to change."""
    run = make_run(offsets={"identity": 2.0})
    edit_stages(edit, run, late_gain_psnr=0.5, skipped_steps=4)
    stage = {"steps": 100, "batch": 4, "patch": 64}
    config = {
        "data": {"train": {"source": "synthetic_faces", "count": 80, "size": 256}},
        "protocol": {"order": ["coarse"], "coarse": stage},
    }
    for path in run.glob("*/seed*/record.json"):
        edit(path, config=config)
    finding = finding_of(run)
    assert finding and finding.statement.startswith("No network beats doing nothing (")
    causes = " ".join(finding.causes)
    assert "3 of 3 rows gained up to 0.50 dB" in causes
    assert "100 steps of base cover the training images 0.312 times" in causes  # 100 x 4 x 64^2 of 80 x 256^2 pixels
    assert "24 steps had to be undone" in causes
    assert finding_of(make_run("other")) is None


def test_a_row_that_spoils_images_is_not_shipped(make_run: Run) -> None:
    """Where doing nothing is better, the card says so and has no commands that restore or export."""
    best, *_ = cards_of(make_run(offsets={"identity": 9.0}))
    assert best.commands == () and best.notes[0].startswith("Its images are worse than if nothing had been done")


def test_commands_keep_what_was_given_and_choose_anew() -> None:
    """Settings stay; rows, seeds and the folder are those of the new command; odd commands fall back to the file."""
    command = "python -m benchmark run a.yaml --rows base --seeds=0,1 --set 'x=1 2' --output out --replace"
    plan = PlanFile(experiment="a", primary="psnr", equivalence_margin=0.1, seeds=(0,), rows=(), command=command)
    assert run_command(plan, "--seeds", "2") == "python -m benchmark run a.yaml --set 'x=1 2' --output out --seeds 2"
    assert run_command(plan, keep_output=False) == "python -m benchmark run a.yaml --set 'x=1 2'"
    assert run_folder(plan) == "out"
    for odd in ("", "python -m benchmark search b.yaml", "python -m benchmark run 'open"):
        other = plan.model_copy(update={"command": odd})
        assert run_command(other) == "python -m benchmark run experiments/a.yaml" and run_folder(other) == "runs/a"


def test_settings_that_differ_from_base_are_listed_by_path(make_run: Run) -> None:
    """Changed, added and missing ones; equal ones are left out, and equal records have no table."""
    base = rows_of(make_run())["base"].attempts[0]
    base = base.model_copy(update={"config": {"model": {"head": {"name": "rgb", "pool": 16}}, "steps": 5}})
    row = base.model_copy(update={"config": {"model": {"head": {"name": "maps"}}, "steps": 5, "new": [1, 2]}})
    grid = settings_table(row, base)
    assert grid and [[cell.text for cell in line] for line in grid.lines] == [
        ["model.head.name", "rgb", "maps"], ["model.head.pool", "16", "–"], ["new", "–", "[1, 2]"],
    ]  # fmt: skip
    assert settings_table(base, base) is None


def test_markdown_has_the_cards_too(written: Path) -> None:
    """The static page answers the same questions, with the same commands."""
    text = (written / "report.md").read_text(encoding="utf-8")
    assert "**Best under your limits:** " in text and ", leads, not proven: 2 seeds, needs at least 3." in text
    assert "python -m benchmark export runs/quickstart/" in text and "**What to run next:** more seeds." in text
