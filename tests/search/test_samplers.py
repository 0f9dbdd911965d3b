"""Samplers by name: each proposes what the space allows, the same for the same seed, and says what it cannot do."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchmarkError, ExperimentError
from benchmark.experiment.load import load
from benchmark.experiment.search_settings import Cmaes, Gp, Grid, Nsgaii, Qmc, Random, Sampler, Tpe
from benchmark.experiment.search_space import Choices, Parameter, Range, Search
from benchmark.registry import Registry
from benchmark.search import samplers
from benchmark.search.space import values_of
from benchmark.search.study import ask, open_study, resume, tell
from benchmark.search.trial_results import TrialResult
from reports.metrics import metric as metric_facts

LR = Parameter("a.lr", 1e-3, Range(1e-5, 1e-1, True, None, False))
STEPS = Parameter("a.steps", 4, Range(2, 8, False, 2, True))
LOSS = Parameter("a.loss", None, Choices((None, 0.5, {"weight": 1.0})))
ALL = [
    Tpe(),
    Tpe(multivariate=False, constant_liar=False, startup_trials=3),
    Gp(startup_trials=4),
    Nsgaii(population=4),
    Random(),
    Qmc(),
    Qmc(sequence="halton", scramble=False),
]


def space(sampler: Sampler, *parameters: Parameter, seed: int = 0, trials: int = 9) -> Search:
    return Search(metric_facts("psnr"), trials, sampler, seed, parameters or (LR, STEPS, LOSS))


def trials_of(search: Search, journal: Path, count: int = 8) -> list[dict[str, Any]]:
    """The settings of so many trials, of which a large rate is the best."""
    values = list[dict[str, Any]]()
    with open_study(journal, "small", search, "x", replace=False) as study:
        resume(study, search)
        for _ in range(count):
            trial = ask(study, search)
            values.append(values_of(trial.params, search))
            tell(study, trial, TrialResult(trial.number, "done", trial.params.get("a.lr", 1.0), {}), search)
    return values


@pytest.mark.parametrize("sampler", ALL, ids=repr)
def test_one_worker_with_a_seed_is_repeatable(sampler: Sampler, tmp_path: Path) -> None:
    """The same seed gives the same trials, all from the space; the first is the base row."""
    first, second = (trials_of(space(sampler), tmp_path / name) for name in ("first", "second"))
    assert first == second and len({str(values) for values in first}) == 8
    assert first[0] == {"a.lr": 1e-3, "a.steps": 4, "a.loss": None}
    for values in first:
        assert 1e-5 <= values["a.lr"] <= 1e-1 and values["a.steps"] in (2, 4, 6, 8)
        assert values["a.loss"] in (None, 0.5, {"weight": 1.0})


@pytest.mark.parametrize("sampler", [Tpe(), Random(), Grid(), Qmc()], ids=repr)
def test_another_seed_gives_other_trials(sampler: Sampler, tmp_path: Path) -> None:
    """Else a search could not be repeated to see how much it depends on chance."""
    parameters = (STEPS, LOSS)
    first, second = (trials_of(space(sampler, *parameters, seed=seed), tmp_path / f"{seed}") for seed in (0, 1))
    assert first[0] == second[0] and first != second


def test_a_grid_tries_every_combination_once(tmp_path: Path) -> None:
    """Also where the search was interrupted; the base row, which comes first, is not repeated."""
    search = space(Grid(), STEPS, LOSS)
    tried = [*trials_of(search, tmp_path / "j", 5), *trials_of(search, tmp_path / "j", 7)]
    settings = itertools.product((2, 4, 6, 8), (None, 0.5, {"weight": 1.0}))
    assert sorted(map(str, tried)) == sorted(str({"a.steps": steps, "a.loss": loss}) for steps, loss in settings)
    assert tried == trials_of(search, tmp_path / "uninterrupted", 12)


def test_points_of_a_sequence_go_on_after_an_interruption(tmp_path: Path) -> None:
    """A sequence that began anew would fill the same places again."""
    interrupted = [*trials_of(space(Qmc()), tmp_path / "j", 3), *trials_of(space(Qmc()), tmp_path / "j", 5)]
    assert interrupted == trials_of(space(Qmc()), tmp_path / "whole")


def test_cmaes_is_repeatable_and_learns(tmp_path: Path) -> None:
    """Where a large rate is good, later generations have larger rates; the choices are drawn beside the numbers."""
    pytest.importorskip("cmaes")
    search = space(Cmaes(population=4))
    first, second = (trials_of(search, tmp_path / name, 24) for name in ("first", "second"))
    assert first == second
    rates = [values["a.lr"] for values in first]
    assert sorted(rates[16:])[4] > sorted(rates[1:9])[4]


def test_a_missing_package_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what installs it, and what to do without it; before anything is trained."""
    monkeypatch.setitem(samplers.PACKAGES, "gp", ["no_such_package"])
    with pytest.raises(BenchmarkError) as error:
        trials_of(space(Gp()), tmp_path / "j")
    assert str(error.value) == (
        "search.sampler: gp: no_such_package not installed; pip install 'restoration-benchmark[search]'; "
        "or choose another sampler, e.g. tpe"
    )


Reading = Callable[..., Sampler]
NETWORK = "model.backbone.width: {low: 4, high: 16, step: 4}"
FEW = "protocol.psnr.lr: {choices: [1e-4, 1e-3]}"


@pytest.fixture
def reading(search_file: Path) -> Reading:
    """The sampler of the small experiment, with a line `sampler`, perhaps with other parameters."""

    def read(sampler: str, *parameters: str) -> Sampler:
        text, begin = search_file.read_text(), "  parameters:\n"
        if parameters:
            text = text.partition(begin)[0] + begin + "".join(f"    {line}\n" for line in parameters)
        search_file.write_text(text.replace(begin, f"  sampler: {sampler}\n{begin}"))
        search = load(search_file, Registry()).search
        assert search
        return search.sampler

    return read


@pytest.mark.parametrize(
    ("text", "sampler"),
    [
        ("tpe", Tpe()),
        ("gp", Gp()),
        ("{name: tpe, multivariate: false, constant_liar: false}", Tpe(multivariate=False, constant_liar=False)),
        ("{name: qmc, sequence: halton}", Qmc(sequence="halton")),
    ],
)
def test_a_sampler_is_named_with_or_without_options(reading: Reading, text: str, sampler: Sampler) -> None:
    """A name alone has the defaults."""
    assert reading(text) == sampler


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        ("tqe", (), "search.sampler: no sampler 'tqe'; did you mean 'tpe'?"),
        ("{name: tpe, multi_variate: true}", (), "did you mean 'multivariate'"),
        ("{name: random, startup_trials: 3}", (), "startup_trials"),
        ("optunahub", (), "search.sampler.package: is needed but not given"),
        ("{name: optunahub, package: ../x}", (), "search.sampler.package: expected folders of a package"),
        ("gp", (NETWORK, FEW), "search.sampler: gp ignores gates: it learns from finished trials alone"),
        ("cmaes", (NETWORK, FEW), "choose tpe, which learns from failed gates"),
        ("nsgaii", (NETWORK,), "nsgaii ignores gates"),
        ("cmaes", (FEW,), "cmaes needs 2 parameters that are ranges"),
        ("grid", (), "grid has no values for protocol.psnr.lr, a range without steps"),
        ("grid", ("protocol.psnr.steps: {low: 3, high: 1_000_002}",), "grid has 1,000,000 settings"),
    ],
)
def test_an_unsuitable_sampler_is_refused(
    reading: Reading, text: str, parameters: tuple[str, ...], message: str
) -> None:
    """The message has the line, the reason and a way out."""
    with pytest.raises(ExperimentError, match=r"small\.yaml:\d+: search") as error:
        reading(text, *parameters)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["random", "qmc", "tpe"])
def test_samplers_that_suit_gates_are_accepted(reading: Reading, text: str) -> None:
    """tpe learns from failed gates; the others learn from nothing, and a trial that fails a gate is not trained."""
    assert reading(text, NETWORK, FEW).name == text
