"""Figures and examples."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reports import write
from reports.figures import pictures
from reports.figures.examples import BUDGET_BYTES, choose_images, examples
from reports.figures.loss_curves import thinned
from reports.figures.pareto_plot import named_points, pareto_plot, points
from reports.metrics import metric
from reports.results.load import load
from reports.results.summary import summaries

PSNR = metric("psnr")


def examples_of(run):
    results = load(run)
    return examples(summaries(results), results, metric("psnr"))


@given(st.integers(1, 300), st.integers(1, 150))
def test_thinning_keeps_the_mean_and_the_order(length, most):
    """A curve is never longer than asked, ascends in steps and loses no level."""
    rng = np.random.default_rng(length)
    values = rng.normal(0, 1, length)
    curve = np.column_stack([rng.permutation(length) + 1.0, values])
    steps, means = thinned(curve, most)
    assert len(steps) == len(means) == min(length, most)
    assert steps == sorted(steps)
    if length <= most or length % most == 0:
        assert np.mean(means) == pytest.approx(values.mean(), abs=1e-9)


@given(st.integers(3, 60), st.integers(3, 60), st.integers(1, 50), st.data())
def test_the_window_holds_the_strongest_spot_and_stays_inside(height, width, side, data):
    """Wherever the one bright pixel lies."""
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    error = np.zeros((height, width))
    error[y, x] = 1.0
    top, left, bottom, right = pictures.strongest_window(error, side)
    assert 0 <= top <= y < bottom <= height and 0 <= left <= x < right <= width
    assert (bottom - top, right - left) == (min(side, height), min(side, width))


def test_errors_grow_lighter():
    """The colour scale ascends in lightness, so it reads without colour, and ends at the highest error."""
    scale = pictures.coloured(np.linspace(0, 20, 50)[None], 10.0).astype(float)[0]
    lightness = scale @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) >= 0).all() and lightness[0] < 5 < 200 < lightness[24]
    assert (scale[25:] == scale[-1]).all()


def test_examples_are_the_worst_the_middle_and_the_best_images():
    """By the direction of the metric, each image once, few images without repetition."""
    values = {f"i{place}": float(place) for place in range(9)}
    assert [why for why, _ in choose_images(values, metric("psnr"))] == [
        "worst", "second worst", "median", "beside the median", "second best", "best",
    ]  # fmt: skip
    assert choose_images(values, metric("psnr"))[0] == ("worst", "i0")
    assert choose_images(values, metric("harm"))[0] == ("worst", "i8")
    assert choose_images({"only": 1.0}, metric("psnr")) == [("worst", "only")]
    assert choose_images({}, metric("psnr")) == []
    assert len({image for _, image in choose_images({"a": 1.0, "b": 2.0, "c": 3.0}, metric("psnr"))}) == 3


def test_examples_show_base_and_the_best_other_rows(make_run):
    """From degraded to target, with the scores of base, and within the budget."""
    found = examples_of(make_run(offsets={"heads.residual": 3.0}, images=("a", "sub folder/ü", "c", "d")))
    labels = [column.label for column in found.shown[0].columns]
    assert labels == ["degraded", "base", "heads.residual", "heads.direct_rgb", "target"]
    assert found.notes == () and len(found.shown) == 4
    assert all(uri.startswith("data:image/webp;base64,") for uri in (found.shown[0].columns[0].whole,))
    assert sum(len(c.whole) + len(c.detail) + len(c.error) for e in found.shown for c in e.columns) < BUDGET_BYTES


def test_images_that_are_missing_broken_or_of_another_size_are_left_out_with_the_reason(make_run):
    """The other examples are still shown."""
    run = make_run(images=("a", "b", "c", "d"))
    (run / "pairs" / "target" / "a.png").unlink()
    (run / "base" / "seed0" / "images" / "b.png").write_bytes(b"no image")
    Image.new("RGB", (10, 10)).save(run / "base" / "seed0" / "images" / "c.png")
    found = examples_of(run)
    assert [example.image for example in found.shown] == ["d"]
    notes = " ".join(found.notes)
    assert "pairs/target/a.png" in notes and "b (" in notes and "differ in size" in notes
    assert str(run) not in notes


def test_image_names_cannot_lead_out_of_the_run(make_run):
    """A scores.csv of somebody else does not put other pictures of this machine into the page."""
    run = make_run(images=("a", "b"))
    secret = run.parent / "secret.png"
    Image.new("RGB", (96, 72), "red").save(secret)
    for path in run.glob("**/scores.csv"):
        path.write_text(path.read_text().replace(",a,", ",../../../../secret,"))
    found = examples_of(run)
    assert [example.image for example in found.shown] == ["b"]
    assert "leads out of the run folder" in found.notes[0]


def test_figures_are_sound_svg_with_text_and_without_dates(hostile):
    """Names of any kind are text in the figure, not mathematics, and control characters break nothing."""
    drawn = {path.name: ElementTree.parse(path).getroot() for path in (hostile / "figures").glob("*.svg")}
    assert {"quality_latency.svg", "differences__b_heads.svg", "stage_gains.svg", "loss_base.svg"} <= set(drawn)
    words = "".join(drawn["quality_latency.svg"].itertext())
    assert "heads.<img src=x>" in words and "=1+1|`x` $x_1$ 漢字 \N{REPLACEMENT CHARACTER}" in words
    assert not re.search(r"\d{4}-\d\d-\d\dT", (hostile / "figures" / "quality_latency.svg").read_text())


def test_labels_of_points_in_one_place_do_not_cover_each_other(make_run):
    """Six rows with nearly equal numbers are still readable."""
    rows = {"base": None} | {f"heads.number_{place}": "heads" for place in range(5)}
    summary = summaries(load(make_run(rows=rows, seeds=(0,), images=("a",), size=(28, 28))))
    trained = [row for row in summary.values() if not row.is_baseline]
    near = [
        replace(point, latency_ms=20 + 0.1 * place, quality=30.0) for place, point in enumerate(points(trained, PSNR))
    ]
    labels = [marker.label for marker in pareto_plot(near, trained, [], PSNR).markers]
    boxes = [
        (label.x - {"start": 0, "middle": 0.5, "end": 1}[label.anchor] * 6 * len(label.text), label.y)
        for label in labels
    ]
    widths = [6 * len(label.text) for label in labels]
    overlaps = [
        abs(one[1] - other[1]) < 11 and one[0] < other[0] + other_width and other[0] < one[0] + width
        for place, (one, width) in enumerate(zip(boxes, widths, strict=True))
        for other, other_width in list(zip(boxes, widths, strict=True))[place + 1 :]
    ]
    assert len(overlaps) == 15 and not any(overlaps)


def test_without_a_measured_latency_the_page_says_why_the_figure_is_missing(make_run, edit):
    """No empty axes."""
    run = make_run(rows={"base": None}, seeds=(0,))
    edit(run / "base" / "seed0" / "record.json", gates=[])
    page = write(run).page
    assert "No latency was measured on this machine" in page.read_text()
    assert not (page.parent / "figures" / "quality_latency.svg").exists()


def test_of_many_rows_only_those_on_the_front_are_named(make_run):
    """Few points all carry their name; of many, base and those that no other beats in quality and latency."""
    psnr = metric("psnr")
    found = points(list(summaries(load(make_run())).values()), psnr)
    assert named_points(found, psnr) == found
    rival = next(point for point in found if point.row.row != "base")
    beaten = [replace(rival, latency_ms=1e4 + place, quality=-place) for place in range(12)]
    best = replace(rival, latency_ms=1e5, quality=99.0)
    named = named_points([*found, *beaten, best], psnr)
    assert best in named and any(point.row.row == "base" for point in named)
    assert not any(point in named for point in beaten)
