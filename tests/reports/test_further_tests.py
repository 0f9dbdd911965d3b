"""Test sets beside `test`: the table and the pictures of photographs, the warning, and what old records say."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from reports import write
from reports.claims.evaluate_claims import evaluate
from reports.pages.card_facts import on_photographs
from reports.pages.publish import publish
from reports.results.further_tests import further_tests
from reports.results.load import load
from reports.results.summary import summaries
from reports.tables.further_tests import scores_table, warning

IMAGES = ("ada__v0", "ada__v1")


@pytest.fixture
def with_photographs(make_run, edit):
    """A function that writes a run whose rows restored two photographs, given row -> (PSNR, background, harm)."""

    def make(levels, name="photographs", **options):
        run = make_run(**options)
        rng = np.random.default_rng(3)
        target = rng.integers(60, 200, (96, 96, 3), np.uint8)
        for role, pixels in (("target", target), ("degraded", target // 2)):
            _png(run / "pairs/more_tests" / name / role, pixels)
        for row, (psnr, background, harm) in levels.items():
            folders = sorted((run / row).glob("seed*")) or [run / row]
            for place, folder in enumerate(folders):
                shift = 0.02 * (place - (len(folders) - 1) / 2)  # of a seed; the mean over the seeds stays
                values = {"psnr": psnr + shift, "psnr_spots": psnr - 9, "psnr_background": background, "harm": harm}
                with (folder / "scores.csv").open("a", newline="") as file:
                    csv.writer(file).writerows([(name, image, *item) for image in IMAGES for item in values.items()])
                scores = json.loads((folder / "record.json").read_text())["scores"]
                further = {metric: {"mean": value, "std": 0.0, "n": 2} for metric, value in values.items()}
                edit(folder / "record.json", scores={**scores, name: further})
                _png(folder / "more_tests" / name, target)
        return run

    return make


def _png(folder, pixels):
    folder.mkdir(parents=True)
    for image in IMAGES:
        Image.fromarray(pixels).save(folder / f"{image}.png")


def further_tests_of(run):
    results = load(run)
    return further_tests(results, summaries(results))


HARMFUL = {
    "identity": (32.0, 38.0, 0.0),
    "base": (32.5, 37.3, 0.8),
    "heads.direct_rgb": (30.0, 30.0, 4.0),
    "heads.residual": (33.0, 38.5, 0.3),
}


def test_the_table_holds_each_row_against_doing_nothing(with_photographs):
    """Rows are ordered by PSNR; a gain is the value minus that of identity, baselines stand below."""
    (photographs,) = further_tests_of(with_photographs(HARMFUL))
    table = scores_table(photographs)
    keys = [column.key for column in table.columns]
    lines = {line[0].value: dict(zip(keys, (cell.value for cell in line), strict=True)) for line in table.lines}
    assert list(lines) == ["heads.residual", "base", "heads.direct_rgb"]
    assert lines["base"]["harm_photographs"] == pytest.approx(0.8)
    assert lines["base"]["psnr_gain_photographs"] == pytest.approx(0.5)
    assert lines["base"]["psnr_background_gain_photographs"] == pytest.approx(-0.7)
    assert [line[0].value for line in table.footer_rows] == ["identity"]


def test_a_row_with_other_photographs_stands_beside_the_table(with_photographs):
    """One row may name a folder of its own: the others are still held against doing nothing, and it is named."""
    run = with_photographs(HARMFUL)
    for folder in (run / "heads.residual").glob("seed*"):
        lines = (folder / "scores.csv").read_text()
        (folder / "scores.csv").write_text(
            "\n".join(
                line.replace(",", ",other_", 1) if line.startswith("photographs,") else line
                for line in lines.split("\n")
            )
        )
    (photographs,) = further_tests_of(run)
    assert [row.row for row in photographs.rows] == ["base", "heads.direct_rgb", "identity"]
    assert photographs.lacking == ("heads.residual",)


def test_the_first_screen_says_what_a_row_does_to_photographs(with_photographs, make_run):
    """Its gains against doing nothing, and whether that is worse than doing nothing; or that nothing was measured."""
    run = with_photographs(HARMFUL)
    row = summaries(load(run))["base"]
    assert on_photographs(row, further_tests_of(run)) == (
        (
            "on photographs",
            "worse outside the spots: PSNR +0.50 dB, spots +0.50 dB, background −0.70 dB against doing nothing; "
            "harm 0.80 levels (2 images)",
        ),
    )
    assert on_photographs(row, further_tests_of(make_run("other"))) == (("on photographs", "not measured"),)
    page = (write(run).page).read_text()
    assert page.index('class="warning"') < page.index('class="cards"')


def test_the_warning_names_rows_that_lose_and_rows_that_harm(with_photographs):
    """A row that gains over the picture and spoils the background is named for the latter; the worst comes first."""
    (photographs,) = further_tests_of(with_photographs(HARMFUL))
    assert warning(photographs) == (
        "On photographs, heads.direct_rgb is worse than doing nothing (−2.00 dB PSNR) and heads.direct_rgb and base "
        "make the background worse (heads.direct_rgb most, −8.00 dB, mean harm up to 4.00 levels)."
    )


def test_rows_that_do_no_harm_are_not_warned_of(with_photographs):
    """A little harm in a background that gains on the whole is no reason."""
    (photographs,) = further_tests_of(with_photographs({"identity": (32.0, 38.0, 0.0), "base": (33.0, 38.2, 0.4)}))
    assert warning(photographs) == ""
    assert photographs.lacking == ("heads.direct_rgb", "heads.residual")


def test_harm_of_a_level_is_warned_of_without_the_baseline(with_photographs):
    """Harm is measured against the input itself, so it is known where identity was not tested on photographs."""
    (photographs,) = further_tests_of(with_photographs({"base": (33.0, 38.2, 1.2)}))
    assert warning(photographs) == "On photographs, base makes the background worse (mean harm up to 1.20 levels)."


def test_the_report_shows_pictures_table_and_warning(with_photographs):
    """HTML and Markdown warn before the answer; both show the input, the target and each row."""
    folder = write(with_photographs(HARMFUL)).page.parent
    page, text = (folder / "index.html").read_text(), (folder / "report.md").read_text()
    assert page.index("Warning:") < page.index('<div class="answer">')
    assert text.index("**Warning:** On photographs, ") < text.index("## Ranking")
    assert page.count('class="tiles"') == 1
    for label in ("input", "target", "base", "heads.direct_rgb", "heads.residual"):
        assert f'alt="ada__v1, {label}, the window"' in page
    assert "](figures/pictures_photographs.png)" in text and (folder / "figures/pictures_photographs.png").is_file()
    assert (folder / "tables/photographs.csv").read_text().startswith("row,harm_photographs,psnr_photographs,")


def test_a_record_of_an_earlier_version_says_so_in_one_line(written):
    """Such a run has a report as before, without a warning."""
    text = (written / "report.md").read_text()
    assert "## Photographs\n\nNot measured on photographs.\n" in text and "**Warning:**" not in text


def test_a_damaged_picture_is_named_and_the_table_stays(with_photographs):
    """What cannot be read is said in its place."""
    run = with_photographs(HARMFUL)
    (run / "base/seed0/more_tests/photographs/ada__v1.png").write_bytes(b"")
    text = (write(run).page.parent / "report.md").read_text()
    assert "No picture is shown: " in text and "| heads.residual |" in text.partition("## Photographs")[2]


def test_any_folder_can_be_a_further_test_set(with_photographs):
    """Its section carries its name, and that of photographs says that there are none."""
    text = (write(with_photographs(HARMFUL, name="sfhq")).page.parent / "report.md").read_text()
    assert "## Test set sfhq" in text and "Not measured on photographs." in text
    assert "**Warning:** On test set sfhq, " in text


def test_a_claim_reads_the_scores_of_photographs(with_photographs, edit):
    """`psnr@photographs` is the metric on that test set: base gains on test by 2 dB, and loses on photographs."""
    levels = {**HARMFUL, "base": (31.0, 37.0, 1.0)}
    run = with_photographs(levels, seeds=range(5), offsets={"base": 2.0})
    claims = [
        {"id": "test", "text": "better on test", "better": "base", "worse": "identity"},
        {"id": "real", "text": "better", "better": "base", "worse": "identity", "metric": "psnr@photographs"},
    ]
    edit(run / "plan.json", claims=claims)
    results = load(run)
    on_test, on_photographs = evaluate(results, summaries(results))
    assert "base against identity: +" in on_test.numbers
    assert "base against identity: −1.000 dB PSNR on photographs" in on_photographs.numbers
    assert on_photographs.result == "refuted"


@pytest.mark.parametrize(
    ("settings", "option", "is_published"),
    [
        ("photographs: {folder: null}", False, True),
        ("photographs: {folder: mine}", False, False),
        pytest.param("photographs: {folder: mine}", True, True, marks=pytest.mark.slow),
        pytest.param("", False, False, marks=pytest.mark.slow),
    ],
)
def test_pictures_are_published_where_their_licence_is_known(
    with_photographs, tmp_path, settings, option, is_published
):
    """Packaged portraits are in the public domain; those of a folder are published where the user says so."""
    run = with_photographs(HARMFUL)
    (run / "experiment.yaml").write_text(f"name: x\n{settings}\n")
    write(run)
    study = publish(run, tmp_path / "study", pictures=option)
    text = (study / "report/report.md").read_text()
    assert (study / "report/figures/pictures_photographs.png").exists() is is_published
    assert ("figures/pictures_photographs.png" in text) is is_published
    assert ("The pictures are not published." in text) is not is_published
    assert load(study).finished[0].scores["photographs"]["psnr"].mean == pytest.approx(32.49)
    assert "Warning" in text and "| heads.residual |" in text.partition("## Photographs")[2]
