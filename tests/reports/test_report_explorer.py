"""Looking around in a report, in a real browser: filter, view in the address, brush, downloads, drawer, comparer."""

import csv
import io
import json
from importlib import resources
from statistics import fmean

import pytest
from PIL import Image

from reports import write

pytest.importorskip("playwright.sync_api", reason="playwright is missing: no report is seen in a browser")
axe = pytest.importorskip("axe_playwright_python", reason="axe-core is missing: no report is checked for barriers")

pytestmark = pytest.mark.slow

FIND_BARRIERS = "axe.run().then(found => found.violations.map(one => [one.id, one.nodes.map(node => node.html)]))"
SHOWN_ROWS = "() => [...document.querySelectorAll('.explored tbody tr')].filter(r => !r.hidden).map(r => r.id)"
SHOWN_COLUMNS = (
    "() => [...document.querySelectorAll('.explored thead th')].filter(h => !h.hidden).map(h => h.dataset.key)"
)


def in_view(page):
    return {
        "rows": page.evaluate(SHOWN_ROWS),
        "columns": page.evaluate(SHOWN_COLUMNS),
        "up": page.locator("[data-y]").input_value(),
        "away": page.locator(".pareto a.away").count(),
    }


def test_names_filter_table_and_plot(opened, written):
    """A part of a name, and a table of the experiment, keep their rows; the others are faint in the plot."""
    page = opened(written / "index.html")
    page.get_by_label("Filter").fill("direct")
    assert page.evaluate(SHOWN_ROWS) == ["row-heads.direct_rgb"]
    assert page.locator(".pareto a.away").count() == 2
    assert page.locator("[data-count]").inner_text().startswith("1 of 3 rows")
    page.get_by_role("button", name="Reset").click()
    page.locator("select[data-table]").select_option("heads")
    assert set(page.evaluate(SHOWN_ROWS)) == {"row-heads.direct_rgb", "row-heads.residual", "row-identity"}


def test_only_rows_that_pass_keep_the_limits(opened, make_run, edit):
    """A row that fails a gate goes; baselines stay."""
    run = make_run()
    for seed in (0, 1):
        path = run / "heads.residual" / f"seed{seed}" / "record.json"
        gates = json.loads(path.read_text())["gates"]
        edit(path, gates=[{**gates[0], "measured": 12_000_000, "result": "failed"}, *gates[1:]])
    page = opened(write(run).page)
    page.get_by_label("only rows that pass").check()
    assert set(page.evaluate(SHOWN_ROWS)) == {"row-base", "row-heads.direct_rgb", "row-identity"}


def test_a_view_is_in_its_address(opened, written):
    """Filter, sort, columns and axis: the copied address, opened anew, shows the same."""
    page = opened(written / "index.html")
    page.get_by_label("Filter").fill("heads")
    page.get_by_role("columnheader", name="harm").get_by_role("button").click()
    page.locator(".chooser summary").click()
    page.get_by_label("params").check()
    page.get_by_label("MACs, G", exact=True).uncheck()
    page.locator("[data-y]").select_option("harm")
    before = in_view(page)
    assert "params" in before["columns"] and "macs" not in before["columns"] and before["up"] == "harm"
    page.get_by_role("button", name="Copy link").click()
    address = page.locator("[data-output]").input_value()
    assert address == page.url and "#view?" in address
    other = opened(written / "index.html")
    assert in_view(other) != before
    other.goto("about:blank")
    other.goto(address)
    assert in_view(other) == before
    other.get_by_role("button", name="Reset").click()
    assert "#" not in other.url and len(other.evaluate(SHOWN_ROWS)) == 4


def test_a_box_in_the_plot_filters_the_table(opened, written):
    """A box around one marker keeps its row; the link keeps the box; the button clears it."""
    page = opened(written / "index.html")
    page.locator(".plane").scroll_into_view_if_needed()
    marker = page.locator('.pareto a[href="#row-heads.direct_rgb"] circle')
    box = marker.bounding_box()
    page.mouse.move(box["x"] - 6, box["y"] - 6)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 6, box["y"] + box["height"] + 6, steps=4)
    page.mouse.up()
    assert page.evaluate(SHOWN_ROWS) == ["row-heads.direct_rgb", "row-identity"]
    address = page.url
    page.get_by_role("button", name="Clear the box").click()
    assert len(page.evaluate(SHOWN_ROWS)) == 4
    page.goto("about:blank")
    page.goto(address)
    assert page.evaluate(SHOWN_ROWS) == ["row-heads.direct_rgb", "row-identity"]


def test_a_slider_limits_table_and_plot_by_keyboard(opened, written):
    """The smallest file alone is left at the left end; at the right end all rows are back."""
    page = opened(written / "index.html")
    slider = page.get_by_label("file at most")
    slider.focus()
    page.keyboard.press("Home")
    kept = [row for row in page.evaluate(SHOWN_ROWS) if row != "row-identity"]
    assert kept == ["row-heads.residual"] and page.locator(".pareto a.away").count() == 2
    page.keyboard.press("End")
    assert len(page.evaluate(SHOWN_ROWS)) == 4 and "#" not in page.url


def test_downloads_hold_the_numbers_of_the_records(opened, written):
    """CSV and JSON have the rows in view, unrounded, as in the records and in the table's file."""
    page = opened(written / "index.html")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    text = download.value.path().read_text(encoding="utf-8")
    lines = {line["row"]: line for line in csv.DictReader(io.StringIO(text))}
    assert len(lines) == 4
    for row in ("base", "heads.direct_rgb"):
        records = [json.loads((written.parent / row / f"seed{seed}/record.json").read_text()) for seed in (0, 1)]
        for name in ("psnr", "harm", "score"):
            expected = fmean(record["scores"]["test"][name]["mean"] for record in records)
            assert float(lines[row][name]) == pytest.approx(expected, rel=1e-12)
    with (written / "tables" / "ranking.csv").open(newline="") as file:
        assert [set(line) for line in csv.DictReader(file)] == [set(line) for line in lines.values()]
    page.get_by_label("Filter").fill("residual")
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    (line,) = json.loads(download.value.path().read_text(encoding="utf-8"))
    assert line["row"] == "heads.residual" and line["psnr"] == float(lines["heads.residual"]["psnr"])


def test_the_table_is_copied_as_it_is_shown(opened, written):
    """Markdown and LaTeX have the columns and rows in view; special letters are escaped."""
    page = opened(written / "index.html")
    page.get_by_label("Filter").fill("direct")
    page.get_by_role("button", name="Copy Markdown").click()
    head, rule, line = page.locator("[data-output]").input_value().splitlines()
    assert head.count("|") == rule.count("|") == line.count("|") and r"heads.direct\_rgb" in line
    page.get_by_role("button", name="Copy LaTeX").click()
    latex = page.locator("[data-output]").input_value()
    assert r"\toprule" in latex and r"heads.direct\_rgb & " in latex


def test_a_row_opens_its_drawer_by_keyboard(opened, written):
    """Settings, seeds, limits and the command that repeats it; Escape closes, the address names the row."""
    page = opened(written / "index.html", bypass_csp=True)
    page.get_by_role("link", name="heads.direct_rgb", exact=True).focus()
    page.keyboard.press("Enter")
    drawer = page.locator("[data-drawer]")
    text = drawer.inner_text()
    assert drawer.get_by_role("heading", name="heads.direct_rgb").is_visible()
    assert "seed 1" in text and "no V100 here" in text and "--rows heads.direct_rgb" in text
    page.evaluate((resources.files(axe) / "axe.min.js").read_text(encoding="utf-8"))
    assert page.evaluate(FIND_BARRIERS) == []
    address = page.url
    page.keyboard.press("Escape")
    assert not drawer.is_visible() and "#" not in page.url
    page.goto("about:blank")
    page.goto(address)
    assert drawer.get_by_role("heading", name="heads.direct_rgb").is_visible()
    drawer.get_by_role("button", name="Compare images").click()
    assert page.locator("[data-pane]:visible").count() == 4


def test_the_comparer_shows_every_image_and_its_pixels(opened, written):
    """Keys go on to other images; the loupe has the values of the file; zoom is that of all versions."""
    page = opened(written / "index.html")
    comparer = page.locator("[data-comparer]")
    status = comparer.locator("[data-status]")
    comparer.locator("[data-stage]").focus()
    seen = set()
    for _ in range(4):
        comparer.locator("[data-status]", has_text=" of 4.").wait_for()
        seen.add(status.inner_text().split(",")[0])
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(150)
    assert seen == {"a", "b", "c", "d"}
    comparer.locator("select[data-image]").select_option("a")
    page.wait_for_timeout(150)
    canvas = comparer.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 1)
    with Image.open(written.parent / "pairs/degraded/a.png") as image:
        red, green, blue = image.convert("RGB").getpixel((0, 0))
    assert f"degraded (0, 0): {red} {green} {blue}" in comparer.locator("[data-loupe]").inner_text()
    before = [pane.screenshot() for pane in comparer.locator("canvas:visible").all()]
    comparer.locator("[data-stage]").focus()
    page.keyboard.press("+")
    after = [pane.screenshot() for pane in comparer.locator("canvas:visible").all()]
    assert len(after) == 3 and not set(before) & set(after)


def test_a_bar_opens_its_image(opened, written):
    """The bars stand in the order of the gains; the last one is the image with the largest."""
    page = opened(written / "index.html")
    bars = page.locator(".bars g")
    assert bars.count() == 4
    bars.last.click()
    with (written / "tables" / "images.csv").open(newline="") as file:
        best = max(csv.DictReader(file), key=lambda line: float(line["gain"]))
    page.locator("[data-comparer] [data-status]", has_text=f"{best['image']}, ").wait_for()
    assert f"image={best['image']}" in page.url


def test_images_beyond_the_page_come_from_the_run_folder(opened, written):
    """A version that the page does not hold is drawn from the file beside it, and the page says what it lacks."""
    page = opened(written / "index.html")
    page.evaluate("document.querySelectorAll('.layers img').forEach(image => image.removeAttribute('data-version'))")
    comparer = page.locator("[data-comparer]")
    comparer.locator("select[data-image]").select_option("b")
    comparer.locator("[data-status]", has_text="run folder").wait_for()
    assert "Not beside this page" not in comparer.locator("[data-status]").inner_text()


def test_hostile_names_stay_text_in_drawer_and_downloads(opened, hostile):
    """A name that tries to be HTML is text in plot, drawer and address; one that tries to be a formula is quoted."""
    page = opened(hostile / "index.html")
    page.get_by_role("link", name="=1+1|`x` $x_1$ 漢字 \ufffd", exact=True).click()
    assert page.locator("[data-drawer] h2").inner_text().startswith("=1+1|`x`")
    page.keyboard.press("Escape")
    page.get_by_label("Filter").fill("<img")
    assert len(page.evaluate(SHOWN_ROWS)) == 1 and page.locator("img[src=x]").count() == 0
    page.reload()
    assert len(page.evaluate(SHOWN_ROWS)) == 1
    page.get_by_role("button", name="Reset").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    assert "\n1,'=1+1|" in download.value.path().read_text(encoding="utf-8").replace("\n2,", "\n1,")


def test_words_have_their_meaning_by_keyboard(opened, written):
    """A word of the glossary shows its meaning when it has the focus, and hides it on Escape."""
    page = opened(written / "index.html")
    word = page.locator("section .term").first
    word.focus()
    tip = page.locator("#meaning")
    assert tip.is_visible() and len(tip.inner_text()) > 20
    page.keyboard.press("Escape")
    assert not tip.is_visible()
