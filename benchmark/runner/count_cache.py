"""Counts of networks, kept in the cache folder: multiply-adds, memory and gates of an untrained network.

A count is a function of the network's settings, of the source of its components and of the version of torch, and a
network is counted on the meta device within a second; a plan of many networks is shown at once where they are known.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from benchmark.experiment.schema import ResolvedModel
from benchmark.kept_values import kept_value
from benchmark.registry import Registry

_FORMAT = 2


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
    key = [_FORMAT, list(what), model.architecture.as_config(), sources, torch.__version__]
    return kept_value("counts", key, count)
