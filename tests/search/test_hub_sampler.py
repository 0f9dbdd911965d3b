"""Samplers of OptunaHub: a package is loaded, seeded and asked as Optuna's own samplers; mistakes are one line."""

import os
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError, ExperimentError
from benchmark.experiment.load import load
from benchmark.experiment.search_settings import OptunaHub
from benchmark.experiment.search_space import Parameter, Range, Search
from benchmark.registry import Registry
from benchmark.search.hub_sampler import hub_sampler
from benchmark.search.space import values_of
from benchmark.search.study import ask, open_study, resume, tell
from benchmark.search.trial_results import TrialResult
from reports.metrics import metric as metric_facts

pytest.importorskip("optunahub")

PACKAGE = """\
import random

import optuna
import optunahub
from optuna.samplers import RandomSampler


class StepSampler(optunahub.samplers.SimpleBaseSampler):
    \"\"\"Asks whole numbers from a floor on.\"\"\"

    def __init__(self, search_space=None, seed=None, floor=0):
        super().__init__(search_space)
        self._random = random.Random(seed)
        if floor > 1000:
            raise ValueError("floor is over 1000")
        self._floor = floor

    def sample_relative(self, study, trial, search_space):
        return {name: self._random.randint(self._floor, d.high) for name, d in search_space.items()}
"""
STEPS = Parameter("a.steps", 4, Range(0, 1000, False, 1, True))


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A folder of the form of the hub's registry, with one package."""
    folder = tmp_path / "registry/samplers/step"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(PACKAGE)
    return tmp_path / "registry"


def settings(registry: Path, **changes: object) -> OptunaHub:
    return OptunaHub.model_validate({"package": "samplers/step", "registry": str(registry), **changes})


def steps_of(sampler: OptunaHub, journal: Path, seed: int = 0) -> list[int]:
    """The values of ten trials."""
    search = Search(metric_facts("psnr"), 10, sampler, seed, (STEPS,))
    steps = list[int]()
    with open_study(journal, "small", search, "x", replace=False) as study:
        resume(study, search)
        for _ in range(10):
            trial = ask(study, search)
            steps.append(values_of(trial.params, search)["a.steps"])
            tell(study, trial, TrialResult(trial.number, "done", float(steps[-1]), {}), search)
    return steps


def test_a_package_is_asked_with_the_seed_of_the_search_and_its_options(registry: Path, tmp_path: Path) -> None:
    """The base row comes first; one seed gives the same trials, another one others; the option is heeded."""
    sampler = settings(registry, options={"floor": 900})
    first, second, other = (steps_of(sampler, tmp_path / f"{at}", seed=at // 2) for at in range(3))
    assert first == second != other
    assert first[0] == 4 and min(first[1:]) >= 900 and len(set(first)) == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"package": "samplers/none"}, "samplers/none: no such folder in"),
        ({"sampler": "StepSample"}, "no sampler 'StepSample'; did you mean 'StepSampler'?"),
        ({"options": {"flor": 1}}, "unexpected keyword argument 'flor'; its options are search_space, seed, floor"),
        ({"options": {"floor": 1001}}, "StepSampler: floor is over 1000"),
    ],
)
def test_a_mistake_is_one_line(registry: Path, changes: dict[str, object], message: str) -> None:
    """With the package, what is wrong, and what is allowed."""
    with pytest.raises(BenchmarkError) as error:
        hub_sampler(settings(registry, **changes), 0)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_package_at_all\n", "cannot be imported: No module named 'no_such_package_at_all'"),
        ("1 / 0\n", "cannot be loaded (division by zero)"),
        ("x = 1\n", "the package has no sampler"),
        (PACKAGE + "class Second(StepSampler):\n    pass\n", "the samplers Second, StepSampler: name one as sampler"),
    ],
)
def test_a_package_that_cannot_be_used_is_one_line(registry: Path, text: str, message: str) -> None:
    """Whatever its code does when it is imported."""
    (registry / "samplers/step/__init__.py").write_text(text)
    with pytest.raises(BenchmarkError) as error:
        hub_sampler(settings(registry), 0)
    assert message in str(error.value)


INDEPENDENT = """\
        return {}

    def sample_independent(self, study, trial, name, distribution):
        raise ValueError("empty range")
"""


@pytest.mark.parametrize(
    "text",
    [PACKAGE.replace("self._floor, d.high", "d.high, -1"), PACKAGE.partition("        return {name")[0] + INDEPENDENT],
    ids=["parameters together", "each by itself"],
)
def test_a_sampler_that_fails_while_it_is_asked_is_one_line(text: str, registry: Path, tmp_path: Path) -> None:
    """The cause is that of its code; the search ends before it trains what nobody chose."""
    (registry / "samplers/step/__init__.py").write_text(text)
    with pytest.raises(BenchmarkError, match=r"search\.sampler: samplers/step: failed: empty range"):
        steps_of(settings(registry), tmp_path / "j")


NETWORK = "model.backbone.width: {low: 4, high: 16, step: 4}"


def test_gates_are_refused_unless_the_file_says_that_the_sampler_heeds_them(search_file: Path, registry: Path) -> None:
    """Nobody knows what a package of others heeds; a folder is relative to the file."""
    text, begin = search_file.read_text().partition("  parameters:\n")[0], "  parameters:\n"
    folder = os.path.relpath(registry, search_file.parent)
    sampler = f"package: samplers/step, registry: {folder}"
    for heeds in ("", ", heeds: [gates]"):
        search_file.write_text(f"{text}  sampler: {{name: optunahub, {sampler}{heeds}}}\n{begin}    {NETWORK}\n")
        if heeds:
            search = load(search_file, Registry()).search
            assert search and search.sampler == settings(registry, heeds=["gates"])
        else:
            with pytest.raises(ExperimentError, match=r"may ignore gates.*add heeds: \[gates\]"):
                load(search_file, Registry())
