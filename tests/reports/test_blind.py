"""A blind test: what its page may tell, what answers are refused, what the report says. All raters are simulated."""

import base64
import io
import json
import re
from itertools import combinations

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import reports
from benchmark.cli import cli
from reports.blind.answers import evaluate
from reports.blind.task import make_task
from reports.errors import ReportError
from reports.pages.blind_page import blind_section, ranking_damage, write_ranking, write_task
from reports.results.load import load

TRIO = ("base", "heads.direct_rgb", "heads.residual")


@pytest.fixture
def run(make_run):
    return make_run()


def made(run, rows=TRIO, salt="s3cr3t", **options):
    """A blind test that was written, and the path of its page."""
    task = make_task(load(run), rows, salt, **options)
    return task, write_task(task, run)


def answers_of(task, path, session, order=TRIO, seed=0, name="", certain=True):
    """A file of answers of one simulated rater who likes the rows in this order; labelled as simulated."""
    rng = np.random.default_rng(seed)
    pictures = task.key.pictures
    answers = []
    for pair in task.data["pairs"]:
        left, right = rng.permutation(pair[:2]).tolist()
        places = order.index(pictures[left].row), order.index(pictures[right].row)
        choice = "left" if places[0] < places[1] else "right"
        if not certain and rng.random() < 0.3:
            choice = "tie"
        answers.append({"left": left, "right": right, "choice": choice, "seconds": 1.5})
    content = {"schema": 2, "test": task.key.test, "session": session, "person": name, "simulated": True}
    path.write_text(json.dumps(content | {"answers": answers}))
    return path


def test_the_page_tells_no_row_and_no_image(run):
    """Neither names nor salt are in it; the key has them all. It has one picture for each row and image."""
    task, page = made(run, images=3)
    text = page.read_text()
    names = {picture.image for picture in task.key.pictures.values()}
    data = json.loads(re.search(r'id="blind-data">(.*?)</script>', text).group(1))
    assert task.key.salt == "s3cr3t" and "s3cr3t" not in text
    assert not any(row in text for row in TRIO[1:]) and run.name not in text
    assert not names & set(re.findall(r'"(\w+)"', json.dumps(data)))
    assert len(names) == 3 and len(data["pictures"]) == 9 and len(data["pairs"]) == 9
    key = json.loads((page.parent / "key.json").read_text())
    assert {picture["row"] for picture in key["pictures"].values()} == set(TRIO)


def test_ids_depend_on_the_salt_alone(run):
    """The same salt makes the same page; another salt shares no id with it."""
    (first, page), (other, _) = made(run), made(run, salt="another")
    again, same_page = made(run)
    assert again.data == first.data and same_page == page
    assert not set(first.data["pictures"]) & set(other.data["pictures"]) and first.key.test != other.key.test


def test_places_in_the_page_tell_no_row(run):
    """Which row comes first in a pair changes from pair to pair."""
    task, _ = made(run)
    first_rows = {task.key.pictures[pair[0]].row for pair in task.data["pairs"]}
    assert len(first_rows) > 1


def test_doing_nothing_is_shown_by_the_degraded_image(run):
    """A baseline that writes no images of its own can be a row of the test; a reference is a further picture."""
    task, _ = made(run, rows=("base", "identity"), reference="target")
    assert task.key.seeds == {"base": 0, "identity": None}
    assert all(len(pair) == 3 for pair in task.data["pairs"]) and len(task.data["pictures"]) == 3 * 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("base",), "at least two"),
        (("base", "base"), "at least two"),
        (("base", "nafnet"), "no such row; it has base, heads.direct_rgb"),
    ],
)
def test_rows_that_make_no_test_are_refused(run, rows, message):
    """One line says what is allowed."""
    with pytest.raises(ReportError, match=message):
        make_task(load(run), rows, "s3cr3t")


def test_a_run_without_images_is_refused(run):
    """The message names the folder that has none."""
    for image in (run / "base/seed0/images").glob("*.png"):
        image.unlink()
    with pytest.raises(ReportError, match="base/seed0/images: no images of row base"):
        make_task(load(run), TRIO, "s3cr3t")


def test_simulated_raters_are_ranked_and_the_report_says_they_are_simulated(run, tmp_path):
    """Four simulated raters of one taste: their order is the ranking; the section has table, agreement and label."""
    task, _ = made(run)
    files = [answers_of(task, tmp_path / f"{k}.json", f"s{k}", seed=k, certain=False) for k in range(4)]
    ranking = evaluate(load(run), files)
    assert [row.row for row in ranking.rows] == list(TRIO)
    assert (ranking.people, ranking.simulated, ranking.images) == (4, 4, 4)
    write_ranking(ranking, run)
    section = blind_section(run)
    words = " ".join(block for block in section.blocks if isinstance(block, str))
    assert "All of these people are programs" in words and "Reading: base" in words
    table = next(block for block in section.blocks if getattr(block, "name", "") == "blind_test")
    assert [line[1].text for line in table.lines] == list(TRIO)


def test_a_changed_ranking_is_told(run, tmp_path):
    """One changed digit is enough; the report names the file, and shows no number of it."""
    task, _ = made(run)
    file = write_ranking(evaluate(load(run), [answers_of(task, tmp_path / "a.json", "s")]), run)
    assert ranking_damage(run) == () and len(blind_section(run).blocks) > 1
    content = file.read_text()
    for changed in (content.replace('"images": 4', '"images": 5'), "[]", "{", content[:-20], "[" * 100_000):
        assert changed != content
        file.write_text(changed)
        (line,) = ranking_damage(run)
        assert line.startswith(f"{file}: ") and line.endswith("make it again with `blind RUN --answers ...`")
        assert len(blind_section(run).blocks) == 1
        assert reports.write(run).damage == (line,)


def test_a_session_that_is_saved_twice_counts_once(run, tmp_path):
    """The longer file counts, and a note names the other one."""
    task, _ = made(run)
    whole = answers_of(task, tmp_path / "whole.json", "s")
    content = json.loads(whole.read_text())
    early = tmp_path / "early.json"
    early.write_text(json.dumps(content | {"answers": content["answers"][:2]}))
    ranking = evaluate(load(run), [early, whole])
    assert ranking.choices == len(content["answers"]) and ranking.people == 1
    assert ranking.notes == ("early.json is left out: the session is also in whole.json.",)


def test_two_sessions_of_one_name_are_one_person(run, tmp_path):
    """Names count without regard to case; without names, each session is a person."""
    task, _ = made(run)
    named = [answers_of(task, tmp_path / f"n{k}.json", f"s{k}", name=name) for k, name in enumerate(("Ada", "ada "))]
    assert evaluate(load(run), named).people == 1
    nameless = [answers_of(task, tmp_path / f"{k}.json", f"s{k}") for k in range(2)]
    assert evaluate(load(run), nameless).people == 2


def test_answers_to_two_tests_of_a_run_count_together(run, tmp_path):
    """One test has a and b, the other b and c: together they rank three rows; each alone has two."""
    first, _ = made(run, rows=TRIO[:2])
    second, _ = made(run, rows=TRIO[1:], salt="another")
    files = [
        answers_of(task, tmp_path / f"{place}{k}.json", f"{place}{k}")
        for place, task in enumerate((first, second))
        for k in range(3)
    ]
    ranking = evaluate(load(run), files)
    assert [row.row for row in ranking.rows] == list(TRIO) and len(ranking.tests) == 2


def test_rows_without_a_common_comparison_are_refused(make_run, tmp_path):
    """Two tests of a run without a row in common have no common ranking; the message names the groups."""
    rows = {"base": None, **{f"heads.{name}": "heads" for name in "xyz"}}
    run = make_run(rows=rows)
    pairs = [("base", "heads.x"), ("heads.y", "heads.z")]
    files = []
    for place, pair in enumerate(pairs):
        task, _ = made(run, rows=pair, salt=str(place))
        files.append(answers_of(task, tmp_path / f"{place}.json", str(place), order=pair))
    with pytest.raises(ReportError, match=re.escape("(base, heads.x) and (heads.y, heads.z)")):
        evaluate(load(run), files)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": "0000"}, "of which this run has no key"),
        ({"answers": [{"left": "x", "right": "y", "choice": "left", "seconds": 1.0}]}, "answer 1 is about no pair"),
        ({"answers": []}, "nothing to rank"),
        ({"schema": 7}, "no answers of a blind test: schema is 7"),
        ({"extra": 1}, "'extra' is no field of it"),
    ],
)
def test_files_that_are_no_answers_are_refused(run, tmp_path, change, message):
    """Each in one line with the name of the file, or with what is missing."""
    task, _ = made(run)
    file = answers_of(task, tmp_path / "answers.json", "s")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ReportError, match=message) as error:
        evaluate(load(run), [file])
    assert "\n" not in str(error.value)


def test_answers_without_a_test_are_refused(run, tmp_path):
    """A run that has no key says how to make a test."""
    file = tmp_path / "answers.json"
    file.write_text("{}")
    with pytest.raises(ReportError, match="make one with"):
        evaluate(load(run), [file])


def test_a_row_that_ran_again_is_noted(run, tmp_path, edit):
    """Other settings since the test was made: the images were other ones, and the ranking says so."""
    task, _ = made(run)
    file = answers_of(task, tmp_path / "answers.json", "s")
    edit(run / "base/seed0/record.json", config_hash="other")
    plan = json.loads((run / "plan.json").read_text())
    plan["rows"][0]["config_hashes"]["0"] = "other"
    edit(run / "plan.json", rows=plan["rows"])
    (note,) = evaluate(load(run), [file]).notes
    assert note.startswith("base was run with other settings")


def test_large_images_are_shown_where_the_damage_is(make_run):
    """Of an image above 512 px the page has a window of at most that side, the same one for all rows."""
    task = make_task(load(make_run(images=("a",), size=(40, 700))), TRIO, "s3cr3t")
    assert {decoded_size(uri) for uri in task.data["pictures"].values()} == {(512, 40)}


def decoded_size(uri):
    """Width and height of a picture in a data URI."""
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).size


def test_every_pair_of_rows_is_compared_on_every_image(run):
    """Three rows and four images: three pairs an image."""
    task, _ = made(run)
    seen = {frozenset((task.key.pictures[a].row, task.key.pictures[b].row)) for a, b, *_ in task.data["pairs"]}
    assert seen == {frozenset(pair) for pair in combinations(TRIO, 2)} and len(task.data["pairs"]) == 12


def call(*arguments):
    return CliRunner().invoke(cli, [*map(str, arguments)], standalone_mode=False)


def test_the_command_makes_a_test(run):
    """It says where the page is and how large the test is."""
    made_by_command = call("blind", run, "--rows", ", ".join(TRIO), "--images", 2)
    page = next((run / "blind").glob("*/blind_test.html"))
    assert made_by_command.output.startswith(f"blind test: {page}: 2 images, 6 pairs, ")
    assert (page.parent / "key.json").is_file()


@pytest.mark.slow
def test_the_command_reads_answers(run, tmp_path):
    """From several files behind one --answers to the table and the report."""
    task, _ = made(run, images=2)
    files = [answers_of(task, tmp_path / f"{k}.json", f"s{k}", seed=k) for k in range(3)]
    ranked = call("blind", run, "--answers", *files)
    assert ranked.exception is None, ranked.output
    assert "Blind test: 18 answers of 3 people about 2 images." in ranked.output
    assert "Two people gave the same answer in 100% of cases (6 pairs with several people)." in ranked.output
    assert 'id="blind"' in (run / "report/index.html").read_text()


def test_the_command_wants_either_rows_or_answers(run):
    """Neither, both, and files without --answers are refused."""
    for arguments in ((), ("--rows", "base,x", "--answers", "a.json"), ("a.json", "--rows", "base,x")):
        assert "--answers" in str(call("blind", run, *arguments).exception)
