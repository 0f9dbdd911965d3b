"""Components by name: the file's name is the component's name.

`backbones/nafnet.py` is backbone `nafnet`. Listing a kind imports nothing; asking for a component imports its file
alone, so a broken neighbour hurts nobody. Components may also come from

* files named on the command line (`--plugin path/to/my_net.py`, never from YAML: an experiment file executes no code);
* installed packages with an entry point in the group `restoration_benchmark.<kind>`.
"""

import ast
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from benchmark.errors import ComponentError, suggestion


@dataclass(frozen=True)
class Kind:
    """A sort of component: where its files are, the class they subclass, what it says of itself as class attributes,
    and the arguments YAML does not set."""

    package: str
    contract: str
    contract_module: str
    facts: tuple[str, ...]
    given: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = {
    "backbone": Kind("backbones", "Backbone", "backbones", ("origin", "citation")),
    "head": Kind("heads", "Head", "heads", ("formula", "origin"), given=("in_channels",)),
    "loss": Kind("losses", "Loss", "losses", ("formula", "origin")),
    "source": Kind("benchmark.data.sources", "Source", "benchmark.data", ("origin",)),
    "augmentation": Kind("benchmark.data.augmentations", "Augmentation", "benchmark.data", ("formula",)),
}
RENAMED: Mapping[tuple[str, str], str] = {("loss", "region"): "mask_bce_dice", ("loss", "maps"): "map_l1"}
"""Kind and former name of a component: the name it has now. A former name is an error that gives the new one."""
_COMPONENT_PACKAGES = ("backbones", "heads", "losses", "benchmark.data")


@dataclass(frozen=True)
class Registry:
    """Finds components of this project, of installed packages and of the plugin files given."""

    plugins: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for path in self.plugins:
            if not path.is_file():
                raise ComponentError(f"--plugin {path}: no such file; expected a Python file with a component")

    def names(self, kind: str) -> list[str]:
        """Names of all components of a kind, sorted; imports none of the project's own."""
        plugged = [path.stem for path in self.plugins if _classes(_plugin(path), kind)]
        installed = [point.name for point in entry_points(group=f"restoration_benchmark.{kind}")]
        return sorted({*_file_names(KINDS[kind].package), *plugged, *installed})

    def find(self, kind: str, name: str) -> type[Any]:
        """The class of a component. Raises ComponentError if there is none or its file cannot be imported."""
        module = self._module(kind, name)
        classes = _classes(module, kind)
        if len(classes) != 1:
            contract = KINDS[kind].contract
            raise ComponentError(
                f"{module.__file__}: expected exactly one subclass of {contract} defined in it, found {len(classes)}"
            )
        for fact in KINDS[kind].facts:
            if not isinstance(getattr(classes[0], fact, None), str):
                raise ComponentError(
                    f"{module.__file__}: {classes[0].__name__} needs a class attribute {fact!r} (text)"
                )
        return classes[0]

    def create(self, kind: str, name: str, options: Mapping[str, Any], **given: Any) -> Any:
        """An instance of a component with its options (see `options_model`) and the arguments YAML does not set."""
        model = self.options_model(kind, name)
        values = model.model_validate(dict(options))
        try:
            return self.find(kind, name)(**given, **{key: getattr(values, key) for key in type(values).model_fields})
        except (ValueError, TypeError) as error:  # TypeError: a method of the contract is missing
            raise ComponentError(f"{kind} {name!r}: {error}") from error

    def options_model(self, kind: str, name: str) -> type[BaseModel]:
        """The options of a component as a strict pydantic model, from the signature of its constructor."""
        return _options_model(self.find(kind, name), KINDS[kind].given)

    def digest(self, kind: str, name: str) -> str:
        """Hash of the component's source, and of the files it imports that are not of a library, as syntax trees.

        Followed are imports of component packages, of the component's own package, and of files beside it.
        """
        module = self._module(kind, name)
        packages = (*_COMPONENT_PACKAGES, module.__name__.partition(".")[0])
        return syntax_digest(sorted(_with_imports(Path(str(module.__file__)), packages)))

    def _module(self, kind: str, name: str) -> ModuleType:
        for path in self.plugins:
            if path.stem == name and _classes(_plugin(path), kind):
                return _plugin(path)
        if name in _file_names(KINDS[kind].package):
            return _import(kind, name, f"{KINDS[kind].package}.{name}")
        for point in entry_points(group=f"restoration_benchmark.{kind}", name=name):
            return _import(kind, name, point.module)
        if (kind, name) in RENAMED:
            raise ComponentError(f"{kind} {name!r} is now called {RENAMED[kind, name]!r}")
        raise ComponentError(f"no {kind} {name!r}; {suggestion(name, self.names(kind))}")


def syntax_digest(files: Iterable[Path]) -> str:
    """SHA-256 over the syntax of Python files, comments and docstrings left out: what it changes with can act."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\n{_bare_source(file)}\n".encode())
    return digest.hexdigest()


def _bare_source(file: Path) -> str:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_bare_string(part)] or [ast.Pass()]  # type: ignore[attr-defined]  # every node with a list body
    return ast.unparse(tree)


def _is_bare_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _with_imports(file: Path, packages: tuple[str, ...]) -> set[Path]:
    found: set[Path] = set()
    todo = [file]
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            todo += _imported_files(path, packages)
    return found


def _imported_files(file: Path, packages: tuple[str, ...]) -> Iterator[Path]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
            yield from _files(file, [*names, node.module or ""], node.level, packages)
        elif isinstance(node, ast.Import):
            yield from _files(file, [alias.name for alias in node.names], 0, packages)


def _files(file: Path, names: Iterable[str], level: int, packages: tuple[str, ...]) -> Iterator[Path]:
    """The files of imported names: those of our packages, and those found beside the importing file."""
    folder = file.parents[max(level - 1, 0)]
    for name in filter(None, names):
        beside = folder.joinpath(*name.split("."))
        candidates = [beside.with_suffix(".py"), beside / "__init__.py"]
        if level == 0 and name.partition(".")[0] in {package.partition(".")[0] for package in packages}:
            candidates = [path] if name.startswith(packages) and (path := _module_file(name)) else []
        yield from (path for path in candidates if path.is_file())


def _module_file(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # `package.Class` looks like a module of a module
        return None
    return Path(spec.origin) if spec and spec.origin else None


@lru_cache
def _file_names(package: str) -> frozenset[str]:
    # find_spec of a sub-package imports its parents; the component packages proper are not imported here.
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return frozenset(m.name for m in pkgutil.iter_modules(folders) if not m.name.startswith("_"))


def _import(kind: str, name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ComponentError(f"{kind} {name!r} cannot be imported: {error}; install what it needs") from error
    except Exception as error:
        raise ComponentError(f"{kind} {name!r} is broken: {type(error).__name__}: {error}") from error


def load_plugins(plugins: Iterable[Path]) -> None:
    """Import plugin files, as a fresh process must before it can unpickle what they define."""
    for path in plugins:
        _plugin(path)


@lru_cache
def _plugin(path: Path) -> ModuleType:
    name = f"plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ComponentError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ComponentError(f"--plugin {path}: {type(error).__name__}: {error}") from error
    return module


def _classes(module: ModuleType, kind: str) -> list[type[Any]]:
    contract = getattr(importlib.import_module(KINDS[kind].contract_module), KINDS[kind].contract)
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, contract) and value.__module__ == module.__name__
    ]


_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@lru_cache
def _options_model(component: type[Any], given: tuple[str, ...]) -> type[BaseModel]:
    hints = get_type_hints(component.__init__)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(component).parameters.items():
        # A component without options inherits the open signature of nn.Module.
        if name not in given and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hints.get(name, Any), default)
    return create_model(component.__name__, __config__=_STRICT, **fields)
