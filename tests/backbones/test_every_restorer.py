"""What holds for every backbone behind a head: tiny, strided, half-precise and wrong images; weights come back."""

import copy
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import nn

from benchmark.model import Restorer, build
from benchmark.registry import Registry

REGISTRY = Registry()
NAMES = REGISTRY.names("backbone")
HALF_PRECISION_ERROR = {torch.bfloat16: 0.06, torch.float16: 0.01}
"""Of the restored image, as a share of its magnitude."""


def network(name: str, seed: int = 0) -> Restorer:
    """Return an untrained network of a backbone's tiny size, in eval mode."""
    sizes = REGISTRY.find("backbone", name).sizes
    return build({"backbone": {"name": name, **sizes["tiny"]}, "head": {"name": "residual"}}, seed).eval()


def random_image(*shape: int) -> torch.Tensor:
    """Return random values in [0, 1], equal at every call."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NAMES)
def test_images_of_one_pixel_are_restored(name: str) -> None:
    """The smallest images come back in their own size, as finite numbers, in training and eval mode."""
    restorer = network(name)
    for sides, training in product(((1, 1), (1, 7), (5, 1)), (True, False)):
        with torch.no_grad():
            restored = restorer.train(training)(random_image(2, 3, *sides)).image
        assert restored.shape == (2, 3, *sides)
        assert restored.isfinite().all(), sides


@pytest.mark.parametrize("name", NAMES)
def test_strided_images_are_restored_like_their_copies(name: str, randomise: Callable[[nn.Module], None]) -> None:
    """A view that skips pixels and one with channels last, as crops and decoded files are, give what a copy gives."""
    restorer = network(name)
    randomise(restorer)
    skipping = random_image(2, 3, 66, 64)[:, :, ::2, 32:]
    decoded = random_image(2, 33, 32, 3).permute(0, 3, 1, 2)
    for view in (skipping, decoded):
        with torch.no_grad():
            expected = restorer(view.clone(memory_format=torch.contiguous_format)).image
            restored = restorer(view).image
        assert not view.is_contiguous()
        assert (restored - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("name", NAMES)
def test_a_network_in_half_precision_restores(name: str, randomise: Callable[[nn.Module], None]) -> None:
    """With weights and image in half precision the result has that type and is near the one in single precision."""
    restorer = network(name)
    randomise(restorer)
    image = random_image(1, 3, 32, 32)
    with torch.no_grad():
        expected = restorer(image).image
        for dtype, error in HALF_PRECISION_ERROR.items():
            restored = copy.deepcopy(restorer).to(dtype)(image.to(dtype)).image
            assert restored.dtype == dtype
            assert (restored.float() - expected).norm() < error * expected.norm(), dtype


@pytest.mark.parametrize("name", NAMES)
def test_weights_come_back_from_a_state(name: str, randomise: Callable[[nn.Module], None]) -> None:
    """A network with other initial weights that takes a state gives the same image to the last bit."""
    first, second = network(name), network(name, seed=1)
    randomise(first)
    image = random_image(1, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(first(image).image, second(image).image)
        second.load_state_dict({key: value.clone() for key, value in first.state_dict().items()})
        assert torch.equal(first(image).image, second(image).image)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_image_is_refused(name: str) -> None:
    """Empty batches and sides and other numbers of channels are named, before any layer fails on them."""
    restorer = network(name)
    for shape in ((0, 3, 32, 32), (1, 3, 0, 32), (1, 1, 32, 32), (1, 4, 32, 32)):
        with pytest.raises(ValueError, match="images are `B 3 H W` with at least one image and pixel"):
            restorer(torch.zeros(shape))
