"""The head that predicts the restoring maps K and D."""

import pytest
import torch

from heads.degradation import Degradation


def trained_looking(gain_channels):
    """A head whose weights have left zero."""
    head = Degradation(4, gain_channels=gain_channels)
    torch.nn.init.normal_(head.conv.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    torch.nn.init.normal_(head.conv.bias, std=0.3, generator=torch.Generator().manual_seed(1))
    return head


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gain_channels", [1, 3])
def test_untrained_head_is_the_identity(gain_channels, dtype):
    """Before training the restored image is the degraded one, to the bit, whatever the features and the dtype."""
    head = Degradation(4, gain_channels=gain_channels).to(dtype)
    features, degraded = 100 * torch.randn(2, 4, 9, 7, dtype=dtype), torch.rand(2, 3, 9, 7, dtype=dtype)
    assert torch.equal(head(features, degraded).image, degraded)


@pytest.mark.parametrize("gain_channels", [1, 3])
def test_image_follows_the_formula(gain_channels):
    """J = K*I + D + I, channel by channel, with the maps that are handed out."""
    degraded = torch.rand(2, 3, 9, 7)
    image, maps = trained_looking(gain_channels)(torch.randn(2, 4, 9, 7), degraded)
    assert maps["gain"].shape == (2, gain_channels, 9, 7)
    assert maps["spots"].shape == (2, 3, 9, 7)
    for channel in range(3):
        gain = maps["gain"][:, channel % gain_channels]
        expected = gain * degraded[:, channel] + maps["spots"][:, channel] + degraded[:, channel]
        torch.testing.assert_close(image[:, channel], expected)


def test_maps_come_from_features_alone():
    """K and D do not look at the degraded image, which enters by the formula only."""
    head, features = trained_looking(3), torch.randn(1, 4, 8, 8)
    first, second = (head(features, torch.rand(1, 3, 8, 8)).maps for _ in range(2))
    assert torch.equal(first["gain"], second["gain"])
    assert torch.equal(first["spots"], second["spots"])


def test_restoring_maps_undo_degrading_maps():
    """K = -K'/(1 + K') and D = -D'/(1 + K') invert the degradation by K' and D', as the module says."""
    clean = torch.rand(1, 3, 6, 6)
    gain, spots = torch.full((1, 3, 1, 1), 0.25), torch.full((1, 3, 1, 1), -0.1)
    head = Degradation(4)
    with torch.no_grad():
        head.conv.bias[:3] = (-gain / (1 + gain)).flatten()
        head.conv.bias[3:] = (-spots / (1 + gain)).flatten()
    damaged = gain * clean + spots + clean
    torch.testing.assert_close(head(torch.rand(1, 4, 6, 6), damaged).image, clean)


def test_untrained_head_learns():
    """At the identity the weights get a gradient: K's is D's times the degraded image, so neither is stuck."""
    head = Degradation(4)
    restoration = head(torch.rand(1, 4, 8, 8), torch.rand(1, 3, 8, 8))
    restoration.image.square().sum().backward()
    assert (head.conv.weight.grad.flatten(1).norm(dim=1) > 0).all()


@pytest.mark.parametrize(
    ("options", "message"), [({"kernel_size": 2}, "kernel_size must be odd"), ({"gain_channels": 2}, "1 or 3")]
)
def test_bad_options_are_refused(options, message):
    """Each bad option is an error that says what is allowed."""
    with pytest.raises(ValueError, match=message):
        Degradation(4, **options)
