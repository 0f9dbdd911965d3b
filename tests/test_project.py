"""The project's own files agree with each other."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli import COMMANDS
from benchmark.experiment.load import load
from benchmark.registry import Registry

ROOT = Path(__file__).parents[1]


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


@pytest.mark.parametrize("file", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_experiments_load(file: Path) -> None:
    """Every experiment file of the project is valid, with all its rows."""
    experiment = load(file, Registry())
    assert experiment.name == file.stem
    assert len(experiment.rows) == 1 + sum(len(rows) for rows in experiment.document.data.get("tables", {}).values())


_PAGES = ("README.md", "CONTRIBUTING.md", "reports/published/README.md")
DOCUMENTS = [*(ROOT / name for name in _PAGES), *sorted(ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_documents_name_only_commands_and_files_that_exist(document: Path) -> None:
    """Each `python -m benchmark X` of the documents is a command, and each file they link to exists."""
    text = document.read_text(encoding="utf-8")
    assert set(re.findall(r"python -m benchmark ([a-z]+)", text)) <= set(COMMANDS)
    links = re.findall(r"\]\(((?!https?:|#)[^)]+)\)", text)
    assert [link for link in links if not (document.parent / link.partition("#")[0]).exists()] == []


def test_the_readme_is_a_map() -> None:
    """The README is read in ten minutes; details are in docs/."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 180
