"""Training for 8 bits: what is rounded, and what the gradients see of it."""

import torch
from torch import nn

from benchmark.model import build
from benchmark.training.quantiser import round_activations, round_weights, with_quantiser


def test_activations_have_256_values_with_zero_among_them() -> None:
    """Ends of the range and zero are kept to half a step; the gradient is that of doing nothing."""
    features = torch.linspace(-0.3, 1.7, 1001, requires_grad=True)
    rounded = round_activations(features)
    step = 2.0 / 255
    assert len(rounded.unique()) <= 256
    assert (rounded - features).abs().max() <= 0.51 * step
    assert round_activations(torch.tensor([-0.3, 0.0, 1.7]))[1] == 0
    (3 * rounded).sum().backward()
    assert features.grad is not None and torch.equal(features.grad, torch.full_like(features, 3.0))


def test_weights_have_a_scale_for_each_output_channel() -> None:
    """A channel of weights a thousand times smaller is as exact in its own terms."""
    weight = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[1] /= 1000
    error = (round_weights(weight) - weight).abs()
    for channel in range(2):
        assert error[channel].max() <= 1.02 * weight[channel].abs().max() / 255


def test_rounding_what_is_zero_everywhere_gives_zero() -> None:
    """Fresh blocks have weights of zero."""
    zeros = torch.zeros(2, 3, 1, 1)
    assert torch.equal(round_weights(zeros), zeros) and torch.equal(round_activations(zeros), zeros)


def test_the_backbone_is_rounded_and_the_head_is_not() -> None:
    """The image changes a little, weights are shared, and every weight is trained."""
    restorer = build({"backbone": {"name": "unet", "width": 4, "levels": 2}, "head": {"name": "rgb"}})
    nn.init.normal_(next(restorer.head.parameters()), std=0.1)
    rounding, image = with_quantiser(restorer), torch.rand(1, 3, 16, 16)
    difference = (rounding(image).image - restorer(image).image).abs()
    assert 0 < difference.mean() < 0.02
    seen: list[torch.Tensor] = []
    restorer.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    rounded = rounding(image)
    torch.testing.assert_close(rounded.image, restorer.head(seen[0], image).image)
    rounded.image.square().mean().backward()
    assert all(parameter.grad is not None for parameter in restorer.parameters())
