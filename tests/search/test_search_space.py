"""The section `search` of an experiment file."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import ExperimentError
from benchmark.experiment.document import Document, parse
from benchmark.experiment.load import load
from benchmark.experiment.resolve import resolve
from benchmark.experiment.search_settings import Tpe
from benchmark.experiment.search_space import Choices, Parameter, Range, Search, with_values
from benchmark.registry import Registry
from reports.metrics import metric as metric_facts

LR = "protocol.psnr.lr: {low: 1e-5, high: 1e-3, log: true}"


def read(file: Path) -> Search:
    search = load(file, Registry()).search
    assert search
    return search


def with_parameter(file: Path, text: str) -> Path:
    assert LR in file.read_text()
    file.write_text(file.read_text().replace(LR, text))
    return file


def test_an_experiment_without_the_section_has_no_search(experiment_file: Path) -> None:
    """Other commands need no search."""
    assert load(experiment_file, Registry()).search is None


def test_defaults_come_from_the_experiment(search_file: Path) -> None:
    """Metric and seed are those of the report and the first of the seeds."""
    search = read(search_file)
    assert (search.metric.name, search.seed, search.sampler, search.trials) == ("psnr", 0, Tpe(), 4)


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        (LR, Parameter("protocol.psnr.lr", 1e-4, Range(1e-5, 1e-3, True, None, False))),
        (
            "protocol.coarse.loss.l1: {low: 0, high: 2}",
            Parameter("protocol.coarse.loss.l1", 1.0, Range(0, 2, False, None, False)),
        ),
        (
            "protocol.psnr.steps: {low: 1, high: 9, step: 2}",
            Parameter("protocol.psnr.steps", 3, Range(1, 9, False, 2, True)),
        ),
        (
            "protocol.psnr.schedule.final_share: {low: 0.01, high: 1}",
            Parameter("protocol.psnr.schedule.final_share", 0.01, Range(0.01, 1, False, None, False)),
        ),
        (
            "protocol.psnr.schedule.name: {choices: [constant, cosine]}",
            Parameter("protocol.psnr.schedule.name", "cosine", Choices(("constant", "cosine"))),
        ),
        (
            "protocol.coarse.loss.color: {choices: [null, 1.0]}",
            Parameter("protocol.coarse.loss.color", None, Choices((None, 1.0))),
        ),
        (
            "model.head: {choices: [{name: rgb}, {name: degradation}]}",
            Parameter("model.head", {"name": "degradation"}, Choices(({"name": "rgb"}, {"name": "degradation"}))),
        ),
    ],
)
def test_the_base_value_is_found(search_file: Path, text: str, parameter: Parameter) -> None:
    """Also where it is a default, a weight of a loss, or nothing; whether numbers are whole follows from it."""
    assert read(with_parameter(search_file, text)).parameters[1] == parameter


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("protocol.psnr.rl: {low: 1, high: 2}", "protocol.psnr.rl: no such setting 'rl'; did you mean 'lr'?"),
        ("protocol.psnr.lr: {low: 1e-3, high: 1e-5}", "low must be below high"),
        ("protocol.psnr.lr: {low: 1e-5}", "give low and high, or choices"),
        ("protocol.psnr.lr: {low: 1e-5, high: 1e-3, choices: [1, 2]}", "give low and high, or choices, not both"),
        ("protocol.psnr.lr: {low: 0, high: 1, log: true}", "log needs a low above 0"),
        ("protocol.psnr.lr: {low: 1e-5, hgih: 1}", "no such setting; did you mean 'high'?"),
        ("protocol.psnr.lr: {low: small, high: 1}", "Input should be a valid number"),
        ("protocol.psnr.lr: {low: 0, high: 1}", "protocol.psnr.lr: Input should be greater than 0"),
        ("protocol.psnr.lr: {low: 1e-3, high: 1e-2}", "has 0.0001; widen the range"),
        ("protocol.psnr.lr: {choices: [1e-3, 1e-2]}", "has 0.0001; add it to the choices"),
        ("protocol.psnr.lr: {choices: [1e-4, 1e-4]}", "a choice is given twice"),
        ("protocol.psnr.lr: {choices: [1e-4]}", "at least 2 items"),
        ("protocol.psnr.lr: {choices: [1e-4, 1, 1.0]}", "1 and 1.0 make the same row; keep one of them"),
        ("protocol.coarse.loss.l1: {choices: [1.0, 2, {weight: 2}]}", '2 and {"weight": 2} make the same row'),
        ("protocol.psnr.schedule.name: {low: 1, high: 2}", 'is "cosine" in the base row, no number to vary'),
        ("protocol.coarse.loss.mask_loss: {low: 0, high: 2}", "is no value in the base row, no number to vary"),
        ("model.head.name: {choices: [degradation, rbg]}", "no head 'rbg'; did you mean 'rgb'?"),
        ("protocol.psnr.steps: {low: 0.5, high: 4}", "takes whole numbers"),
        ("protocol.psnr.steps: {low: 2, high: 8, step: 3}", "must be whole steps above low"),
        ("seeds: {choices: [[0], [1]]}", "below model and protocol only"),
        ("gates.size.limit_bytes: {low: 1, high: 2}", "below model and protocol only"),
        ("protocol.coarse: {choices: [{}, {}]}", "protocol.coarse.lr: is a part of protocol.coarse"),
    ],
)
def test_a_mistake_is_told_with_its_line(search_file: Path, text: str, message: str) -> None:
    """File, line, parameter, what is allowed: before anything is trained."""
    file = with_parameter(search_file, text)
    with pytest.raises(ExperimentError) as error:
        read(file)
    assert message in str(error.value)
    line = next(n for n, written in enumerate(file.read_text().splitlines(), 1) if text in written)
    assert f"{file}:{line if 'is a part' not in message else line - 1}: " in str(error.value)


def test_a_parameter_of_a_stage_that_does_not_run_is_refused(search_file: Path) -> None:
    """Trials that differ in nothing would be compared."""
    search_file.write_text(search_file.read_text().replace("order: [coarse, psnr]", "order: [coarse]"))
    search_file.write_text(search_file.read_text().partition("tables:")[0] + "search:\n  parameters:\n    " + LR)
    with pytest.raises(ExperimentError, match="changes nothing against the base row"):
        read(search_file)


SMALL = parse("protocol: {a: {lr: 1, loss: {l1: 1.0, psnr: {weight: 1.0}}}}", "small.yaml")
SPACE = Search(
    metric_facts("psnr"),
    9,
    Tpe(),
    0,
    (
        Parameter("protocol.a.lr", 1, Range(0, 9, False, None, False)),
        Parameter("protocol.a.loss.l1", 1.0, Choices((1.0, None))),
        Parameter("protocol.a.loss.ssim", None, Choices((None, 0.5))),
    ),
)


@given(st.floats(0, 9), st.sampled_from([1.0, None]), st.sampled_from([None, 0.5]))
def test_values_of_a_trial_stand_in_its_settings(lr: float, l1: float | None, ssim: float | None) -> None:
    """What a trial chose is what its settings say; null takes a loss away, or leaves it away."""
    values: dict[str, Any] = {"protocol.a.lr": lr, "protocol.a.loss.l1": l1, "protocol.a.loss.ssim": ssim}
    settings = with_values(SMALL, SPACE.parameters, values).data["protocol"]["a"]
    losses = {name: weight for name, weight in (("l1", l1), ("ssim", ssim)) if weight is not None}
    assert settings == {"lr": lr, "loss": {**losses, "psnr": {"weight": 1.0}}}


def test_the_values_of_the_base_row_change_nothing(search_file: Path) -> None:
    """The trial that is the base row has its settings to the letter, so its stages are those of the base row."""
    experiment = load(search_file, Registry())
    assert experiment.search
    base = {parameter.path: parameter.base for parameter in experiment.search.parameters}
    document: Document = with_values(experiment.document, experiment.search.parameters, base)
    assert document == experiment.document
    assert resolve(document, Registry()) == experiment.rows[0].recipe


def test_a_metric_of_a_plugin_is_ranked_in_its_own_direction(tmp_path: Path) -> None:
    """A search by an error of a plugin takes lower values for better; nothing else says so."""
    plugin = tmp_path / "largest_error.py"
    plugin.write_text(
        "from benchmark.evaluation.metrics import Metric\n\n\n"
        'class LargestError(Metric):\n    unit, direction, formula = "levels", "lower", "max |restored - target|"\n\n'
        "    def score(self, restored, target, degraded, mask):\n        return 0.0\n"
    )
    root = Path(__file__).parents[2]
    registry, sets = Registry((plugin,)), ["search.metric=largest_error"]
    search = load(root / "experiments/quick_search.yaml", registry, sets).search
    assert search is not None and search.metric.direction == "lower"
    assert search.metric.sort_key(1.0) < search.metric.sort_key(2.0)
