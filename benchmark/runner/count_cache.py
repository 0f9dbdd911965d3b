"""Counts of networks, kept in the cache folder: multiply-adds, memory and gates of an untrained network.

A count is a function of the network's settings, of the source of its components and of the version of torch, and a
network is counted on the meta device within a second; a plan of many networks is shown at once where they are known.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch

from benchmark.data.cache import cache_folder
from benchmark.experiment.plan import hash_of
from benchmark.experiment.schema import ResolvedModel
from benchmark.files import read_json, write_json
from benchmark.registry import Registry

_FORMAT = 1


def kept(what: Sequence[Any], model: ResolvedModel, registry: Registry, count: Callable[[], Any]) -> Any:
    """Return what is counted of a network, from the cache folder where an earlier command left it there.

    Args:
        what: Name of the count, and what it depends on besides the network: plain data.
        model: The network; its weights do not matter.
        registry: Gives the digests of the components' source.
        count: Counts anew, and returns plain data; what it raises is not kept.
    """
    names = {"backbone": model.backbone.name, "head": model.head.name}
    sources = [registry.digest(kind, name) for kind, name in names.items()]
    key = hash_of([_FORMAT, list(what), model.architecture.as_config(), sources, torch.__version__])
    file = cache_folder() / "counts" / f"{key}.json"
    entry = read_json(file)
    if isinstance(entry, dict) and entry.get("key") == key:
        return entry["value"]
    value = count()
    with suppress(OSError):  # the next command counts it again
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"key": key, "value": value})
    return value
