"""The page in a real browser: no barriers, no requests, no overflow; sorting, links and sliders by keyboard."""

import re
from importlib import resources

import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: no report is seen in a browser")
axe = pytest.importorskip("axe_playwright_python", reason="axe-core is missing: no report is checked for barriers")

pytestmark = pytest.mark.slow

WIDE, NARROW = 1280, 360
FIND_BARRIERS = "axe.run().then(found => found.violations.map(one => [one.id, one.nodes.map(node => node.html)]))"


def names(page):
    return page.locator("table", has=page.locator("#ranking-caption")).locator("tbody").first.locator("th[scope=row]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("report", ["written", "hostile"])
def test_axe_finds_no_barrier(request, opened, report, width, scheme):
    """In light and dark, wide and narrow, with all that can be folded out; nor does the page overflow."""
    # The script that looks for barriers is not ours, so the page's policy forbids it unless it is lifted.
    page = opened(request.getfixturevalue(report) / "index.html", width, scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.evaluate((resources.files(axe) / "axe.min.js").read_text(encoding="utf-8"))
    assert page.evaluate(FIND_BARRIERS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_search_for_barriers_finds_one(opened, tmp_path):
    """An image without text is found: an empty answer elsewhere means something."""
    path = tmp_path / "barrier.html"
    path.write_text("<!doctype html><html lang=en><title>t</title><main><h1>t</h1><img src=data:,></main></html>")
    page = opened(path)
    page.evaluate((resources.files(axe) / "axe.min.js").read_text(encoding="utf-8"))
    assert "image-alt" in [name for name, _ in page.evaluate(FIND_BARRIERS)]


def test_the_policy_stops_what_somebody_might_sneak_in(browser, written):
    """An image of a server is refused."""
    page = browser.new_page()
    page.goto((written / "index.html").as_uri())
    refused = page.evaluate(
        """() => new Promise(resolve => {
            document.addEventListener("securitypolicyviolation", event =>
                resolve([event.effectiveDirective, event.disposition]));
            document.body.append(Object.assign(new Image(), {src: "http://127.0.0.1:9/x.png"}));
        })"""
    )
    page.close()
    assert refused == ["img-src", "enforce"]


def test_the_ranking_fits_a_wide_screen(opened, written):
    """At 1280 px it does not scroll sideways."""
    page = opened(written / "index.html")
    assert page.evaluate("(one => one.scrollWidth - one.clientWidth)(document.querySelector('.scroll'))") <= 0


def test_columns_sort_by_keyboard_and_say_so(opened, written):
    """Enter sorts up, Enter again down; rows set apart stay below."""
    page = opened(written / "index.html")
    before = names(page).all_inner_texts()
    head = page.get_by_role("columnheader", name=re.compile(r"^PSNR\s+dB")).first
    head.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert names(page).all_inner_texts() == before[::-1] != before
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page).all_inner_texts() == before


def test_points_lead_to_their_rows(opened, written):
    """Every point is a link that tells its numbers; Enter goes to the row it names."""
    page = opened(written / "index.html")
    points = page.locator(".pareto a")
    assert points.count() == 3
    for place in range(3):
        point = points.nth(place)
        point.focus()
        page.keyboard.press("Enter")
        row = page.locator("tr:target")
        assert point.get_attribute("aria-label").startswith(row.locator("th").inner_text() + ":")
        assert row.is_visible()


def test_gates_tell_their_reason_by_keyboard(opened, written):
    """A sign names gate and result; Enter shows the reason, Escape hides it."""
    page = opened(written / "index.html")
    sign = page.get_by_role("button", name="gate latency: not measured").first
    reason = page.locator(f"id={sign.get_attribute('popovertarget')}")
    assert not reason.is_visible()
    sign.focus()
    page.keyboard.press("Enter")
    assert reason.is_visible() and "no V100 here" in reason.inner_text()
    page.keyboard.press("Escape")
    assert not reason.is_visible()


def test_images_are_laid_over_each_other_by_keyboard(opened, written):
    """Arrows move the divide, the choice changes the versions, zoom enlarges them and can be scrolled."""
    page = opened(written / "index.html")
    figure = page.locator("[data-compare]").first
    left = figure.locator(".layers .left")
    clip = "one => getComputedStyle(one).clipPath"
    before = left.evaluate(clip)
    figure.get_by_role("slider", name="how much of the left").focus()
    page.keyboard.press("Home")
    assert left.evaluate(clip) != before
    assert "100%" in left.evaluate(clip)
    figure.get_by_label("version on the left").select_option(label="target")
    assert figure.locator(".layers .left").get_attribute("alt").endswith(", target")
    assert figure.locator(".layers img:visible").count() == 2
    stage = figure.locator(".stage")
    shown = stage.evaluate("one => one.scrollWidth")
    figure.get_by_role("slider", name="zoom").focus()
    page.keyboard.press("End")
    assert stage.evaluate("one => one.scrollWidth") == pytest.approx(8 * shown, rel=0.05)
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDE


def test_the_page_reads_without_script(opened, written):
    """Controls that would do nothing are hidden; ranking and images stand."""
    page = opened(written / "index.html", java_script_enabled=False)
    assert names(page).count() == 3
    assert page.locator(".controls:visible").count() == 0
    assert page.locator("[data-compare]").first.locator(".layers img:visible").count() == 2


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_loss_figures_are_dark_on_a_dark_page(opened, written, tmp_path, scheme, is_dark):
    """The paper of the figure is that of its frame on the page."""
    page = opened(written / "index.html", scheme=scheme)
    figure = page.locator("details[open] figure.drawing .panels").first
    figure.screenshot(path=tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        corner = image.convert("L").getpixel((3, 3))
    assert (corner < 60) == is_dark and (corner > 200) == (not is_dark)
