"""What a component's source file says, read as text: nothing is imported.

* `describe`: facts, options and sizes of a component. Reading text takes milliseconds; importing torch takes seconds.
* `source_digest`, `syntax_digest`: a hash of the code that a component's results depend on.
"""

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from benchmark.kept_values import kept_value

_FORMAT = 1
"""Of what is kept of a source file."""


@dataclass(frozen=True)
class Option:
    """An option of a component: its default value, and the values allowed where they are a fixed set."""

    default: Any
    choices: tuple[Any, ...] = ()
    required: bool = False


@dataclass(frozen=True)
class Description:
    """What a component says about itself.

    `facts`: class attributes such as `origin`; `options`: the arguments that YAML may set; `sizes`: named
    configurations of a backbone, as options.
    """

    facts: Mapping[str, str]
    options: Mapping[str, Option]
    sizes: Mapping[str, Mapping[str, Any]]


def describe(file: Path, root: Path, facts: Collection[str], given: Collection[str]) -> Description | None:
    """Return the description of the component in a source file; None where only an import can tell it.

    Args:
        file: The component's file.
        root: The folder that absolute imports start from; constants are looked up in the files below it.
        facts: Names of the class attributes that a component of this kind must have.
        given: Arguments of the constructor that are no options.
    """
    with suppress(SyntaxError, NameError):  # NameError: a default is computed with something that is not a constant
        constants = _Constants(file, root)
        for node in constants.tree.body:
            if isinstance(node, ast.ClassDef):
                attributes = dict(_assigned(node.body, constants))
                if set(facts) <= set(attributes):
                    options = {name: option for name, option in _options(node, constants) if name not in given}
                    return Description({fact: attributes[fact] for fact in facts}, options, attributes.get("sizes", {}))
    return None


class _Constants(dict[str, Any]):
    """The module-level constants of a source file, and those it imports from other files below `root`."""

    def __init__(self, file: Path, root: Path) -> None:
        super().__init__(Literal=Literal)
        self.tree = ast.parse(file.read_text(encoding="utf-8"))
        self._root = root
        self._imports = {
            alias.asname or alias.name: (root.joinpath(*node.module.split(".")), alias.name)
            for node in self.tree.body
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0
            for alias in node.names
        }
        for name, value in _assigned(self.tree.body, self):
            self[name] = value

    def __missing__(self, name: str) -> Any:
        module, original = self._imported(name)
        return module[original]

    def _imported(self, name: str) -> tuple["_Constants", str]:
        """Return the module that a name is imported from, and its name there. Raises KeyError if it is not ours."""
        path, original = self._imports[name]
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.exists():
                return _Constants(file, self._root), original
        raise KeyError(name)

    def find_class(self, name: str) -> tuple[ast.ClassDef, "_Constants"]:
        """Return the definition of a class and the module it is in. Raises KeyError if it is not ours."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return node, self
        module, original = self._imported(name)
        return module.find_class(original)

    def value(self, expression: ast.expr) -> Any:
        """Return the value of an expression of constants. Raises NameError for one that needs anything else."""
        return eval(compile(ast.Expression(expression), "constant", "eval"), {"__builtins__": {}}, self)


def _assigned(body: Iterable[ast.stmt], constants: _Constants) -> Iterator[tuple[str, Any]]:
    """Yield names and values of those assignments in the body of a module or class that need only constants."""
    for node in body:
        match node:
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(expressions)):  # A, B = (1, 2), (3, 4)
                pairs = list(zip(targets, expressions, strict=True))
            case ast.Assign([target], expression) | ast.AnnAssign(target, value=ast.expr() as expression):
                pairs = [(target, expression)]
            case _:
                pairs = []
        for target, expression in pairs:
            with suppress(Exception):  # the expression needs more than constants
                yield ast.unparse(target), constants.value(expression)


def _options(component: ast.ClassDef, constants: _Constants) -> Iterator[tuple[str, Option]]:
    constructor = next((n for n in component.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if constructor is None:  # a base class has it, or there are no options
        for base in component.bases:
            with suppress(KeyError):  # a base class of torch
                yield from _options(*constants.find_class(ast.unparse(base)))
        return
    arguments = constructor.args
    positional = (arguments.posonlyargs + arguments.args)[1:]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults + arguments.kw_defaults
    for argument, default in zip(positional + arguments.kwonlyargs, defaults, strict=True):
        if isinstance(argument.annotation, ast.Attribute):
            raise NameError(ast.unparse(argument.annotation))  # perhaps a Literal of another module
        choices: tuple[Any, ...] = ()
        if argument.annotation:
            with suppress(Exception):  # `int` and the like are no constants
                choices = _choices(constants.value(argument.annotation))
        yield argument.arg, Option(constants.value(default) if default else None, choices, required=default is None)


def _choices(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def option_of(field: FieldInfo) -> Option:
    """Return the option that a field of a pydantic model describes."""
    required = field.is_required()
    return Option(None if required else field.default, _choices(field.annotation), required)


def source_digest(file: Path, packages: Collection[str]) -> str:
    """Return the `syntax_digest` of a source file and of the files it imports, directly or not.

    Followed are imports from `packages` and imports of files in the same folder; other libraries are not.
    """
    files: set[Path] = set()
    pending = [file]
    while pending:
        path = pending.pop()
        if path not in files:
            files.add(path)
            pending += _imported_files(path, tuple(packages))
    return syntax_digest(sorted(files))


def syntax_digest(files: Iterable[Path]) -> str:
    """Return the SHA-256 of the syntax trees of Python files; comments and docstrings do not count."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\n{_parsed(file.read_text(encoding='utf-8'))['bare']}\n".encode())
    return digest.hexdigest()


@cache  # a plan asks for the same few files hundreds of times
def _parsed(text: str) -> dict[str, Any]:
    """Return what is needed of source text: `bare`, without comments and docstrings, and its `imports`.

    Of each import statement these are the names it may import, and its level (0: absolute). Parsing all sources takes
    a second, so the results are kept for the next command.
    """
    key = [_FORMAT, sys.version_info[:2], hashlib.sha256(text.encode()).hexdigest()]
    return kept_value("sources", key, lambda: _parse(ast.parse(text)))


def _parse(tree: ast.Module) -> dict[str, Any]:
    imports: list[tuple[list[str], int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
            imports.append(([*names, node.module or ""], node.level))
        elif isinstance(node, ast.Import):
            imports.append(([alias.name for alias in node.names], 0))
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [child for child in body if not _is_bare_string(child)] or [ast.Pass()]  # type: ignore[attr-defined]  # every node with a list body
    return {"bare": ast.unparse(tree), "imports": imports}


def _is_bare_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imported_files(file: Path, packages: tuple[str, ...]) -> Iterator[Path]:
    for names, level in _parsed(file.read_text(encoding="utf-8"))["imports"]:
        yield from _files(file, names, level, packages)


def _files(file: Path, names: Iterable[str], level: int, packages: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files of imported names: those of `packages`, and those beside the importing file."""
    folder = file.parents[max(level - 1, 0)]
    for name in filter(None, names):
        beside = folder.joinpath(*name.split("."))
        candidates = [beside.with_suffix(".py"), beside / "__init__.py"]
        if level == 0 and name.partition(".")[0] in {package.partition(".")[0] for package in packages}:
            candidates = [path] if name.startswith(packages) and (path := _module_file(name)) else []
        yield from (path for path in candidates if path.is_file())


@cache  # where modules are does not change while a command runs, and looking it up takes most of a digest's time
def _module_file(name: str) -> Path | None:
    with suppress(ModuleNotFoundError):  # `package.Class` looks like a module of a module
        if (spec := importlib.util.find_spec(name)) and spec.origin:
            return Path(spec.origin)
    return None
