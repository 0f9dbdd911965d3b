"""The harness: what to run, running it, measuring it. Start reading at `benchmark/cli`.

From Python (torch is imported when one of these names is used, not before):

    from benchmark import load
    network = load("runs/quickstart/base")
    image = network.restore(array)              # uint8 or float, H W 3; batches and lists, too

    import benchmark
    result = benchmark.evaluate(network, data="synthetic_faces: {preset: severe}")
    print(result.intervals["base"]["psnr"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.inference.network import Network, load
    from benchmark.runner.evaluated_run import Evaluation, evaluate

__all__ = ["Evaluation", "Network", "evaluate", "load"]

_MODULES = {
    "Evaluation": "benchmark.runner.evaluated_run",
    "Network": "benchmark.inference.network",
    "evaluate": "benchmark.runner.evaluated_run",
    "load": "benchmark.inference.network",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is used first."""
    if name not in _MODULES:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
