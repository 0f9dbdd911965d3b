"""`list`: what an experiment may name."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click

from benchmark.errors import ComponentError, suggestion

if TYPE_CHECKING:  # pydantic comes in only when the command runs
    from benchmark.registry import Registry

_OTHER_KINDS = ("metrics", "presets", "gates", "floors")


@click.command("list")
@click.argument("kind", required=False)
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A component of yours.")
def command(kind: str | None, plugins: tuple[Path, ...]) -> None:
    """List what an experiment may name of one KIND, with options and defaults; without KIND, the names of all kinds.

    Kinds are backbones (with parameters, multiply-adds and file size of every size), heads, losses, sources,
    augmentations; metrics, presets (of drawn faces), gates, floors (rows that need no training).

    \b
    Examples:
      python -m benchmark list
      python -m benchmark list backbones
      python -m benchmark list losses
    """
    from benchmark.registry import Registry

    registry = Registry(plugins)
    kinds = {**_component_kinds(), **dict.fromkeys(_OTHER_KINDS, "")}
    if kind is None:
        for plural, singular in kinds.items():
            names = registry.names(singular) if singular else [name for name, _ in _others(plural)]
            click.echo(f"{plural}: {', '.join(names)}")
    elif kind not in kinds:
        raise ComponentError(f"list {kind}: no such kind; {suggestion(kind, kinds)}")
    elif kinds[kind]:
        _list_components(kinds[kind], registry)
    else:
        for name, facts in _others(kind):
            click.echo(_entry(name, facts))


def _component_kinds() -> dict[str, str]:
    """The registry's kinds by their plural."""
    from benchmark.registry import KINDS

    return {{"loss": "losses"}.get(kind, f"{kind}s"): kind for kind in KINDS}


def _list_components(kind: str, registry: "Registry") -> None:
    from benchmark.cli.size_table import show_sizes

    for name in registry.names(kind):
        try:
            click.echo(_entry(name, _component_facts(registry, kind, name)))
            if kind == "backbone":
                show_sizes(registry, name)
        except ComponentError as error:  # a broken neighbour hurts nobody
            click.echo(f"{name}: {error}")


def _entry(name: str, facts: Sequence[str]) -> str:
    return "\n  ".join([name, *facts])


def _component_facts(registry: "Registry", kind: str, name: str) -> list[str]:
    from benchmark.registry import KINDS

    component = registry.find(kind, name)
    about = [f"{fact}: {getattr(component, fact)}" for fact in KINDS[kind].facts if fact != "citation"]
    return [*about, _fields("options", registry.options_model(kind, name).model_fields)]


def _fields(what: str, fields: Any) -> str:
    """Names and defaults of the fields of a pydantic model, and what else may be chosen."""
    shown = [f"{key}={'needed' if field.is_required() else _values(field)}" for key, field in fields.items()]
    return f"{what}: {', '.join(shown) or 'none'}"


def _values(field: Any) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    others = " or ".join(repr(choice) for choice in choices if choice != field.default)
    return f"{field.default!r} (or {others})" if others else repr(field.default)


def _others(kind: str) -> Iterator[tuple[str, list[str]]]:
    """Names of a kind that is no component, with what is to be said of each."""
    match kind:
        case "metrics":
            yield from _metrics()
        case "presets":
            yield from _presets()
        case "gates":
            yield from _gates()
        case _:
            yield from _floors()


def _metrics() -> Iterator[tuple[str, list[str]]]:
    from benchmark.evaluation.map_metrics import MAP_METRICS
    from benchmark.evaluation.metrics import METRICS

    for name, metric in {**METRICS, **MAP_METRICS}.items():
        good = {"higher": "higher is better", "lower": "lower is better", "near_one": "1 is best"}[metric.direction]
        yield name, [f"formula: {metric.formula}", f"{metric.unit or 'no unit'}; {good}"]


def _presets() -> Iterator[tuple[str, list[str]]]:
    from dataclasses import asdict

    from benchmark.synthetic_faces import PRESETS

    for name, preset in PRESETS.items():
        yield name, [", ".join(f"{key}={value}" for key, value in asdict(preset).items())]


def _gates() -> Iterator[tuple[str, list[str]]]:
    from benchmark.experiment.schema import AnyGate

    for gate in get_args(get_args(AnyGate)[0]):
        fields = dict(gate.model_fields)
        about = [gate.__doc__] if gate.__doc__ else []
        yield fields.pop("quantity").default, [*about, _fields("settings", fields)]


def _floors() -> Iterator[tuple[str, list[str]]]:
    from benchmark.evaluation.baselines import FLOORS

    for name, floor in FLOORS.items():
        yield name, [(floor.__doc__ or "").partition("\n")[0]]
