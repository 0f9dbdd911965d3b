"""The head that lays a soft-light layer over the degraded image."""

import pytest
import torch

from heads.blend import Blend


def constant(layer):
    """Return a head whose layer has one value everywhere."""
    head = Blend(4)
    torch.nn.init.constant_(head.conv.bias, layer - 0.5)
    return head


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_untrained_head_is_the_identity(dtype):
    """Before training the layer is 0.5 and the restored image the degraded one, to the bit, in every dtype."""
    features, degraded = 100 * torch.randn(2, 4, 9, 7, dtype=dtype), torch.rand(2, 3, 9, 7, dtype=dtype)
    image, maps, _ = Blend(4).to(dtype)(features, degraded)
    assert torch.equal(image, degraded)
    assert (maps["blend"] == 0.5).all()


def test_image_follows_the_formula():
    """J = (1 - 2B)*I^2 + 2B*I, channel by channel, with the layer that is handed out."""
    head, degraded = Blend(4), torch.rand(2, 3, 9, 7)
    torch.nn.init.normal_(head.conv.weight, std=0.3)
    image, maps, _ = head(torch.randn(2, 4, 9, 7), degraded)
    layer = maps["blend"]
    assert layer.shape == (2, 3, 9, 7)
    assert not torch.allclose(image, degraded)
    torch.testing.assert_close(image, (1 - 2 * layer) * degraded**2 + 2 * layer * degraded)


@pytest.mark.parametrize(
    ("layer", "expected"), [(0.0, lambda i: i**2), (0.5, lambda i: i), (1.0, lambda i: 1 - (1 - i) ** 2)]
)
def test_layers_at_the_ends_are_known_curves(layer, expected):
    """A black layer squares the image, a white one squares its negative, and grey does nothing."""
    degraded = torch.rand(1, 3, 6, 6)
    torch.testing.assert_close(constant(layer)(torch.rand(1, 4, 6, 6), degraded).image, expected(degraded))


def test_black_and_white_stay():
    """No layer changes what is black or white, even one far outside [0, 1]."""
    degraded = torch.tensor([0.0, 1.0]).repeat(1, 3, 4, 2)
    assert torch.equal(constant(7.0)(torch.rand(1, 4, 4, 4), degraded).image, degraded)


def test_untrained_head_learns():
    """At the identity every weight gets a gradient."""
    head = Blend(4)
    head(torch.rand(1, 4, 8, 8), torch.rand(1, 3, 8, 8)).image.square().sum().backward()
    assert (head.conv.weight.grad.flatten(1).norm(dim=1) > 0).all()
