"""Identifiers are nouns and verbs of the field: none of the names in `tools/banned_names.txt`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("backbones", "heads", "losses", "benchmark", "reports", "tools")


def defined_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that a module defines, with their lines: functions, classes, arguments, variables, attributes, aliases."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno
            case _:
                pass


def read_banned(text: str) -> dict[tuple[str, str], str]:
    """Package (empty: everywhere) and name -> what to write instead."""
    banned: dict[tuple[str, str], str] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            *package, name, instead = (field.strip() for field in line.split(":"))
            banned["".join(package), name] = instead
    return banned


def violations(module: str, tree: ast.AST, banned: dict[tuple[str, str], str]) -> list[str]:
    """One line for each definition of a banned name in a module."""
    packages = ["", *(module.rsplit(".", dots)[0] for dots in range(module.count(".") + 1))]
    return [
        f"{module}, line {line}: {name}; write {banned[package, name.strip('_')]}"
        for name, line in defined_names(tree)
        for package in packages
        if (package, name.strip("_")) in banned
    ]


BANNED = read_banned((ROOT / "tools/banned_names.txt").read_text(encoding="utf-8"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_banned_name_is_defined(folder: str) -> None:
    """In all Python files outside tests."""
    wrong: list[str] = []
    for file in sorted((ROOT / folder).rglob("*.py")):
        module = file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        wrong += violations(module, ast.parse(file.read_text(encoding="utf-8")), BANNED)
    assert not wrong, "\n".join(wrong)


def test_every_way_to_define_a_name_is_seen() -> None:
    """One banned name in each place where Python binds one; attributes that are only read, and strings, are fine."""
    code = (
        "def said(): ...\nclass Said: ...\nlambda said: 0\n_said = 1\na.said = 2\n[0 for said in b]\n"
        "import c as said\ntry: ...\nexcept E as said: ...\nmatch d:\n    case [*said]: ...\n    case said: ...\n"
        "with e as said: ...\nprint(f.said, 'said', g(said=1))\nfor x, (y, said) in h: ...\nif (said := 1): ...\n"
    )
    lines = violations("benchmark.cli.x", ast.parse(code), read_banned("# no\n\nsaid: text\nSaid: Text\n"))
    assert len(lines) == 13 and lines[0] == "benchmark.cli.x, line 1: said; write text"


def test_a_name_may_be_banned_in_one_package() -> None:
    """It stays allowed in the others, also in one whose name begins alike."""
    banned = read_banned("benchmark.data: word: label\n")
    tree = ast.parse("word = 1")
    assert violations("benchmark.data.sources.x", tree, banned) and violations("benchmark.data.__init__", tree, banned)
    assert not violations("benchmark.database.x", tree, banned) and not violations("reports.x", tree, banned)
