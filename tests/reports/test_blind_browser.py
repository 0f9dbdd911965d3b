"""The page of a blind test in a real browser: keys, sides, repeats, a reload, the file of answers, no barriers."""

import json
from importlib import resources

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is missing: no report is seen in a browser")
axe = pytest.importorskip("axe_playwright_python", reason="axe-core is missing: no report is checked for barriers")

from reports.blind.answers import evaluate  # noqa: E402
from reports.blind.task import make_task  # noqa: E402
from reports.pages.blind_page import write_ranking, write_task  # noqa: E402
from reports.results.load import load  # noqa: E402

pytestmark = pytest.mark.slow

FIND_BARRIERS = "axe.run().then(found => found.violations.map(one => [one.id, one.nodes.map(node => node.html)]))"
ROWS = ("base", "heads.direct_rgb", "heads.residual")


@pytest.fixture
def run(make_run):
    return make_run()


def written(run, **options):
    task = make_task(load(run), ROWS, "salt", **options)
    return task, write_task(task, run)


def shown(page):
    """The ids of the two pictures in view."""
    return page.evaluate(
        """() => ["left", "right"].map(side => {
            const uri = document.querySelector(`img[data-side="${side}"]`).src;
            return Object.entries(data.pictures).find(entry => entry[1] === uri)[0];
        })"""
    )


def saved(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Save answers").click()
    return download.value.suggested_filename, json.loads(download.value.path().read_text())


def test_a_person_answers_by_keys_and_saves_a_file(opened, run, tmp_path):
    """Each key is noted with the pictures that were in view; repeats exchange the sides; the file can be ranked."""
    task, path = written(run, pairs=5, repeats=2)
    page = opened(path)
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Start").click()
    keys = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowDown": "tie"}
    expected = []
    for place in range(7):
        key = list(keys)[place % 3]
        expected.append((*shown(page), keys[key]))
        page.keyboard.press(key)
    assert page.get_by_text("Done, thank you").is_visible()
    name, content = saved(page)
    assert name.startswith(f"answers_{task.key.test}_") and content["person"] == "Ada"
    assert [(answer["left"], answer["right"], answer["choice"]) for answer in content["answers"]] == expected
    pairs = [answer[:2] for answer in expected]
    assert all((right, left) in pairs[:5] for left, right in pairs[5:]) and len({*map(frozenset, pairs[:5])}) == 5
    file = tmp_path / name
    file.write_text(json.dumps(content))
    assert evaluate(load(run), [file]).choices == 7


def test_order_and_sides_differ_between_people(opened, run):
    """Of eight visitors not all see the same first pair, and no picture is always on the same side."""
    _, path = written(run)
    first, sides = set(), {}
    for _ in range(8):
        page = opened(path)
        page.get_by_role("button", name="Start").click()
        for _ in range(12):
            left, right = shown(page)
            first.add((left, right))
            sides.setdefault(frozenset((left, right)), set()).add(left)
            page.keyboard.press("ArrowDown")
    assert len(first) > 1
    assert sum(len(of_pair) == 2 for of_pair in sides.values()) > len(sides) / 2


def test_a_reload_goes_on_and_backspace_goes_back(opened, run):
    """After a reload the same pair is in view; Backspace takes the last answer back; early answers can be saved."""
    _, path = written(run)
    page = opened(path)
    page.get_by_role("button", name="Start").click()
    page.keyboard.press("ArrowLeft")
    second = shown(page)
    page.get_by_role("button", name="B is better").click()
    page.keyboard.press("Backspace")
    assert shown(page) == second
    page.reload()
    assert shown(page) == second and page.get_by_text("Pair 2 of").is_visible()
    _, content = saved(page)
    assert len(content["answers"]) == 1


def test_another_person_starts_anew(opened, run):
    """After a question whether the answers are saved; the next session has a name of its own."""
    _, path = written(run)
    page = opened(path)
    page.get_by_role("button", name="Start").click()
    page.keyboard.press("ArrowLeft")
    _, content = saved(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Another person").click()
    page.get_by_role("button", name="Start").click()
    _, other = saved(page)
    assert other["answers"] == [] and other["session"] != content["session"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_barrier_and_pictures_are_exact(opened, run, width, scheme):
    """At the start, during the test with a reference, and at the end; nothing runs out of the window."""
    _, path = written(run, pairs=1, repeats=0, reference="degraded")
    page = opened(path, width, scheme, bypass_csp=True)
    page.evaluate((resources.files(axe) / "axe.min.js").read_text(encoding="utf-8"))
    assert page.evaluate(FIND_BARRIERS) == []
    page.get_by_role("button", name="Start").click()
    assert page.get_by_alt_text("The picture before restoration").is_visible()
    assert page.evaluate(FIND_BARRIERS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('img[data-side=left]').naturalWidth") == 96
    page.get_by_role("button", name="No difference").click()
    assert page.evaluate(FIND_BARRIERS) == []


def test_the_report_shows_the_ranking(opened, run, tmp_path):
    """The page of the run has the section, and says that a program answered."""
    from reports import write

    task, _ = written(run)
    answers = [{"left": a, "right": b, "choice": "tie", "seconds": 1.0} for a, b in task.data["pairs"]]
    file = tmp_path / "answers.json"
    content = {"schema": 2, "test": task.key.test, "session": "s", "simulated": True, "answers": answers}
    file.write_text(json.dumps(content))
    write_ranking(evaluate(load(run), [file]), run)
    page = opened(write(run).page)
    section = page.locator("section", has=page.locator("#blind"))
    assert "programs" in section.inner_text() and section.locator("tbody tr").count() == 3
    assert (run / "report/tables/blind_test.csv").is_file()
