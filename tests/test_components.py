"""The contract that every registered component keeps, whoever wrote it."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.data import SPOT_THRESHOLD_LEVELS, Pair
from benchmark.model import Restorer, build
from benchmark.registry import KINDS, Registry
from heads import Restoration
from losses import Batch

REGISTRY = Registry()
SMALLEST = {"backbone": "tiny"}


def every(kind: str) -> Any:
    return pytest.mark.parametrize("name", REGISTRY.names(kind))


def backbone_options(name: str) -> dict[str, Any]:
    return dict(REGISTRY.find("backbone", name).sizes[SMALLEST["backbone"]])


def restorer(name: str, head: str = "degradation") -> Restorer:
    return build({"backbone": {"name": name, **backbone_options(name)}, "head": {"name": head}})


@pytest.mark.parametrize(
    ("kind", "name"),
    [(k, n) for k in ("backbone", "head", "loss", "source", "augmentation") for n in REGISTRY.names(k)],
)
def test_a_component_says_what_it_is(kind: str, name: str) -> None:
    """Each file has a docstring, each class the facts of its contract, each option an annotation and a default."""
    component = REGISTRY.find(kind, name)
    assert inspect.getdoc(inspect.getmodule(component))
    for fact in KINDS[kind].facts:
        assert len(getattr(component, fact)) > 3, fact
    hints = inspect.get_annotations(component.__init__, eval_str=True)
    for option, field in REGISTRY.options_model(kind, name).model_fields.items():
        assert option in hints
        assert kind == "source" or not field.is_required(), f"{option} has no default"


@every("backbone")
def test_sizes_are_configurations_of_the_backbone(name: str) -> None:
    """Every named size has only options that exist, `small` among them for the 10 MB gate."""
    sizes = REGISTRY.find("backbone", name).sizes
    assert {"tiny", "small"} <= set(sizes)
    for options in sizes.values():
        REGISTRY.options_model("backbone", name).model_validate(options)


@every("backbone")
@pytest.mark.parametrize("sides", [(64, 64), (48, 80), (37, 53), (5, 3)])
def test_any_image_size_works_through_the_restorer(name: str, sides: tuple[int, int]) -> None:
    """The restored image has the height and width of the degraded one, odd and tiny sizes included."""
    net = restorer(name).eval()
    with torch.no_grad():
        image, maps, auxiliary = net(torch.rand(1, 3, *sides))
    assert image.shape == (1, 3, *sides)
    assert all(value.shape[-2:] == sides for value in maps.values())
    assert image.isfinite().all()
    assert auxiliary == (), "auxiliary images are for training"


@every("backbone")
def test_the_loss_reaches_every_parameter(name: str) -> None:
    """No parameter is dead: each has a gradient after one backward pass of a head that is not at zero."""
    net = restorer(name, "rgb").train()
    image, _, auxiliary = net(torch.rand(2, 3, 64, 64))
    sum(restored.square().mean() for restored in (image, *auxiliary)).backward()
    dead = [key for key, value in net.named_parameters() if value.grad is None or not value.grad.isfinite().all()]
    assert not dead


@every("backbone")
def test_images_of_a_batch_do_not_see_each_other(name: str) -> None:
    """In eval mode an image is restored alone as in company, and twice the same."""
    net = restorer(name, "rgb").eval()
    images = torch.rand(3, 3, 48, 48)
    with torch.no_grad():
        together, again = net(images).image, net(images).image
        alone = torch.cat([net(image[None]).image for image in images])
    assert torch.equal(together, again)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@every("backbone")
def test_equal_seeds_give_equal_weights(name: str) -> None:
    """Initial weights are a function of the seed, whatever torch's generator did before, and leave it as it was."""
    before = torch.get_rng_state()
    first = restorer(name).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(7)
    second = restorer(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    options = {"backbone": {"name": name, **backbone_options(name)}, "head": {"name": "degradation"}}
    other = build(options, seed=1).state_dict()
    assert any(not torch.equal(first[key], other[key]) for key in first)


@every("head")
def test_a_head_gives_an_image_and_maps(name: str) -> None:
    """Restoration has the degraded image's shape and finite values; gradients reach every parameter."""
    head = REGISTRY.create("head", name, {}, in_channels=5)
    image, maps, auxiliary = head(torch.rand(2, 5, 12, 17), torch.rand(2, 3, 12, 17))
    assert image.shape == (2, 3, 12, 17)
    assert auxiliary == ()
    assert all(value.shape[-2:] == (12, 17) for value in maps.values())
    image.mean().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def batch(side: int, *, equal: bool = False) -> tuple[Restoration, Batch]:
    """A restoration with all maps that heads predict, and a batch that knows all truths."""
    generator = torch.Generator().manual_seed(0)

    def draw(channels: int) -> torch.Tensor:
        return torch.rand(2, channels, side, side, generator=generator)

    degraded, target, gain, spots = draw(3), draw(3), draw(3), draw(3)
    restored = target.clone() if equal else draw(3)
    maps = {"gain": gain.clone() if equal else draw(3), "spots": spots.clone() if equal else draw(3)}
    maps |= {"mask_logits": draw(1), "mask": draw(1)}
    mask = ((target - degraded).abs().amax(1, keepdim=True) > SPOT_THRESHOLD_LEVELS / 255).float()
    for predicted in (restored, *maps.values()):
        predicted.requires_grad_()
    return Restoration(restored, maps), Batch(degraded, target, mask, gain, spots)


@every("loss")
@pytest.mark.parametrize("equal", [False, True], ids=["different", "equal images"])
def test_a_loss_is_a_finite_float32_scalar_with_a_gradient(name: str, equal: bool) -> None:
    """Also where restored and target are equal, where a careless square root or logarithm has no gradient."""
    loss = REGISTRY.create("loss", name, {})
    restoration, data = batch(max(loss.min_side, 32), equal=equal)
    value = loss(restoration, data)
    assert value.shape == () and value.dtype == torch.float32 and value.isfinite()
    value.backward()
    gradients = [tensor.grad for tensor in (restoration.image, *restoration.maps.values()) if tensor.grad is not None]
    assert gradients and all(gradient.isfinite().all() for gradient in gradients)
    assert equal or any(gradient.abs().sum() > 0 for gradient in gradients)


@every("augmentation")
def test_an_augmentation_is_a_function_of_its_generator(name: str) -> None:
    """Equal generators give equal pairs; degraded and target keep equal shapes; the input stays as it was."""
    augmentation = REGISTRY.create("augmentation", name, {})
    arrays = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), np.uint8)
    pair = Pair("p", arrays[0].copy(), arrays[1].copy())
    first, second = (augmentation.apply(pair, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.degraded, second.degraded) and np.array_equal(first.target, second.target)
    assert first.degraded.shape == first.target.shape
    assert np.array_equal(pair.degraded, arrays[0]) and np.array_equal(pair.target, arrays[1])
