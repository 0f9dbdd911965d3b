"""The page of `serve` in a real browser: drop, pick, compare, download; no barriers, nothing asked of the outside."""

import base64
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is missing: the page is not seen in a browser")
axe = pytest.importorskip("axe_playwright_python", reason="axe-core is missing: the page is not checked for barriers")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FIND_BARRIERS = "axe.run().then(found => found.violations.map(one => [one.id, one.nodes.map(node => node.html)]))"
DROP = """([text, name]) => {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, {type: "image/png"}));
    const options = {dataTransfer: data, bubbles: true, cancelable: true};
    document.getElementById("drop").dispatchEvent(new DragEvent("drop", options));
}"""


@pytest.fixture(scope="module")
def browser():
    """Chromium, as the system has it."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium): the page is not seen in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, port):
    """The page; what it asks of other addresses, and what it complains of, must be nothing at the end."""
    faults, address = [], f"http://127.0.0.1:{port}/"
    context = browser.new_context(viewport={"width": 400, "height": 900}, bypass_csp=True)
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.on("request", lambda request: request.url.startswith((address, "blob:")) or faults.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(address)
    page.get_by_label("heads.other").wait_for()
    yield page
    context.close()
    assert faults == []


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of 60 x 40 pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(pixels).resize((60, 40)).save(tmp_path / "a photo.png")
    return tmp_path / "a photo.png"


def test_a_photo_is_dropped_restored_by_two_rows_and_downloaded(page, photo: Path, tmp_path: Path) -> None:
    """Each row shows before and after with a slider, its time and its maps; the download is the restored file."""
    assert page.get_by_role("button", name="Restore").is_disabled()
    page.evaluate(DROP, [base64.b64encode(photo.read_bytes()).decode(), photo.name])
    page.get_by_label("heads.other").check()
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("Done. Nothing is kept on the server.").wait_for()
    assert page.get_by_role("heading", level=2).all_inner_texts() == ["base", "heads.other"]
    assert "60 × 40 pixels" in page.locator(".numbers").first.inner_text()
    after, slider = page.get_by_alt_text("after").first, page.get_by_label("Share of the picture shown as before").first
    slider.focus()
    page.keyboard.press("Home")
    assert after.evaluate("image => image.style.clipPath") == "inset(0px 0px 0px 0%)"
    assert after.evaluate("image => image.naturalWidth") == 60
    page.get_by_text("What the network predicts").first.click()
    assert page.get_by_alt_text("map mask").first.is_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").first.click()
    assert download.value.suggested_filename == "a photo_restored.png"
    download.value.save_as(tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as saved:
        assert saved.size == (60, 40)


def test_what_is_refused_is_said(page, tmp_path: Path) -> None:
    """A file that is no image; and no network picked."""
    (tmp_path / "text.png").write_text("no image")
    page.set_input_files("#file", tmp_path / "text.png")
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("not a readable image").wait_for()
    page.get_by_label("base", exact=True).uncheck()
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("Pick at least one network.").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(page, photo: Path, scheme: str) -> None:
    """With a result on the page, in light and dark, in a narrow window, which it does not overflow."""
    page.emulate_media(color_scheme=scheme)
    page.set_input_files("#file", photo)
    page.get_by_role("button", name="Restore").click()
    page.get_by_text("Done. Nothing is kept on the server.").wait_for()
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.evaluate((resources.files(axe) / "axe.min.js").read_text(encoding="utf-8"))
    assert page.evaluate(FIND_BARRIERS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
