"""Components by name: the file's name is the component's name.

`backbones/nafnet.py` is backbone `nafnet`. Listing a kind imports nothing; asking for a component imports its file
alone, so a broken neighbour does no harm. Components may also come from

* files named on the command line (`--plugin path/to/my_net.py`, never from YAML: an experiment file executes no code);
* installed packages with an entry point in the group of the kind, e.g. `restoration_benchmark.backbone`.
"""

import hashlib
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, create_model

from benchmark.component_source import Description, describe, option_of, source_digest
from benchmark.errors import ComponentError, shown, suggestion


@dataclass(frozen=True)
class Kind:
    """A kind of component.

    Attributes:
        package: Where its files are.
        contract: The class that components subclass, as `module:class`.
        entry_points: The group of entry points by which installed packages add components.
        facts: Class attributes, each a text, that a component must have.
        given: Arguments of the constructor that the harness sets, not YAML.
    """

    package: str
    contract: str
    entry_points: str
    facts: tuple[str, ...]
    given: tuple[str, ...] = ()
    largest_integer: int = 65_536
    """That an option may be given: a network of so many blocks or channels is a slip of the keyboard."""


KINDS: Mapping[str, Kind] = {
    "backbone": Kind("backbones", "backbones:Backbone", "restoration_benchmark.backbone", ("origin", "citation")),
    "head": Kind("heads", "heads:Head", "restoration_benchmark.head", ("formula", "origin"), given=("in_channels",)),
    "loss": Kind("losses", "losses:Loss", "restoration_benchmark.loss", ("formula", "origin")),
    "source": Kind(
        "benchmark.data.sources",
        "benchmark.data:Source",
        "restoration_benchmark.source",
        facts=("origin",),
        given=("registry",),
        largest_integer=2**63 - 1,  # of seeds; a source checks its own counts
    ),
    "augmentation": Kind(
        "benchmark.data.augmentations",
        "benchmark.data:Augmentation",
        "restoration_benchmark.augmentation",
        facts=("formula",),
    ),
    "metric": Kind(
        "benchmark.evaluation.metrics",
        "benchmark.evaluation.metrics:Metric",
        "restoration_benchmark.metric",
        facts=("formula", "direction"),
    ),
}
_COMPONENT_PACKAGES = ("backbones", "heads", "losses", "benchmark.data", "benchmark.evaluation.metrics")


@dataclass(frozen=True)
class Registry:
    """Finds components of this project, of installed packages and of the plugin files given."""

    plugins: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Check that the plugin files exist.

        Raises:
            ComponentError: A plugin file is missing.
        """
        for path in self.plugins:
            if not os.path.isfile(path):  # noqa: PTH113  # a name that is too long is no file, either
                reason = "no such file" if not os.path.lexists(path) else "is no regular file"
                raise ComponentError(f"--plugin {shown(str(path))}: {reason}; expected a Python file with a component")

    def names(self, kind: str) -> list[str]:
        """Return the sorted names of all components of a kind; imports plugins, but none of the project's own."""
        return sorted({*_files(KINDS[kind].package), *self.added(kind)})

    def added(self, kind: str) -> list[str]:
        """Return the sorted names of the components that plugins and installed packages add; imports plugins."""
        plugins = [path.stem for path in self.plugins if _classes(_plugin(path.resolve()), kind)]
        installed = [point.name for point in _installed(KINDS[kind].entry_points)]
        return sorted({*plugins, *installed})

    def find(self, kind: str, name: str) -> type[Any]:
        """Return the class of a component.

        Raises:
            ComponentError: There is no such component, its file cannot be imported, or it breaks its contract.
        """
        module = self._module(kind, name)
        classes = _classes(module, kind)
        if len(classes) != 1:
            raise ComponentError(
                f"{module.__file__}: expected exactly one subclass of {KINDS[kind].contract.partition(':')[2]}"
                f" defined in it, found {len(classes)}"
            )
        for fact in KINDS[kind].facts:
            if not isinstance(getattr(classes[0], fact, None), str):
                raise ComponentError(
                    f"{module.__file__}: {classes[0].__name__} needs a class attribute {fact!r} (text)"
                )
        return classes[0]

    def create(self, kind: str, name: str, options: Mapping[str, Any], **given: Any) -> Any:
        """Return an instance of a component.

        Args:
            kind: A key of `KINDS`.
            name: The component's name.
            options: Arguments of the constructor that YAML sets; see `options_model`.
            given: Arguments of the constructor that the harness sets.

        Raises:
            ComponentError: There is no such component, or its constructor refuses the options.
            pydantic.ValidationError: An option does not exist or has the wrong type.
        """
        values = self.options_model(kind, name).model_validate(dict(options))
        component = self.find(kind, name)
        if "registry" in KINDS[kind].given and "registry" in inspect.signature(component).parameters:
            given["registry"] = self
        try:
            return component(**given, **dict(values))
        except (ValueError, TypeError) as error:  # TypeError: a method of the contract is missing
            raise ComponentError(f"{kind} {name!r}: {error}") from error

    def options_model(self, kind: str, name: str) -> type[BaseModel]:
        """Return a strict pydantic model of a component's options, made from the signature of its constructor."""
        return _options_model(self.find(kind, name), KINDS[kind])

    def describe(self, kind: str, name: str) -> Description:
        """Return the facts, options and sizes of a component; imports it only where its source does not tell them.

        Raises:
            ComponentError: There is no such component, or it had to be imported and is broken.
        """
        facts = KINDS[kind].facts
        file = None if self._plugin_file(kind, name) else _files(KINDS[kind].package).get(name)
        depth = len(KINDS[kind].package.split("."))
        if file and (description := describe(file, file.parents[depth], facts, KINDS[kind].given)):
            return description
        component = self.find(kind, name)
        options = self.options_model(kind, name).model_fields
        return Description(
            {fact: getattr(component, fact) for fact in facts},
            {option: option_of(field) for option, field in options.items()},
            getattr(component, "sizes", {}),
        )

    def digest(self, kind: str, name: str) -> str:
        """Return the hash of a component's source and of the files it imports from us, its package and its folder."""
        module = self._module(kind, name)
        packages = (*_COMPONENT_PACKAGES, module.__name__.partition(".")[0])
        return source_digest(Path(str(module.__file__)), packages)

    def _module(self, kind: str, name: str) -> ModuleType:
        if path := self._plugin_file(kind, name):
            return _plugin(path)
        if name in _files(KINDS[kind].package):
            return _import(kind, name, f"{KINDS[kind].package}.{name}")
        for point in _installed(KINDS[kind].entry_points):
            if point.name == name:
                return _import(kind, name, point.module)
        raise ComponentError(f"no {kind} {name!r}; {suggestion(name, self.names(kind))}")

    def _plugin_file(self, kind: str, name: str) -> Path | None:
        """Return the plugin that holds a component; two with the same name and kind raise ComponentError."""
        same_stem = dict.fromkeys(path.resolve() for path in self.plugins if path.stem == name)
        paths = [path for path in same_stem if _classes(_plugin(path), kind)]
        if len(paths) > 1:
            raise ComponentError(f"--plugin: {paths[0]} and {paths[1]} both hold {kind} {name!r}; rename one file")
        return paths[0] if paths else None


@lru_cache
def _files(package: str) -> Mapping[str, Path]:
    """Return the component files of a package by name."""
    # find_spec of a sub-package imports its parents; the component packages proper are not imported here.
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return {
        name: Path(str(finder.path), f"{name}.py")  # type: ignore[union-attr]
        for finder, name, _ in pkgutil.iter_modules(folders)
        if not name.startswith("_")
    }


@lru_cache  # reading what every installed package says takes longer than importing a component
def _installed(group: str) -> Sequence[EntryPoint]:
    """Return the entry points of a group that installed packages have."""
    return [*entry_points(group=group)]


def _import(kind: str, name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ComponentError(f"{kind} {name!r} cannot be imported: {error}; install what it needs") from error
    except Exception as error:
        raise ComponentError(f"{kind} {name!r} is broken: {type(error).__name__}: {shown(str(error))}") from error


def load_plugins(plugins: Iterable[Path]) -> None:
    """Import plugin files, as a fresh process must before it can unpickle what they define."""
    for path in plugins:
        _plugin(path.resolve())


@lru_cache
def _plugin(path: Path) -> ModuleType:
    """Import a plugin file; `path` is absolute, so that every process gives the file the same module name."""
    name = f"plugin_{path.stem}_{hashlib.sha256(str(path).encode(errors='replace')).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ComponentError(f"--plugin {path}: not a Python file; its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ComponentError(f"--plugin {path}: {type(error).__name__}: {shown(str(error))}") from error
    return module


@lru_cache
def _classes(module: ModuleType, kind: str) -> Sequence[type[Any]]:
    package, _, contract = KINDS[kind].contract.partition(":")
    base = getattr(importlib.import_module(package), contract)
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, base) and value.__module__ == module.__name__
    ]


_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@lru_cache
def _options_model(component: type[Any], kind: Kind) -> type[BaseModel]:
    def check_size(value: Any) -> Any:
        numbers = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(number, int) and abs(number) > kind.largest_integer for number in numbers):
            raise ValueError(f"Input should be at most {kind.largest_integer:,}")
        return value

    hints = get_type_hints(component.__init__)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(component).parameters.items():
        # A component without options inherits the open signature of nn.Module.
        if name not in kind.given and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (Annotated[hints.get(name, Any), AfterValidator(check_size)], default)
    return create_model(component.__name__, __config__=_STRICT, **fields)
