"""Who may import whom (the rooms and their order)."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

COMPONENTS = {"backbones", "heads", "losses"}
OURS = {"benchmark", "reports", *COMPONENTS}
ALLOWED = {
    "backbones": {"backbones"},
    "heads": {"heads"},
    "losses": {"losses", "heads"},
    "reports": {"reports"},
    "benchmark": {"benchmark", *COMPONENTS},
}
# Rooms of the harness from the ground up; a room imports from the floors below its own, and from itself.
FLOORS = [
    {"errors", "files", "generators", "interrupts", "component_source"},
    {"registry", "processes", "lease"},
    {"experiment", "synthetic_faces"},
    {"model", "data"},
    {"inference"},
    {"training", "evaluation", "gates", "audit"},
    {"runner"},
    {"search", "doctor"},
    {"cli"},
    {"__main__"},
]
# The same of the reports.
REPORT_FLOORS = [
    {"text"},
    {"metrics", "grid"},
    {"results"},
    {"statistics"},
    {"tables", "figures"},
    {"claims", "comparison"},
    {"pages"},
]


def imported(file: Path) -> Iterator[str]:
    """All modules a file imports, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def room(module: str) -> str:
    return module.split(".")[1]


def upward(root: Path, package: str, floors: list[set[str]]) -> list[str]:
    """Imports that do not lead to a lower floor of the package, with the files they are in."""
    levels = {name: level for level, rooms in enumerate(floors) for name in rooms}
    wrong = []
    for file in sorted((root / package).rglob("*.py")):
        name = file.relative_to(root).with_suffix("").as_posix().replace("/", ".")
        if name == f"{package}.__init__":
            continue
        for module in imported(file):
            if module.startswith(f"{package}."):
                here, there = room(name), room(module)
                if here != there and levels[there] >= levels[here]:
                    wrong.append(f"{name} imports {module}")
    return wrong


def test_packages_import_only_what_they_may(root: Path) -> None:
    """Components know nothing of the harness, reports know none of the others, only cli and search use reports."""
    wrong = []
    for package, allowed in ALLOWED.items():
        for file in sorted((root / package).rglob("*.py")):
            name = file.relative_to(root).as_posix()
            more = {"reports"} if name.startswith(("benchmark/cli/", "benchmark/search/")) else set()
            used = {module.split(".")[0] for module in imported(file)} & OURS
            wrong += [f"{name} imports {other}" for other in used - allowed - more]
    assert not wrong


def test_rooms_import_downward(root: Path) -> None:
    """Imports go from cli down to errors in benchmark/, from pages down to text in reports/; never up or sideways."""
    assert upward(root, "benchmark", FLOORS) + upward(root, "reports", REPORT_FLOORS) == []


def test_data_is_read_without_torch(root: Path) -> None:
    """Nothing in benchmark/data imports torch: workers that render and decode start fast and stay small."""
    files = sorted((root / "benchmark/data").rglob("*.py"))
    assert files
    assert not [file.name for file in files if {"torch"} & {module.split(".")[0] for module in imported(file)}]


def test_timm_is_imported_only_where_a_component_needs_it(root: Path) -> None:
    """timm brings torchvision, which breaks beside a torch of another build; it must not break everything else.

    Training takes its optimisers and its running average from timm, inside the functions that make them.
    """
    files = [file for package in ("benchmark", "reports", "heads", "losses") for file in (root / package).rglob("*.py")]
    users = [root / "benchmark/training" / name for name in ("optimizer.py", "train_state.py")]
    files = [file for file in files if file not in users]
    assert not [str(file) for file in files if re.search(r"^\s*(import|from) timm", file.read_text(), re.MULTILINE)]
    assert not [str(file) for file in users if re.search(r"^(import|from) timm", file.read_text(), re.MULTILINE)]
