"""Conditional parameters: options of a component are asked only where it is chosen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.errors import ExperimentError
from benchmark.experiment.document import Document
from benchmark.experiment.load import load
from benchmark.experiment.resolve import resolve
from benchmark.experiment.search_settings import Gp, Grid, Nsgaii, Qmc, Random, Sampler, Tpe
from benchmark.experiment.search_space import Choices, Parameter, Range, Search, values_of_base, with_values
from benchmark.registry import Registry
from benchmark.search.search import Setup, open_trials
from benchmark.search.space import values_of
from benchmark.search.study import ask, open_study, resume, tell
from benchmark.search.trial_files import write_best
from benchmark.search.trial_results import TrialResult
from reports.metrics import metric as metric_facts

BRANCHED = """\
    model.head: {choices: [{name: degradation}, {name: rgb}, {name: residual}]}
    model.head.gain_channels: {choices: [1, 3], when: {model.head: degradation}}
    model.head.kernel_size: {low: 1, high: 5, step: 2, when: {model.head: [rgb, residual]}}
    protocol.psnr.lr: {low: 1e-5, high: 1e-3, log: true}
"""
HEAD = Parameter("head", "degradation", Choices(("degradation", "rgb", "residual")))
GAIN = Parameter("gain", 3, Choices((1, 3)), {"head": ("degradation",)})
KERNEL = Parameter("kernel", None, Range(1, 5, False, 2, True), {"head": ("rgb", "residual")}, {"head": "rgb"})
RATE = Parameter("rate", 1e-3, Range(1e-4, 1e-2, True, None, False))
SetUp = Callable[..., Setup]


@pytest.fixture
def branched(search_file: Path) -> Path:
    """The small experiment with a search of heads and their options."""
    search_file.write_text(search_file.read_text().partition("  parameters:\n")[0] + "  parameters:\n" + BRANCHED)
    return search_file


def search_of(file: Path) -> Search:
    search = load(file, Registry()).search
    assert search
    return search


def test_a_condition_names_choices(branched: Path) -> None:
    """By the name of a component; an option that the base row has not needs no value of it."""
    head, gain, kernel, _ = search_of(branched).parameters
    rgb, residual = {"name": "rgb"}, {"name": "residual"}
    assert gain.when == {"model.head": ({"name": "degradation"},)} and gain.base == 3 and not gain.branch
    assert kernel.when == {"model.head": (rgb, residual)} and kernel.branch == {"model.head": rgb}
    assert kernel.base is None and kernel.domain == Range(1, 5, False, 2, True)
    values = {"model.head": {"name": "degradation"}, "model.head.gain_channels": 3, "protocol.psnr.lr": 1e-4}
    assert values_of_base(search_of(branched).parameters) == values and not head.when


def test_a_condition_may_stand_before_the_parameter_that_it_names(branched: Path) -> None:
    """The order of a file is that of its reader."""
    lines = BRANCHED.splitlines(keepends=True)
    branched.write_text(branched.read_text().replace(BRANCHED, "".join([lines[2], lines[0], lines[1], lines[3]])))
    assert search_of(branched).parameters[0].path == "model.head"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (", when: {model.head: degradation}", "", "is a part of model.head, which is searched as a whole; keep one"),
        ("when: {model.head: degradation}", "when: {model.haed: rgb, model.head: rgb}", "did you mean 'model.head'?"),
        ("model.head: degradation}", "model.head: rbg}", 'is no choice of model.head; its choices are "degradation"'),
        ("[rgb, residual]", "[rgb, residual, degradation]", "when: names every choice of model.head; drop it"),
        ("when: {model.head: degradation}", "when: {model.head: degradation, protocol.psnr.lr: 1}", "is a range"),
        (
            "when: {model.head: degradation}",
            "when: {model.head: rgb, model.head.gain_channels: 1}",
            "waits for model.head.gain_channels, which waits for it",
        ),
        ("when: {model.head: degradation}", "when: {model.head: rgb}", "no option 'gain_channels'"),
        ("low: 1, high: 5, step: 2", "low: 1, high: 6, step: 2", "must be whole steps above low"),
        ("low: 1, high: 5, step: 2", "choices: [3, 3]", "a choice is given twice"),
        (
            "protocol.psnr.lr: {low: 1e-5, high: 1e-3, log: true}",
            "protocol.psnr.lr: {low: 1e-5, high: 1e-3, when: {model.head: rgb, model.head.gain_channels: 1}}",
            "protocol.psnr.lr: is never asked: its conditions exclude each other",
        ),
        ("when: {model.head: degradation}", "when: {}", "at least 1 item"),
    ],
)
def test_a_contradictory_space_is_told_with_its_line(branched: Path, old: str, new: str, message: str) -> None:
    """Before anything is trained, with what to do."""
    text = branched.read_text()
    assert old in text
    branched.write_text(text.replace(old, new))
    with pytest.raises(ExperimentError, match=r"small\.yaml:\d+: ") as error:
        search_of(branched)
    assert message in str(error.value) and "\n" not in str(error.value)


def space(sampler: Sampler, *parameters: Parameter, trials: int = 30) -> Search:
    return Search(metric_facts("psnr"), trials, sampler, 0, parameters)


def test_the_size_of_a_space_counts_branches() -> None:
    """Two settings with one head, three with each of the others; a range without steps is endless."""
    assert space(Grid(), HEAD, GAIN, KERNEL).size == 2 + 3 + 3
    assert space(Tpe(), HEAD, GAIN, KERNEL, RATE).size == float("inf")
    assert space(Grid(), HEAD, KERNEL, Parameter("other", 1, Choices((1, 2)))).size == 2 * (1 + 3 + 3)


@pytest.mark.parametrize(
    "sampler",
    [
        Tpe(startup_trials=5),
        pytest.param(Gp(startup_trials=5), marks=pytest.mark.slow),
        Nsgaii(population=4),
        Random(),
        Qmc(),
    ],
)
@pytest.mark.parametrize("parameters", [(HEAD, GAIN, KERNEL), (HEAD, GAIN, KERNEL, RATE)], ids=["finite", "endless"])
def test_samplers_ask_options_only_where_they_belong(
    sampler: Sampler, parameters: tuple[Parameter, ...], tmp_path: Path
) -> None:
    """No setting comes twice; each trial has the options of its head, and no others."""
    search = space(sampler, *parameters)
    values = trials_of(search, tmp_path / "j", 8 if len(parameters) == 3 else 12)
    assert len({str(each) for each in values}) == len(values)
    assert {each["head"] for each in values} == {"degradation", "rgb", "residual"}
    for each in values:
        assert ("gain" in each) == (each["head"] == "degradation") != ("kernel" in each)


def trials_of(search: Search, journal: Path, count: int) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = []
    with open_study(journal, "small", search, "x", replace=False) as study:
        resume(study, search)
        for number in range(count):
            trial = ask(study, search)
            values.append(values_of(trial.params, search))
            tell(study, trial, TrialResult(trial.number, "done", float(number % 5), {}), search)
    return values


def test_a_grid_tries_each_setting_of_each_branch_once(tmp_path: Path) -> None:
    """Options of other branches make no further combinations."""
    values = trials_of(space(Grid(), HEAD, GAIN, KERNEL), tmp_path / "j", 8)
    expected = [{"head": "degradation", "gain": gain} for gain in (1, 3)]
    expected += [{"head": head, "kernel": kernel} for head in ("rgb", "residual") for kernel in (1, 3, 5)]
    assert sorted(map(str, values)) == sorted(map(str, expected))


@pytest.mark.parametrize(
    "values",
    [
        {"model.head": {"name": "degradation"}, "model.head.gain_channels": 1, "protocol.psnr.lr": 1e-4},
        {"model.head": {"name": "rgb"}, "model.head.kernel_size": 5, "protocol.psnr.lr": 1e-5},
        {"model.head": {"name": "residual"}, "model.head.kernel_size": 3, "protocol.psnr.lr": 1e-4},
    ],
)
def test_best_yaml_has_the_branch_and_the_base_row_beside_it(branched: Path, values: dict[str, Any]) -> None:
    """The default of best.yaml is the base row of the search, whatever the best trial had in its place."""
    experiment = load(branched, Registry())
    assert experiment.search
    file = branched.parent / "best.yaml"
    best = TrialResult(1, "done", 30.0, values)
    write_best(file, experiment, experiment.search, best, [])
    written = load(file, Registry())
    document = with_values(experiment.document, experiment.search.parameters, values)
    assert written.rows[0].recipe.config["model"] == resolve(document, Registry()).config["model"]
    assert written.rows[0].recipe.config["model"]["head"]["name"] == values["model.head"]["name"]
    assert written.rows[1].recipe.config == experiment.rows[0].recipe.config
    assert yaml.safe_load(file.read_text())["tables"]["search"]["default"]


def test_an_option_is_set_although_it_equals_that_of_the_base_row() -> None:
    """Another component has another default, so its option must be written."""
    backbone = Parameter("model.backbone.name", "a", Choices(("a", "b")))
    width = Parameter("model.backbone.width", 8, Range(4, 16, False, 4, True))
    document = Document({"model": {"backbone": {"name": "a", "width": 8}}}, {})
    values = {"model.backbone.width": 8, "model.backbone.name": "b"}
    assert with_values(document, (backbone, width), values).data["model"]["backbone"] == {"name": "b", "width": 8}


@pytest.mark.slow
def test_a_search_of_heads_and_their_options_runs(set_up: SetUp, branched: Path) -> None:
    """All are trained to their end, and the record of a trial has the options that it was asked."""
    setup = set_up(trials=7)
    with open_trials(setup, lambda event: None, replace=False) as trials:
        outcome = trials.run()
    assert [trial.status for trial in outcome.trials] == ["done"] * 7
    assert len({str(trial.values["model.head"]) for trial in outcome.trials}) == 3
    for trial in outcome.trials:
        assert ("model.head.kernel_size" in trial.values) == (trial.values["model.head"]["name"] != "degradation")
