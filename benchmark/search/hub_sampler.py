"""Samplers of OptunaHub: a package of its registry, downloaded once, or of a folder of the same form.

A package is a Python module that defines a sampler. It runs with the rights of the user, as every component does.
"""

import inspect
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from benchmark.errors import BenchmarkError, root_cause, suggestion
from benchmark.experiment.search_settings import OptunaHub


def hub_sampler(settings: OptunaHub, seed: int) -> BaseSampler:
    """Return the sampler of a package of OptunaHub.

    Args:
        settings: The package, the class in it, and the options of the class.
        seed: Of the sampler, unless the options have one; given only to a class that takes it.

    Raises:
        BenchmarkError: The package cannot be downloaded or imported, or has no such sampler or option.
    """
    place = f"search.sampler: {settings.package}"
    kind = _sampler_class(_module(settings, place), settings.sampler, place)
    accepted = inspect.signature(kind).parameters
    takes_seed = "seed" in accepted or any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    options = {**({"seed": seed} if takes_seed else {}), **settings.options}
    try:
        return kind(**options)
    except Exception as error:
        options_of_class = ", ".join(accepted) or "none"
        raise BenchmarkError(
            f"{place}: {kind.__name__}: {root_cause(error)}; its options are {options_of_class}"
        ) from error


def _module(settings: OptunaHub, place: str) -> ModuleType:
    import optunahub  # slow, and an extra

    if settings.registry is not None and not (Path(settings.registry) / settings.package).is_dir():
        raise BenchmarkError(
            f"{place}: no such folder in {settings.registry}; expected the package's folder with its __init__.py"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            if settings.registry is not None:
                return optunahub.load_local_module(settings.package, registry_root=settings.registry)
            return optunahub.load_module(settings.package, ref=settings.ref)
    except ImportError as error:
        raise BenchmarkError(
            f"{place}: cannot be imported: {root_cause(error)}; install what the package's page on OptunaHub names"
        ) from error
    except Exception as error:  # whatever git, the network, or the code of the package raises
        version = "" if settings.registry else f"{settings.ref} of OptunaHub, "
        raise BenchmarkError(
            f"{place}: cannot be loaded ({version}{_cause(error)}); check the name and the network, or give "
            "registry, a folder with a copy of it"
        ) from error


def _cause(error: Exception) -> str:
    """Return why a package was not loaded: for a failed call of git its message, not its exit code."""
    from git.exc import CommandError  # a dependency of optunahub

    if isinstance(error, CommandError) and error.stderr:
        return error.stderr.strip().removeprefix("stderr:").strip(" '").splitlines()[0]
    return root_cause(error)


def _sampler_class(module: ModuleType, name: str | None, place: str) -> type[Any]:
    """Return the class of that name; for None the only sampler that the package itself defines."""
    kinds = {key: value for key, value in vars(module).items() if _is_sampler(value)}
    if name is not None:
        if name not in kinds:
            raise BenchmarkError(f"{place}: no sampler {name!r}; {suggestion(name, sorted(kinds))}")
        return kinds[name]
    own = {kind.__name__: kind for kind in kinds.values() if kind.__module__.startswith(module.__name__)}
    if len(own) != 1:
        content = f"the samplers {', '.join(sorted(own))}: name one as sampler" if own else "no sampler"
        raise BenchmarkError(f"{place}: the package has {content}")
    return next(iter(own.values()))


def _is_sampler(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseSampler) and not inspect.isabstract(value)
