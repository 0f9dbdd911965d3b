"""What a row is under each preset of limits, as a column to choose; names in tables break between words only."""

import pytest

from reports import write
from reports.pages.explored_ranking import explored_ranking
from reports.results.load import load
from reports.results.summary import summaries
from reports.statistics.ranks import order_of

LONG = "heads.restormer_lite_with_supervised_maps_and_a_long_name"
BROKEN_WORDS = """table => [...document.querySelectorAll(`${table} tbody th`)].flatMap(cell => {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    const broken = [];
    while (walker.nextNode()) {
        const node = walker.currentNode;
        for (const { 0: word, index } of node.data.matchAll(/[^\\s._/]+/g)) {
            const range = document.createRange();
            range.setStart(node, index);
            range.setEnd(node, index + word.length);
            const tops = new Set([...range.getClientRects()].map(rect => Math.round(rect.top)));
            if (tops.size > 1) broken.push(word);
        }
    }
    return broken;
})"""


def gate(name, measured, limit, result, unit="", **protocol):
    return {
        "name": name, "quantity": name, "limit": limit, "measured": measured, "unit": unit, "result": result,
        "protocol": protocol,
    }  # fmt: skip


@pytest.fixture
def run(make_run, edit):
    """A run whose rows were counted under two presets; one row fails one limit, one has no counts at all."""
    run = make_run()
    for row, params in (("base", 200_000), ("heads.direct_rgb", 900_000)):
        for seed in (0, 1):
            path = run / row / f"seed{seed}/record.json"
            model = edit(path)["model"]
            result = "passed" if params <= 276_000 else "failed"
            presets = {
                "efficient_sr": [
                    gate("parameters", params, 276_000, result),
                    gate("macs", 1e9, 16.7e9, "passed", image=[256, 256]),
                ],
                "mobile": [gate("size", 1e6, 4e6, "passed", "bytes", dtype="float16")],
            }
            edit(path, model=model | {"presets": presets})
    return run


def columns_of(run):
    """Key of a column -> row -> cell, and the columns by key."""
    results = load(run)
    rows, primary = summaries(results), results.metric("psnr")
    grid = explored_ranking(rows, results, primary, (), (), order_of(results, rows, primary))
    keys = [column.key for column in grid.columns]
    lines = (*grid.lines, *grid.footer_rows)
    by_key = {key: {line[1].value: line[place] for line in lines} for place, key in enumerate(keys)}
    return by_key, {column.key: column for column in grid.columns}


def test_each_preset_is_a_column_to_choose(run):
    """A passed row has a tick, a failing one names the limit; reasons have the amounts; others are not counted."""
    cells, columns = columns_of(run)
    named = cells["preset_efficient_sr"]
    assert {row: cell.text for row, cell in named.items()} == {
        "base": "✓", "heads.direct_rgb": "✗ parameters", "heads.residual": "–", "identity": "–"
    }  # fmt: skip
    assert named["heads.direct_rgb"].value == "failed"
    assert "parameters: 900,000 of at most 276,000" in named["heads.direct_rgb"].hint
    assert cells["preset_mobile"]["base"].value == "passed"
    assert all(columns[key].optional for key in ("preset_efficient_sr", "preset_mobile"))


def test_records_without_counts_have_no_such_column(make_run):
    """Records of an earlier version: nothing is promised that they lack."""
    assert not [key for key in columns_of(make_run())[1] if key.startswith("preset_")]


@pytest.mark.slow
def test_a_preset_is_chosen_in_the_browser(opened, run):
    """The column comes with a check, and goes into the address."""
    page = opened(write(run).page)
    page.locator(".chooser summary").click()
    page.get_by_label("limits efficient sr").check()
    assert page.locator("#row-heads\\.direct_rgb td:visible", has_text="✗ parameters").count() == 1
    assert "preset_efficient_sr" in page.url


@pytest.mark.slow
@pytest.mark.parametrize("width", [1440, 768, 390])
def test_no_name_breaks_inside_a_word(opened, make_run, edit, width):
    """Long names of rows and claims go on in the next line after a full stop or an underscore."""
    run = make_run(rows={"base": None, LONG: "heads"})
    claim = {"id": "a_supervised_head_needs_fewer_steps", "text": "It is better.", "better": LONG, "worse": "base"}
    edit(run / "plan.json", claims=[claim])
    page = opened(write(run).page, width)
    for table in (".table-ranking", ".table-claims", '[class*="table-differences"]'):
        assert page.locator(f"{table} tbody th").count(), table
        assert page.evaluate(BROKEN_WORDS, table) == [], table
