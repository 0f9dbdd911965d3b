"""`photographs` and `data.more_tests` of an experiment: which test sets rows have beside `data.test`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from benchmark.errors import DataError, ExperimentError
from benchmark.experiment.load import Experiment, load
from benchmark.experiment.plan import Environment, make_plan, source_id
from benchmark.registry import Registry
from benchmark.runner.context import open_sources

FACES = "{source: synthetic_faces, preset: heavy, count: 2, size: 96, seed: %d}"
EXPERIMENT = f"""\
name: small
data: {{train: {FACES % 0}, val: {FACES % 1}, test: {FACES % 2}}}
model: {{backbone: {{name: nafnet, width: 4, depths: [1, 1, 1]}}, head: {{name: rgb}}}}
protocol: {{order: [coarse], coarse: {{steps: 1, batch: 1, patch: 32, lr: 1e-3, loss: {{l1: 1.0}}}}}}
"""
CLAIM = """\
claims: [{id: real, text: better, better: base, worse: identity, metric: METRIC}]
"""
Load = Callable[..., Experiment]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    """A function that loads the experiment with further lines and `--set`."""

    def make(lines: str = "", *sets: str) -> Experiment:
        file = tmp_path / "small.yaml"
        file.write_text(EXPERIMENT + lines)
        return load(file, Registry(), sets)

    return make


def more_tests(experiment: Experiment) -> dict[str, dict[str, object]]:
    tests = experiment.rows[0].recipe.more_tests
    return {name: spec.model_dump(mode="json") for name, spec in tests.items()}


def hashes(experiment: Experiment) -> set[str]:
    specs = [spec for row in experiment.rows for spec in row.recipe.splits.values()]
    prints = {source_id(spec): source_id(spec) for spec in specs}
    plan = make_plan(experiment, prints, Environment(1, "cpu", "2"), Registry())
    return {row.config_hash for row in (*plan.rows, *plan.baselines)}


def test_packaged_portraits_have_the_damage_and_size_of_the_test_images(loaded: Load) -> None:
    """Nothing need be said for them; --set turns them off, and so does `none`."""
    portraits = more_tests(loaded())["photographs"]
    assert (portraits["source"], portraits["folder"]) == ("photographs", None)
    assert (portraits["preset"], portraits["size"], portraits["versions"]) == ("heavy", 96, 2)
    assert more_tests(loaded("photographs: none\n")) == more_tests(loaded("", "photographs=false")) == {}


def test_a_folder_of_photographs_is_relative_to_the_file(loaded: Load, tmp_path: Path) -> None:
    """It may be given alone or with options, which replace those of the test images."""
    (short,) = more_tests(loaded("photographs: mine\n")).values()
    (long,) = more_tests(loaded("photographs: {folder: mine, count: 3, preset: severe}\n")).values()
    assert short["folder"] == long["folder"] == str(tmp_path / "mine")
    assert (short["count"], short["preset"], long["count"], long["preset"]) == (None, "heavy", 3, "severe")


def test_pairs_of_the_user_are_not_tested_on_drawn_damage(loaded: Load, pairs: Path) -> None:
    """No preset draws their damage, so there are photographs only where the file asks for them."""
    folders = (f"data.{split}={{source: paired_folders, root: {pairs}/{split}}}" for split in ("train", "val", "test"))
    sets = tuple(folders)
    assert more_tests(loaded("", *sets)) == {}
    for lines in ("photographs: {count: 1}\n", "photographs: true\n"):
        assert more_tests(loaded(lines, *sets))["photographs"]["preset"] == "contest"


def test_any_source_can_be_a_further_test_set(loaded: Load, pairs: Path) -> None:
    """It stands beside the photographs."""
    tests = more_tests(loaded("", f"data.more_tests.other={{source: paired_folders, root: {pairs}/test}}"))
    assert list(tests) == ["other", "photographs"] and tests["other"]["source"] == "paired_folders"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("photographs: 3\n", "small.yaml:5: photographs: expected true, false, a folder, or settings"),
        ("photographs: [mine, hers]\n", "small.yaml:5: photographs: expected true, false, a folder, or settings"),
        ("photographs:\n", "photographs: expected true, false, a folder, or settings"),
        ("photographs: ''\n", "photographs: expected true, false, a folder, or settings"),
        ("photographs: {folder: [mine]}\n", "option 'folder': expected the path of a file or folder (got ['mine'])"),
        (CLAIM.replace("METRIC", "psnr").replace("id: ", "id: +"), "expected letters, digits, - and _"),
        ("photographs: {source: noise}\n", "photographs: the key source is for data.more_tests"),
        (CLAIM.replace("METRIC", "psnr@"), "'psnr@' names no test set; known: photographs, test"),
        ("photographs: {folders: mine}\n", "source 'photographs' has no option 'folders'; did you mean 'folder'"),
        (CLAIM.replace("METRIC", "psnr@photograph"), "no test set 'photograph'; did you mean 'photographs'"),
        (CLAIM.replace("METRIC", "psn@photographs"), "no metric 'psn'; did you mean 'psnr'"),
        ("photographs: false\n" + CLAIM.replace("METRIC", "psnr@photographs"), "no test set 'photographs'"),
    ],
)
def test_mistakes_are_named(loaded: Load, lines: str, message: str) -> None:
    """With the place in the file, in one line."""
    with pytest.raises(ExperimentError) as error:
        loaded(lines)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["test", "photographs"])
def test_a_further_test_set_has_a_name_of_its_own(loaded: Load, name: str) -> None:
    """Both names have a key of their own."""
    with pytest.raises(ExperimentError, match=f"{name} has a key of its own"):
        loaded("", f"data.more_tests.{name}={{source: synthetic_faces, seed: 3}}")


def test_records_depend_on_the_folders_that_are_named_and_not_on_packaged_portraits(loaded: Load) -> None:
    """So records from before the portraits stay finished, and another folder is another test."""
    plain = hashes(loaded("photographs: false\n"))
    assert hashes(loaded()) == hashes(loaded("photographs: {count: 1}\n")) == plain
    assert not hashes(loaded("photographs: mine\n")) & plain


def test_the_settings_of_a_run_give_the_same_test_sets_again(loaded: Load, tmp_path: Path) -> None:
    """As `experiment.yaml` holds them: every option is filled in, off is off."""
    for lines in ("", "photographs: false\n", "photographs: {folder: mine, count: 2}\n"):
        experiment = loaded(lines)
        settings = {**experiment.document.data, **experiment.rows[0].recipe.data_settings}
        file = tmp_path / "again.yaml"
        file.write_text(yaml.safe_dump(settings))
        assert more_tests(load(file, Registry())) == more_tests(experiment)


def test_two_test_sets_may_share_images_and_training_shares_none(loaded: Load, pairs: Path) -> None:
    """The same folder with other damage is a fair second test; a training image is not."""
    shared = loaded("photographs: false\n", "data.more_tests.again={source: synthetic_faces, count: 2, seed: 2}")
    open_sources(shared.data, Registry())
    leaking = dataclasses.replace(shared, rows=loaded("", f"data.more_tests.again={FACES % 0}").rows)
    with pytest.raises(DataError, match=r"data\.train and data\.again are the same images"):
        open_sources(leaking.data, Registry())
