"""Who may import whom: the packages and their order (docs/architecture.md)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

COMPONENTS = {"backbones", "heads", "losses"}
OURS = {"benchmark", "reports", *COMPONENTS}
ALLOWED = {
    "backbones": {"backbones"},
    "heads": {"heads"},
    "losses": {"losses", "heads"},
    "reports": {"reports"},
    "benchmark": {"benchmark", *COMPONENTS},
}
# What writer and readers share: all of benchmark may import it. The last four are the one way to read and write a file
# that a user names, what it needs, and the two ways to check a file; reports must not import benchmark.files.
SHARED = {
    "reports.schema", "reports.metrics", "reports.errors", "reports.file_access", "reports.process_identity",
    "reports.digests", "reports.sealing",
}  # fmt: skip
USERS_OF_REPORTS = ("benchmark/cli/", "benchmark/search/")
# Packages and modules of the harness from the ground up; each imports from the levels below its own, and from itself.
LEVELS = [
    {"errors"},
    {"files", "interrupts"},
    {"processes", "lease", "kept_values"},
    {"component_source"},
    {"registry"},
    {"synthetic_faces", "experiment"},
    {"model", "data"},
    {"inference"},
    {"training", "evaluation", "gates", "audit"},
    {"runner"},
    {"search", "doctor", "server"},
    {"cli"},
    {"__main__"},
]
# The same of the reports.
REPORT_LEVELS = [
    {"text", "errors", "process_identity", "metrics"},
    {"file_access", "sealing"},
    {"schema", "grid", "digests", "folder_access"},
    {"results", "report_stamp"},
    {"statistics"},
    {"tables", "figures"},
    {"claims", "comparison", "blind"},
    {"pages"},
]


def imported(file: Path, root: Path) -> Iterator[str]:
    """Yield all modules a file imports, also inside functions; `from a import b` is a.b where that is a module."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and node.level == 0, f"{file}: relative import"
            for alias in node.names:
                inner = root / node.module.replace(".", "/") / alias.name
                is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                yield f"{node.module}.{alias.name}" if is_module else node.module


def upward(root: Path, package: str, floors: list[set[str]]) -> list[str]:
    """Return imports that do not lead to a lower level of the package, with the files they are in."""
    levels = {name: level for level, names in enumerate(floors) for name in names}
    wrong = []
    for file in sorted((root / package).rglob("*.py")):
        name = file.relative_to(root).with_suffix("").as_posix().replace("/", ".")
        if name == f"{package}.__init__":
            continue
        for module in imported(file, root):
            if module.startswith(f"{package}."):
                here, there = name.split(".")[1], module.split(".")[1]
                if here != there and levels[there] >= levels[here]:
                    wrong.append(f"{name} imports {module}")
    return wrong


def foreign(root: Path) -> list[str]:
    """Return imports of packages that a package may not import, with the files they are in."""
    wrong = []
    for package, allowed in ALLOWED.items():
        for file in sorted((root / package).rglob("*.py")):
            name = file.relative_to(root).as_posix()
            for module in imported(file, root):
                top = module.split(".")[0]
                may = top in allowed or (package == "benchmark" and module in SHARED)
                if top in OURS and not (may or (top == "reports" and name.startswith(USERS_OF_REPORTS))):
                    wrong.append(f"{name} imports {module}")
    return wrong


def test_packages_import_only_what_they_may(root: Path) -> None:
    """Components know nothing of the harness, reports nothing of the others; of reports, all may use what is shared."""
    assert foreign(root) == []


def test_packages_import_downward(root: Path) -> None:
    """Imports go from cli down to errors in benchmark/, from pages down to text in reports/; never up or sideways."""
    assert upward(root, "benchmark", LEVELS) + upward(root, "reports", REPORT_LEVELS) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("reports/text.py", "from reports import pages"),
        ("reports/text.py", "import reports.pages"),
        ("reports/text.py", "from reports.pages import page"),
        ("benchmark/errors.py", "from benchmark import cli"),
        ("benchmark/data/cache.py", "from benchmark import runner"),
        ("benchmark/gates/cost.py", "from reports import text"),
        ("benchmark/gates/cost.py", "from reports import write"),
        ("reports/text.py", "from benchmark import errors"),
        ("heads/rgb.py", "from reports import metrics"),
    ],
)
def test_every_spelling_of_an_import_is_seen(tmp_path: Path, file: str, line: str) -> None:
    """A forbidden import is found in each of its spellings, also inside a function."""
    for package in ("reports/pages", "benchmark/cli", "benchmark/runner", "benchmark/data", "benchmark/gates", "heads"):
        (tmp_path / package).mkdir(parents=True)
    for module in ("reports/text.py", "reports/metrics.py", "reports/pages/page.py", "benchmark/errors.py"):
        (tmp_path / module).touch()
    (tmp_path / file).write_text(f"def function():\n    {line}\n")
    found = foreign(tmp_path) + upward(tmp_path, "benchmark", LEVELS) + upward(tmp_path, "reports", REPORT_LEVELS)
    assert len(found) == 1


def test_data_is_read_without_torch(root: Path) -> None:
    """Nothing in benchmark/data imports torch: workers that render and decode start fast and stay small."""
    files = sorted((root / "benchmark/data").rglob("*.py"))
    assert files
    assert not [file.name for file in files if {"torch"} & {module.split(".")[0] for module in imported(file, root)}]


def test_timm_is_imported_only_where_a_component_needs_it(root: Path) -> None:
    """timm brings torchvision, which breaks beside a torch of another build; it must not break everything else.

    Training takes its optimisers and its running average from timm, inside the functions that make them.
    """
    files = [file for package in ("benchmark", "reports", "heads", "losses") for file in (root / package).rglob("*.py")]
    users = [root / "benchmark/training/train_state.py"]
    files = [file for file in files if file not in users]
    assert not [str(file) for file in files if re.search(r"^\s*(import|from) timm", file.read_text(), re.MULTILINE)]
    assert not [str(file) for file in users if re.search(r"^(import|from) timm", file.read_text(), re.MULTILINE)]
