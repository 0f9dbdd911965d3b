"""Severity, image by image, the damage of the data, examples beyond the budget, points of the front."""

import csv
import re
from dataclasses import replace
from itertools import pairwise
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from reports import write
from reports.figures.examples import examples
from reports.figures.image_gains import image_differences, mean_gains
from reports.figures.pareto_plot import HEIGHT, WIDTH, pareto_plot, points
from reports.metrics import metric
from reports.pages.publish import publish
from reports.results.load import load
from reports.results.summary import ranked, summaries
from reports.tables.test_images import damaged_shares, degradation_table, severity_table, thirds

PSNR = metric("psnr")
MANY = tuple(f"i{place}" for place in range(9))


def read(run):
    results = load(run)
    return results, summaries(results)


@given(st.dictionaries(st.text(min_size=1), st.floats(20, 60), min_size=6, max_size=50))
def test_thirds_share_out_every_image_once_from_mild_to_severe(untouched):
    """Parts differ by at most one image; no image of a part is more damaged than one of the next."""
    assume(len(set(untouched.values())) > 1)
    parts = thirds(untouched)
    assert sorted(image for part in parts for image in part) == sorted(untouched)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for milder, worse in pairwise(parts):
        assert min(untouched[image] for image in milder) >= max(untouched[image] for image in worse)


def test_few_images_are_not_sorted_severity_table(make_run):
    """Four images give no thirds, and the section is left out."""
    results, rows = read(make_run())
    assert severity_table(list(rows.values()), results, PSNR) is None


def test_images_of_one_damage_are_not_sorted_severity_table():
    """Where all are equal, thirds would follow the names alone."""
    assert thirds(dict.fromkeys(MANY, 30.0)) == ()


def test_severity_averages_to_the_mean_of_the_row(make_run):
    """The three parts of nine images are of one size, so their mean is the row's."""
    results, rows = read(make_run(images=MANY))
    grid = severity_table(list(rows.values()), results, PSNR)
    for line in (*grid.lines, *grid.footer_rows):
        assert np.mean([cell.value for cell in line[1:]]) == pytest.approx(rows[line[0].value].mean("psnr"))
    untouched = [cell.value for cell in grid.footer_rows[0][1:]]
    assert untouched == sorted(untouched, reverse=True)


def test_severity_is_that_of_the_damage_whatever_the_primary_metric(make_run):
    """Doing nothing harms nothing: by harm, the thirds would follow the images' names."""
    results, rows = read(make_run(images=MANY))
    by_psnr, by_harm = (severity_table(list(rows.values()), results, metric(name)) for name in ("psnr", "harm"))
    assert [column.hint for column in by_harm.columns] == [column.hint for column in by_psnr.columns]


def test_gains_of_images_average_to_the_gain_of_the_row(make_run):
    """Mean over seeds, then over images; against a floor row too."""
    results, rows = read(make_run(images=MANY))
    for reference in ("base", "identity"):
        gains = mean_gains(rows["heads.residual"], rows[reference], results, PSNR)
        assert set(gains) == set(MANY)
        expected = rows["heads.residual"].mean("psnr") - rows[reference].mean("psnr")
        assert np.mean(list(gains.values())) == pytest.approx(expected)


def test_the_images_helped_least_and_most_are_named(make_run):
    """As the sorted bars show them; a leader is not held against itself."""
    results, rows = read(make_run(images=MANY, offsets={"heads.residual": 1.0}))
    (_, against_base), (_, against_nothing) = image_differences(rows["heads.residual"], rows, results, PSNR)
    ((_, alone),) = image_differences(rows["base"], rows, results, PSNR)
    gains = mean_gains(rows["heads.residual"], rows["base"], results, PSNR)
    assert min(gains, key=gains.get) in against_base.split("Most gain")[0]
    assert max(gains, key=gains.get) in against_base.split("Most gain")[1]
    assert f"on {sum(gain > 0 for gain in gains.values())} of 9" in against_base
    assert "identity" in against_nothing and "identity" in alone


def test_the_area_of_spots_follows_from_three_psnr(make_run):
    """Errors made with known areas give these areas back; an image without error tells nothing."""
    run = make_run(images=("a", "b", "c"))
    areas = {"a": 0.02, "b": 0.25}
    lines = []
    for image, area in areas.items():
        errors = {"psnr_spots": 400.0, "psnr_background": 2.0, "psnr": 400.0 * area + 2.0 * (1 - area)}
        lines += [("test", image, name, 10 * np.log10(255**2 / error)) for name, error in errors.items()]
    lines += [("test", "c", name, 100.0) for name in ("psnr", "psnr_spots", "psnr_background")]
    with (run / "identity" / "scores.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("split", "image", "metric", "value"), *lines])
    results = load(run)
    assert damaged_shares(results) == pytest.approx(sorted(areas.values()))
    last = degradation_table(results).lines[-1]
    assert last[0].text == "area of the spots" and last[2].value == pytest.approx(2.0) and last[-1].value == 2


def test_without_a_scored_identity_nothing_is_said_of_the_data(make_run):
    """No row of doing nothing, no analysis."""
    assert degradation_table(load(make_run(floors=()))) is None


def test_examples_beyond_the_budget_are_linked_to_files_that_are_there(make_run):
    """The pictures stay below the budget; the rest leads to the run's own files."""
    run = make_run(images=("a b", "100%", "c#d", "e", "f", "g"))
    results, rows = read(run)
    all_of_them = examples(rows, results, PSNR)
    sizes = [sum(len(uri) for c in one.columns for uri in (c.compared, c.whole, c.detail, c.error))
             for one in all_of_them.shown]  # fmt: skip
    few = examples(rows, results, PSNR, budget_bytes=max(sizes) + min(sizes) // 2)
    assert len(all_of_them.shown) == 6 and all_of_them.linked == ()
    assert len(few.shown) == 1 and len(few.linked) == 5
    for _, href in (link for one in few.linked for link in one.links):
        assert re.fullmatch(r"\.\./[\w./%-]+", href)
        with Image.open(run / unquote(href).removeprefix("../")) as image:
            assert image.size == (96, 72)


def test_points_stand_where_their_numbers_say(make_run):
    """Inside the plane; faster is further left, better is higher; larger files have larger areas."""
    _, rows = read(make_run())
    trained = ranked([row for row in rows.values() if not row.is_baseline], PSNR)
    found = points(trained, PSNR)
    picture = pareto_plot(found, trained, [rows["identity"]], PSNR)
    spots = {spot.row: spot for spot in picture.markers}
    left, top, right, bottom = picture.plane
    for one in found:
        spot = spots[one.row.row]
        assert left <= spot.x <= right and top <= spot.y <= bottom
        assert trained[spot.rank - 1].row == one.row.row
        for other in found:
            assert (one.latency_ms < other.latency_ms) == (spot.x < spots[other.row.row].x)
            assert (one.quality > other.quality) == (spot.y < spots[other.row.row].y)
    areas = [spots[one.row.row].radius ** 2 / one.weight_bytes for one in found]
    assert max(areas) == pytest.approx(min(areas), rel=0.03)
    assert 0 < right <= WIDTH and bottom <= HEIGHT


@given(st.lists(st.tuples(st.floats(1e-3, 1e5), st.floats(-50, 100)), min_size=1, max_size=8))
def test_any_numbers_give_a_picture_with_ticks(shared_points, numbers):
    """Equal points, one point, latencies of any span."""
    trained, point = shared_points
    found = [replace(point, latency_ms=time, quality=quality) for time, quality in numbers]
    picture = pareto_plot(found, trained, [], PSNR)
    left, top, right, bottom = picture.plane
    assert all(left <= spot.x <= right and top <= spot.y <= bottom for spot in picture.markers)
    assert len(picture.x_ticks) >= 2 and len(picture.y_ticks) >= 2


@pytest.fixture(scope="module")
def shared_points(written):
    """The ranked rows of a run and one of its points."""
    _, rows = read(written.parent)
    trained = ranked([row for row in rows.values() if not row.is_baseline], PSNR)
    return trained, points(trained, PSNR)[0]


def test_a_study_without_images_says_how_to_get_them(make_run, tmp_path):
    """One sentence, not an error for each image; a run whose images were damaged names each."""
    run = make_run()
    for file in (run / "pairs").rglob("*.png"):
        file.write_bytes(b"cut")
    text = write(run).page.read_text()
    assert "is not shown:" in text and "a published study has none" not in text
    run = make_run("published")
    write(run)
    text = write(publish(run, tmp_path / "study")).page.read_text()
    assert "a published study has none" in text and "is not shown:" not in text
