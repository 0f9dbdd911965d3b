"""Every network can be traced whole: compiled without graph breaks, and exported."""

from typing import Any

import pytest
import torch

from benchmark.model import Restorer, build
from benchmark.registry import Registry

REGISTRY = Registry()
every_backbone = pytest.mark.parametrize("name", REGISTRY.names("backbone"))


def quick_or_slow(name: str) -> Any:
    """Two networks are exported in the quick tests: one with BatchNorm and gates, one with LayerNorm and attention."""
    return name if name in ("gunet", "nafnet") else pytest.param(name, marks=pytest.mark.slow)


def tiny(name: str) -> Restorer:
    """The smallest size, with weights everywhere: heads and blocks of fresh networks begin as doing nothing."""
    net = build({"backbone": {"name": name, **REGISTRY.find("backbone", name).sizes["tiny"]}, "head": {"name": "rgb"}})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return net


@pytest.mark.slow
@every_backbone
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_a_network_compiles_as_one_graph(name: str, training: bool) -> None:
    """Tracing the whole restorer, padding included, finds no graph break, and the graph gives the same images."""
    net, image = tiny(name).train(training), torch.rand(2, 3, 61, 83)
    torch.compiler.reset()  # it counts compilations by code, and all networks share that of the restorer
    compiled: Any = torch.compile(net, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(image).image, net(image).image)


@pytest.mark.parametrize("name", [quick_or_slow(name) for name in REGISTRY.names("backbone")])
def test_a_network_exports(name: str) -> None:
    """torch.export takes the whole restorer in eval mode, and the program gives the same images."""
    net, image = tiny(name).eval(), torch.rand(1, 3, 61, 83)
    program = torch.export.export(net, (image,)).module()
    torch.testing.assert_close(program(image).image, net(image).image)
