"""Components as they are named in one line: `flip`, or `synthetic_faces: {preset: severe}`."""

from collections.abc import Iterable
from typing import Any

from benchmark.errors import ExperimentError
from benchmark.experiment.document import parse
from benchmark.experiment.resolve import resolve_options
from benchmark.registry import Registry


def components_from_text(kind: str, place: str, texts: Iterable[str], registry: Registry) -> dict[str, dict[str, Any]]:
    """Return names and all options of components.

    Args:
        kind: A key of `benchmark.registry.KINDS`.
        place: Where the texts were given, e.g. `--source`; begins messages.
        texts: Each `flip` or `jpeg: {probability: 1}`.
        registry: Knows the components.

    Raises:
        ExperimentError: A text is neither, or a component or an option does not exist.
    """
    components: dict[str, dict[str, Any]] = {}
    for text in texts:
        match parse(text, place).data:
            case str(name):
                components[name] = {}
            case {**settings} if len(settings) == 1 and isinstance(next(iter(settings.values())), dict):
                components |= settings
            case _:
                raise ExperimentError(
                    f"{place} {text!r}: write one name, or one name with options 'name: {{key: value}}'"
                )
    return {
        name: resolve_options(kind, name, options, f"{place} {name}", registry) for name, options in components.items()
    }
