"""Pruning removes what matters least, and what is left computes what it did."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from benchmark.errors import ExperimentError
from benchmark.model import Restorer, build
from benchmark.model.channels import Channel, channel_groups
from benchmark.model.pruning import prune, with_shapes

PLAIN: list[dict[str, Any]] = [
    {"name": "unet", "size": "tiny"},
    {"name": "rlfn", "size": "tiny"},
    {"name": "hinet", "size": "tiny"},
]
"""Without norms over channels, which see how many there are."""
NAFNET: dict[str, Any] = {"name": "nafnet", "width": 8, "depths": [1, 1, 1]}
SHARE = 0.3


def network(backbone: dict[str, Any]) -> Restorer:
    """A network with random weights everywhere: blocks and heads of fresh ones begin as doing nothing."""
    from benchmark.registry import Registry

    options = {key: value for key, value in backbone.items() if key != "size"}
    size = Registry().find("backbone", backbone["name"]).sizes[backbone["size"]] if "size" in backbone else {}
    restorer = build({"backbone": {**size, **options}, "head": {"name": "degradation"}}).eval()
    generator = torch.Generator().manual_seed(0)
    for tensor in restorer.state_dict().values():
        if tensor.is_floating_point():
            tensor += 0.05 * torch.rand(tensor.shape, generator=generator)
    return restorer


def silence(restorer: Restorer, channels: Sequence[Channel]) -> None:
    """Set all weights of some channels to zero."""
    weights = restorer.state_dict()
    for name, dim, index in (member for channel in channels for member in channel):
        weights[name].select(dim, index).zero_()


@pytest.mark.parametrize("backbone", PLAIN, ids=lambda backbone: backbone["name"])
def test_channels_that_do_nothing_go_and_the_image_stays(backbone: dict[str, Any]) -> None:
    """Of each group the share with weights of zero is removed, wherever those channels are; the result is the same."""
    full = network(backbone)
    groups = channel_groups(full)
    assert groups
    for group in groups:
        silence(full, group[-int(SHARE * len(group)) or len(group) :])
    pruned, image = prune(full, SHARE).eval(), torch.rand(1, 3, 37, 53)
    assert sum(tensor.numel() for tensor in pruned.parameters()) < 0.95 * sum(t.numel() for t in full.parameters())
    with torch.inference_mode():
        torch.testing.assert_close(pruned(image).image, full(image).image, rtol=1e-4, atol=1e-5)


def test_the_smallest_weights_go_and_the_cost_is_the_same_for_all_weights() -> None:
    """Two networks with other weights lose other channels, as many of each layer."""
    first, second = network(PLAIN[0]), network(PLAIN[0])
    group = channel_groups(second)[0]
    silence(second, [group[0]])
    shapes = [
        {name: tensor.shape for name, tensor in prune(net, SHARE).state_dict().items()} for net in (first, second)
    ]
    assert shapes[0] == shapes[1]
    name, dim, _ = group[0][0]
    assert prune(second, SHARE).state_dict()[name].select(dim, 0).abs().sum() > 0


def test_a_stored_network_is_built_again_from_the_shapes_of_its_weights() -> None:
    """Its layers note their new channels; one that has the shapes already is taken as it is."""
    full = network(NAFNET)
    pruned, image = prune(full, SHARE), torch.rand(1, 3, 16, 16)
    again = with_shapes(network(NAFNET), pruned.state_dict())
    again.load_state_dict(pruned.state_dict())
    with torch.inference_mode():
        assert torch.equal(again.eval()(image).image, pruned.eval()(image).image)
    assert with_shapes(full, full.state_dict()) is full


def test_a_pruned_network_can_be_trained() -> None:
    """Every weight that is left gets a gradient."""
    pruned = prune(network(NAFNET), SHARE).train()
    pruned(torch.rand(2, 3, 16, 16)).image.square().mean().backward()
    assert all(parameter.grad is not None for parameter in pruned.parameters())


def test_what_is_added_to_the_image_stays() -> None:
    """The three channels of the image and of what the head predicts are no channels to remove."""
    full = network(NAFNET)
    members = {(name, dim) for group in channel_groups(full) for channel in group for name, dim, _ in channel}
    assert ("backbone.stem.weight", 1) not in members
    assert not any(name.startswith("head.") and dim == 0 for name, dim in members)


def test_a_backbone_that_counts_on_its_channels_is_refused() -> None:
    """The positions of x_restormer's attention are cut by numbers that it was built with."""
    with pytest.raises(ExperimentError, match=r"XRestormer does not run without 30% of its channels"):
        prune(network({"name": "x_restormer", "size": "tiny"}), SHARE)


def test_a_network_without_removable_channels_is_refused() -> None:
    """The message names the backbone, and what to do."""
    with pytest.raises(ExperimentError, match=r"NAFNet has no channels that can be removed at channels: 0.01"):
        prune(network(NAFNET), 0.01)
