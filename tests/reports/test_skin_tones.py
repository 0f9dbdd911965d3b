"""Results by skin tone, where the test set tells it."""

import json

import pytest
from scipy import stats

from reports import write
from reports.metrics import metric
from reports.results.load import load
from reports.results.summary import summaries
from reports.tables.skin_tones import group_of, grouped, skin_tone_table, welch_gap

IMAGES = tuple("abcdefgh")
ANGLES = dict(zip(IMAGES, (60, 45, 42, 30, 15, -5, -20, -50), strict=True))


@pytest.fixture
def run_with_tones(make_run):
    """A run whose records tell the skin tone of each test image."""

    def make(angles):
        run = make_run(images=IMAGES, size=(26, 26))
        for file in run.glob("**/record.json"):
            file.write_text(json.dumps(json.loads(file.read_text()) | {"skin_tones": angles}))
        return run

    return make


@pytest.mark.parametrize(
    ("angle", "group"),
    [(58, "light"), (41, "intermediate"), (28.1, "intermediate"), (28, "tan"), (10, "dark"), (-70, "dark")],
)
def test_groups_have_the_usual_bounds(angle, group):
    """A bound belongs to the darker group, as in the published classes."""
    assert group_of(angle) == group


def test_the_table_has_the_means_of_each_group_and_the_difference_of_gains(run_with_tones):
    """Values by hand from the scores; the interval is that of Welch's test."""
    results = load(run_with_tones(ANGLES))
    grid = skin_tone_table(list(summaries(results).values()), results, metric("psnr"))
    assert [column.label for column in grid.columns[1:5]] == ["light", "intermediate", "tan", "dark"]
    scores = results.scores[results.scores["metric"] == "psnr"]
    of_base = scores[scores["row"] == "base"].groupby("image")["value"].mean()
    untouched = scores[scores["row"] == "identity"].set_index("image")["value"]
    line = next(line for line in grid.lines if line[0].value == "base")
    assert line[1].value == pytest.approx(of_base[["a", "b", "c"]].mean())
    gains = of_base - untouched
    dark, light = gains[["f", "g", "h"]], gains[["a", "b", "c"]]
    interval = stats.ttest_ind(dark, light, equal_var=False).confidence_interval(0.95)
    gap = welch_gap(list(dark), list(light))
    assert (gap.low, gap.high) == pytest.approx((interval.low, interval.high))
    assert line[-1].value == pytest.approx(dark.mean() - light.mean())
    assert "[" in line[-1].text


def test_there_is_no_table_without_two_groups(run_with_tones, make_run):
    """Nor where the records tell no tone, as for folders of pairs."""
    one_group = load(run_with_tones(dict.fromkeys(IMAGES, 50.0)))
    untold = load(make_run("other", images=IMAGES, size=(26, 26)))
    for results in (one_group, untold):
        assert skin_tone_table(list(summaries(results).values()), results, metric("psnr")) is None
    assert grouped({"a": 50.0, "b": 60.0}) == {"light": ["a", "b"]}


def test_few_or_equal_images_give_no_interval():
    """One image in a group, or no spread at all: no numbers are made up."""
    assert welch_gap([1.0], [1.0, 2.0]) is None
    assert welch_gap([1.0, 1.0], [2.0, 2.0]) is None
    assert welch_gap([1.0, 2.0], [2.0, 4.0]).difference == pytest.approx(-1.5)


def test_the_report_shows_it(run_with_tones):
    """With the bounds of the groups and how many images each has."""
    text = (write(run_with_tones(ANGLES)).page.parent / "report.md").read_text()
    assert "By skin tone" in text and "3 light, 1 intermediate, 1 tan and 3 dark" in text
    assert "gain, dark − light" in text
