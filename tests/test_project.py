"""The project's own files agree with each other."""

import json
import re
import statistics
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from benchmark.cli import COMMANDS
from benchmark.evaluation.baselines import FLOORS
from benchmark.evaluation.metrics import METRICS
from benchmark.experiment import plan
from benchmark.experiment.load import load
from benchmark.experiment.schema import Metric
from benchmark.registry import Registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_installed(pyproject: dict[str, Any]) -> None:
    """The list of packages in pyproject.toml is the list of folders with an __init__.py."""
    tops = ("backbones", "heads", "losses", "reports", "benchmark")
    found = {file.parent.relative_to(ROOT).as_posix() for top in tops for file in (ROOT / top).rglob("__init__.py")}
    assert {name.replace("/", ".") for name in found} == set(pyproject["tool"]["setuptools"]["packages"])


def test_dependencies_have_lower_bounds_only(pyproject: dict[str, Any]) -> None:
    """An upper bound on a library is the death of a project, a missing lower one its slow illness."""
    project = pyproject["project"]
    everything = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    assert [line for line in everything if not re.fullmatch(r"[A-Za-z0-9_.-]+(\[[a-z]+\])?>=[0-9.]+", line)] == []


def test_the_schema_knows_the_metrics() -> None:
    """`report.primary` accepts exactly the metrics that evaluation computes."""
    assert set(get_args(Metric)) == set(METRICS)


def test_the_planner_knows_the_floors() -> None:
    """The floor rows of a plan are the floors that evaluation can compute."""
    assert set(plan.FLOORS) == set(FLOORS)


@pytest.mark.parametrize("file", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_experiments_load(file: Path) -> None:
    """Every experiment file of the project is valid, with all its rows."""
    experiment = load(file, Registry())
    assert experiment.name == file.stem
    assert len(experiment.rows) == 1 + sum(len(rows) for rows in experiment.settings.get("tables", {}).values())


def test_the_readme_quotes_its_records() -> None:
    """Every number in the README's table of results is that of the published records."""
    records = [json.loads(file.read_text()) for file in (ROOT / "reports/published/quickstart").rglob("record.json")]
    quoted = re.findall(
        r"^\| `([a-z_.0-9]+)`[^|]*\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| (\d+) \|$", README, re.MULTILINE
    )
    assert {name for name, *_ in quoted} == {record["row"] for record in records}
    for name, *numbers in quoted:
        scores = [record["scores"]["test"] for record in records if record["row"] == name]
        stages = [stage for record in records if record["row"] == name for stage in record["stages"]]
        means = [statistics.fmean(s[metric]["mean"] for s in scores) for metric in ("psnr", "psnr_spots", "harm")]
        seconds = sum(stage["seconds"] for stage in stages if not stage["reused"])
        assert numbers == [*(f"{mean:.2f}" for mean in means), f"{seconds:.0f}"], name


def test_the_readme_names_only_commands_that_exist() -> None:
    """Each `python -m benchmark X` of the documents is a command, and each file they name in the project exists."""
    for document in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / document).read_text()
        assert set(re.findall(r"python -m benchmark ([a-z]+)", text)) <= set(COMMANDS)
        links = re.findall(r"\]\(((?!https?:|#)[^)]+)\)", text)
        assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []
