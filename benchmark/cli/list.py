"""`list`: the components that an experiment may name."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmark.errors import ComponentError

if TYPE_CHECKING:  # pydantic comes in only when the command runs
    from benchmark.registry import Registry


@click.command("list")
@click.argument("kind", type=click.Choice(["backbones", "heads", "losses", "sources", "augmentations"]))
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path), help="A component of yours.")
def command(kind: str, plugins: tuple[Path, ...]) -> None:
    """List the components of one KIND with their options and defaults.

    \b
    Examples:
      python -m benchmark list backbones
      python -m benchmark list losses
    """
    from benchmark.registry import Registry

    registry = Registry(plugins)
    singular = {"losses": "loss"}.get(kind, kind.removesuffix("s"))
    for name in registry.names(singular):
        try:
            click.echo(_entry(registry, singular, name))
        except ComponentError as error:  # a broken neighbour hurts nobody
            click.echo(f"{name}: {error}")


def _entry(registry: "Registry", kind: str, name: str) -> str:
    from benchmark.registry import KINDS

    component = registry.find(kind, name)
    about = [f"{fact}: {getattr(component, fact)}" for fact in KINDS[kind].facts if fact != "citation"]
    if kind == "backbone":
        about.append(f"sizes: {', '.join(component.sizes)}")
    fields = registry.options_model(kind, name).model_fields.items()
    options = [f"{key}={'needed' if field.is_required() else repr(field.default)}" for key, field in fields]
    return "\n  ".join([name, *about, f"options: {', '.join(options) or 'none'}"])
